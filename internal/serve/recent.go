package serve

import (
	"encoding/binary"
	"sync"

	"github.com/debutsec/debut/ecs"
)

// recentSize is how many events are known by heart at most: 12 MB. It is a power of two.
const recentSize = 1 << 19

// recentKey is an event and a hash of its bytes: copies that differ are both stored.
type recentKey struct {
	id   ecs.ID
	hash uint64
}

// recent knows most of the events that were stored last: each has its place, where the
// next that has the same takes it. It only saves the room of doubles; who reads events
// drops the others. An event enters when it is durable, never before: what it answers
// for must not get lost. It is safe for concurrent use.
type recent struct {
	mu   sync.RWMutex
	keys []recentKey
}

func newRecent() *recent { return &recent{keys: make([]recentKey, recentSize)} }

// place is that of an event: its id is a hash already.
func (r *recent) place(k *recentKey) *recentKey {
	return &r.keys[binary.LittleEndian.Uint64(k.id[:])%recentSize]
}

func (r *recent) has(k recentKey) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return *r.place(&k) == k
}

func (r *recent) add(keys []recentKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range keys {
		*r.place(&keys[i]) = keys[i]
	}
}
