package daemon

import (
	"context"

	"github.com/debutsec/debut/internal/store"
)

// CheckCoverage does what is done every few minutes.
func (d *Daemon) CheckCoverage(ctx context.Context) error { return d.gaps(ctx) }

// DB is the daemon's database.
func (d *Daemon) DB() store.DB { return d.db }
