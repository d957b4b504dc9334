package events

import (
	"sync"
	"testing"
	"time"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/store"
	"github.com/debutsec/debut/internal/store/memory"
	"github.com/debutsec/debut/internal/store/storetest"
)

// onDisk is this store, as it is tested.
func onDisk() storetest.EventStore {
	var mu sync.Mutex
	opened := map[store.Events]Options{}
	use := func(tb testing.TB, opt Options) store.Events {
		tb.Helper()
		s, err := Open(opt)
		if err != nil {
			tb.Fatal(err)
		}
		mu.Lock()
		defer mu.Unlock()
		opened[s] = opt
		return s
	}
	return storetest.EventStore{
		Open: func(tb testing.TB, cat *ecs.Catalogue) store.Events {
			tb.Helper()
			opt := options(tb.TempDir(), memory.New())
			opt.Catalogue, opt.disk = cat, calmDisk{}
			return use(tb, opt)
		},
		Encode: Encode,
		Settle: func(tb testing.TB, s store.Events) {
			tb.Helper()
			if err := s.(*Store).Compact(tb.Context()); err != nil {
				tb.Fatal(err)
			}
		},
		Expire: func(tb testing.TB, s store.Events, before time.Time) {
			tb.Helper()
			d := s.(*Store)
			d.opt.Retention.Age = time.Hour
			if _, err := d.Expire(tb.Context(), before.Add(time.Hour)); err != nil {
				tb.Fatal(err)
			}
		},
		Reopen: func(tb testing.TB, s store.Events) store.Events {
			tb.Helper()
			if err := s.Close(); err != nil {
				tb.Fatal(err)
			}
			mu.Lock()
			opt := opened[s]
			mu.Unlock()
			return use(tb, opt)
		},
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	storetest.RunEvents(t, onDisk())
}

// However events come and settle, the store on the disk gives the answers of the plain
// one.
func TestSameAsMemory(t *testing.T) {
	t.Parallel()
	storetest.SameEvents(t, onDisk(), storetest.EventStore{
		Open: func(_ testing.TB, cat *ecs.Catalogue) store.Events {
			return memory.NewEvents(cat, nil, func() time.Time { return start })
		},
		Encode: memory.Encode,
	})
}
