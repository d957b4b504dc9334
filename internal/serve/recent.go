package serve

import (
	"sync"

	"github.com/debutsec/debut/ecs"
)

// recentSize is how many stored events are known by heart: about 30 MB.
const recentSize = 1 << 18

// recentKey is an event and a hash of its bytes: copies that differ are both stored.
type recentKey struct {
	id   ecs.ID
	hash uint64
}

// recent is the events stored last. It only saves the room of doubles; who reads
// events drops the others. An event enters when it is durable, never before: what it
// answers for must not get lost. It is safe for concurrent use.
type recent struct {
	mu   sync.RWMutex
	keys map[recentKey]struct{}
	ring []recentKey
	next int
}

func newRecent() *recent { return &recent{keys: make(map[recentKey]struct{}, recentSize)} }

func (r *recent) has(k recentKey) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	_, ok := r.keys[k]
	return ok
}

func (r *recent) add(keys []recentKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, k := range keys {
		if _, ok := r.keys[k]; ok {
			continue
		}
		r.keys[k] = struct{}{}
		if len(r.ring) < recentSize {
			r.ring = append(r.ring, k)
			continue
		}
		delete(r.keys, r.ring[r.next])
		r.ring[r.next] = k
		r.next = (r.next + 1) % recentSize
	}
}
