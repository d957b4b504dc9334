package server

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/debutsec/debut/internal/server/api"
	"github.com/debutsec/debut/internal/store"
)

func (s *Server) health(w http.ResponseWriter, _ *http.Request) error {
	return reply(w, http.StatusOK, api.Health{Status: "alive"})
}

func (s *Server) ready(w http.ResponseWriter, r *http.Request) error {
	reasons := s.notReady(r.Context())
	if len(reasons) == 0 {
		return reply(w, http.StatusOK, api.Health{Status: "ready"})
	}
	return reply(w, http.StatusServiceUnavailable, api.Health{Status: "not-ready", Reasons: reasons})
}

// notReady says why the server cannot do its work. Anybody may ask, so nothing that
// only an operator should know is in it.
func (s *Server) notReady(ctx context.Context) []string {
	var out []string
	if s.stopping() {
		out = append(out, "the server is stopping")
	}
	err := s.o.DB.View(ctx, func(tx store.Tx) error {
		_, err := tx.Get(store.Meta, []byte(store.FactFolded))
		return err
	})
	if err != nil {
		out = append(out, "the store cannot be read")
	}
	if s.o.Daemon != nil {
		out = append(out, s.o.Daemon.Status().NotReady...)
	}
	return out
}

func (s *Server) status(w http.ResponseWriter, r *http.Request) error {
	if err := s.params(r).done(); err != nil {
		return err
	}
	st, err := s.statusNow(r.Context())
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, st)
}

func (s *Server) statusNow(ctx context.Context) (api.Status, error) {
	var st api.Status
	if s.o.Daemon == nil {
		return st, unavailable("the status")
	}
	st = s.o.Daemon.Status()
	now := s.o.Now()
	st.Version, st.Started, st.Uptime = s.o.Version, s.started.UTC(), now.Sub(s.started).Seconds()
	st.NotReady = s.notReady(ctx)
	st.Ready = len(st.NotReady) == 0
	var err error
	if st.Alerts, err = s.counts.get(ctx, s.o.DB, now); err != nil {
		return st, fmt.Errorf("count the alerts: %w", err)
	}
	return st, nil
}

// alertCounts counts alerts by going through them, and not again soon: the longer it
// took, the longer the counts are good.
type alertCounts struct {
	mu    sync.Mutex
	until time.Time
	list  []api.AlertCount
}

const countPage = 2000

func (c *alertCounts) get(ctx context.Context, db store.DB, now time.Time) ([]api.AlertCount, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Before(c.until) {
		return c.list, nil
	}
	counts := map[[2]string]int64{}
	total := 0
	var after *cursor
	for {
		err := db.View(ctx, func(tx store.Tx) error {
			list, next, err := page(tx, store.Filter{Withheld: true}, after, countPage)
			for _, a := range list {
				counts[[2]string{a.Severity, a.Status}]++
			}
			total += len(list)
			after = next
			return err
		})
		if err != nil {
			return nil, err
		}
		if after == nil {
			break
		}
	}
	c.list = nil
	for _, severity := range []string{"low", "medium", "high", "critical"} {
		for _, status := range []string{store.Open, store.Acknowledged, store.Closed} {
			c.list = append(c.list, api.AlertCount{Severity: severity, Status: status, Count: counts[[2]string{severity, status}]})
		}
	}
	// About 20 µs an alert: at most a hundredth of the time is spent on counting.
	c.until = now.Add(max(10*time.Second, time.Duration(total)*2*time.Millisecond))
	return c.list, nil
}
