package memory_test

import (
	"testing"
	"time"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/store"
	"github.com/debutsec/debut/internal/store/memory"
	"github.com/debutsec/debut/internal/store/storetest"
)

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(testing.TB, string) store.DB { return memory.New() })
}

func TestEvents(t *testing.T) {
	t.Parallel()
	storetest.RunEvents(t, storetest.EventStore{
		Open: func(_ testing.TB, cat *ecs.Catalogue) store.Events {
			return memory.NewEvents(cat, nil, func() time.Time { return time.Unix(1_800_000_000, 0) })
		},
		Encode: memory.Encode,
		Expire: func(tb testing.TB, s store.Events, before time.Time) {
			tb.Helper()
			s.(*memory.Events).Expire(before)
		},
	})
}
