package enrich

import (
	"hash/maphash"
	"sync"
)

// A cache remembers answers, about as many as it was made for, for many goroutines. It
// is parted so that they seldom wait for each other.
type cache[K comparable, V any] struct {
	seed  maphash.Seed
	parts [16]part[K, V]
}

// A part has two generations: when the young one is full it becomes the old one, and
// what was not asked for since then is forgotten.
type part[K comparable, V any] struct {
	mu         sync.Mutex
	young, old map[K]V
	limit      int
}

func newCache[K comparable, V any](limit int) *cache[K, V] {
	c := &cache[K, V]{seed: maphash.MakeSeed()}
	for i := range c.parts {
		c.parts[i].limit = max(limit/len(c.parts)/2, 1)
		c.parts[i].young = make(map[K]V)
	}
	return c
}

func (c *cache[K, V]) part(k K) *part[K, V] {
	return &c.parts[maphash.Comparable(c.seed, k)%uint64(len(c.parts))]
}

func (c *cache[K, V]) get(k K) (V, bool) {
	p := c.part(k)
	p.mu.Lock()
	defer p.mu.Unlock()
	v, ok := p.young[k]
	if !ok {
		if v, ok = p.old[k]; ok {
			p.put(k, v)
		}
	}
	return v, ok
}

func (c *cache[K, V]) put(k K, v V) {
	p := c.part(k)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.put(k, v)
}

func (p *part[K, V]) put(k K, v V) {
	if len(p.young) >= p.limit {
		p.old, p.young = p.young, make(map[K]V, p.limit)
	}
	p.young[k] = v
}
