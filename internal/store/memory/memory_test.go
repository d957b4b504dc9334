package memory_test

import (
	"testing"

	"github.com/debutsec/debut/internal/store"
	"github.com/debutsec/debut/internal/store/memory"
	"github.com/debutsec/debut/internal/store/storetest"
)

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(testing.TB, string) store.DB { return memory.New() })
}
