package s3

import (
	"hash/maphash"
	"sync"

	"github.com/debutsec/debut/internal/source"
)

// maxSeen bounds a generation of what is remembered, some 10 MB in all.
const maxSeen = 250_000

// seen remembers objects that are durable, so that the sink is not asked at every
// listing. It forgets the oldest half when it is full; then the sink is asked. It is
// safe for concurrent use. Objects are known by a hash with a seed of this process:
// that two of a million have the same one is less likely than 1 in 30 million, and the
// next process would tell them apart.
type seen struct {
	mu       sync.Mutex
	hash     maphash.Seed
	now, old map[uint64]struct{}
}

func (s *seen) seed() {
	s.hash, s.now, s.old = maphash.MakeSeed(), map[uint64]struct{}{}, nil
}

func (s *seen) of(o source.Object) uint64 {
	var h maphash.Hash
	h.SetSeed(s.hash)
	h.WriteString(o.Name)
	h.WriteByte(0)
	h.WriteString(o.Version)
	return h.Sum64()
}

func (s *seen) add(o source.Object) {
	k := s.of(o)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(k)
}

func (s *seen) put(k uint64) {
	if len(s.now) >= maxSeen {
		s.old, s.now = s.now, make(map[uint64]struct{}, maxSeen)
	}
	s.now[k] = struct{}{}
}

func (s *seen) has(o source.Object) bool {
	k := s.of(o)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.now[k]; ok {
		return true
	}
	if _, ok := s.old[k]; ok {
		s.put(k)
		return true
	}
	return false
}

func (s *seen) remove(o source.Object) {
	k := s.of(o)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.now, k)
	delete(s.old, k)
}
