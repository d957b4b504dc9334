package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/debutsec/debut/internal/server/api"
	"github.com/debutsec/debut/internal/store"
	"github.com/debutsec/debut/internal/triage/desk"
)

// triage opens the desk at which alerts are investigated.
func (d *Daemon) triage() error {
	c := d.opt.Config
	o := desk.Options{
		DB: d.db, Events: d.events, Catalogue: d.catalogue, Places: d.enricher, PlacesDate: PlacesDate(c.Rules.GeoIP), Now: d.opt.Now, Log: d.opt.Log,
	}
	if len(c.Rules.GeoIP) == 0 {
		o.Places = nil
	}
	if err := o.Configure(&c.Triage, d.opt.Getenv); err != nil {
		return fmt.Errorf("%w: %w", store.ErrInvalid, err)
	}
	d.desk = desk.New(o)
	return nil
}

// Places names the databases that addresses are looked up in, with their dates.
func Places(paths []string) string {
	var out []string
	for _, p := range paths {
		if info, err := os.Stat(p); err == nil {
			out = append(out, filepath.Base(p)+" of "+info.ModTime().UTC().Format(time.DateOnly))
		}
	}
	return strings.Join(out, "; ")
}

// PlacesDate is the date of the oldest of some databases; zero: there are none.
func PlacesDate(paths []string) (oldest time.Time) {
	for _, p := range paths {
		if info, err := os.Stat(p); err == nil && (oldest.IsZero() || info.ModTime().Before(oldest)) {
			oldest = info.ModTime().UTC()
		}
	}
	return oldest
}

// verdict is the line about an investigation in a message, if the report is there.
func (d *Daemon) verdict(ctx context.Context, handle string) (*store.Triage, error) {
	var out *store.Triage
	err := d.db.View(ctx, func(tx store.Tx) error {
		a, err := store.GetAlert(tx, handle)
		if err == nil && a != nil && a.Triage.Version > 0 {
			out = &a.Triage
		}
		return err
	})
	return out, err
}

// countTriage tells how the desk is doing.
func (d *Daemon) countTriage(tx store.Tx, st *api.Status) error {
	s := d.desk.Stats()
	t := &st.Triage
	t.Enabled = d.opt.Config.Triage.Enabled
	t.Count, t.Kept, t.Failed, t.Seconds, t.Latency = s.Done, s.Kept, s.Failed, s.Seconds, s.Latency
	list, next, err := store.DueAlerts(tx, d.opt.Now(), 1)
	if err != nil {
		return err //nolint:wrapcheck // of the store
	}
	t.Next = next
	if len(list) > 0 {
		t.Oldest = list[0].Triage.Due
		t.Next = time.Time{}
		t.Due, err = store.CountDue(tx, d.opt.Now(), maxDue)
	}
	return err //nolint:wrapcheck // of the store
}

// maxDue is how far alerts that are due are counted.
const maxDue = 10_000

// runTriage works off what is due.
func (d *Daemon) runTriage(ctx context.Context) error {
	if d.opt.Config.Triage.Enabled {
		d.desk.Run(ctx)
	}
	return nil
}

// again has alerts investigated again whose history was still being read.
func (d *Daemon) again(ctx context.Context) error {
	if !d.opt.Config.Triage.Enabled {
		return nil
	}
	if err := d.desk.ColdAgain(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("make alerts due whose history has been read: %w", err)
	}
	return nil
}
