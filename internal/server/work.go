package server

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/debutsec/debut/internal/server/api"
	"github.com/debutsec/debut/internal/store"
)

func (s *Server) listRules(w http.ResponseWriter, r *http.Request) error {
	if err := s.params(r).done(); err != nil {
		return err
	}
	if s.o.Daemon == nil {
		return unavailable("the list of rules that run")
	}
	return reply(w, http.StatusOK, api.RuleList{Rules: s.o.Daemon.Rules()})
}

func (s *Server) reload(w http.ResponseWriter, r *http.Request) error {
	if err := s.params(r).done(); err != nil {
		return err
	}
	if s.o.Daemon == nil {
		return unavailable("a reload")
	}
	who := identity(r.Context())
	// Who asked may hang up: a reload is not broken off for that.
	report, err := s.o.Daemon.Reload(context.WithoutCancel(r.Context()), who.By)
	if err != nil {
		return err
	}
	err = s.audit(r, store.Entry{
		Action: "rules.reload",
		Detail: fmt.Sprintf("%d added, %d changed, %d removed", len(report.Added), len(report.Changed), len(report.Removed)),
	})
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, report)
}

// audit writes down something that is not a record of the store. It was done, whether
// or not who asked is still there.
func (s *Server) audit(r *http.Request, e store.Entry) error {
	who := identity(r.Context())
	e.Time, e.By, e.From = s.o.Now().UTC(), who.By, who.From
	return s.o.DB.Update(context.WithoutCancel(r.Context()), func(tx store.Tx) error { return store.AddEntry(tx, &e) })
}

func (s *Server) listRuns(w http.ResponseWriter, r *http.Request) error {
	p := s.params(r)
	limit, kind := p.limit(defaultPage, maxPage), p.text("kind")
	if err := p.done(); err != nil {
		return err
	}
	var out api.RunList
	err := s.o.DB.View(r.Context(), func(tx store.Tx) error {
		for run, err := range store.RunsBy(tx) {
			if err != nil {
				return err
			}
			if kind != "" && run.Kind != kind {
				continue
			}
			if out.Runs = append(out.Runs, run); len(out.Runs) == limit {
				break
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, out)
}

func (s *Server) showRun(w http.ResponseWriter, r *http.Request) error {
	if err := s.params(r).done(); err != nil {
		return err
	}
	var out *store.Run
	err := s.o.DB.View(r.Context(), func(tx store.Tx) error {
		for run, err := range store.RunsBy(tx) {
			if err != nil {
				return err
			}
			if run.ID == r.PathValue("id") {
				out = run
				return nil
			}
		}
		return &api.Error{Code: api.NotFound, Message: "there is no run " + r.PathValue("id")}
	})
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, out)
}

func (s *Server) backfill(w http.ResponseWriter, r *http.Request) error {
	var b api.BackfillRequest
	if err := firstError(s.params(r).done(), readJSON(r, &b)); err != nil {
		return err
	}
	switch {
	case s.o.Backfill == nil:
		return unavailable("a backfill")
	case b.From.IsZero() || b.To.IsZero():
		return invalid("from and to are needed")
	case !b.From.Before(b.To):
		return invalid("from is not before to: no event can be between them")
	case len(b.Rules) > 1000:
		return invalid("rules names %d; 1,000 at most", len(b.Rules))
	}
	b.By = identity(r.Context()).By
	// Who asked may hang up: the run begins all the same, and is written down.
	id, err := s.o.Backfill.Backfill(context.WithoutCancel(r.Context()), b)
	if err != nil {
		return err
	}
	err = s.audit(r, store.Entry{
		Action: "backfill.start", Object: id,
		Detail: strings.TrimSpace(b.From.UTC().Format("2006-01-02T15:04:05Z") + " to " + b.To.UTC().Format("2006-01-02T15:04:05Z") + " " + strings.Join(b.Rules, ", ")),
	})
	if err != nil {
		return err
	}
	return reply(w, http.StatusAccepted, api.Started{Run: id})
}

func (s *Server) search(w http.ResponseWriter, r *http.Request) error {
	p := s.params(r)
	q := api.EventQuery{
		Query: p.text("q"), From: p.time("from"), To: p.time("to"), Limit: p.limit(0, 1<<31-1),
		Descending: p.choice("order", "asc", "desc") == "desc",
	}
	if err := p.done(); err != nil {
		return err
	}
	if !q.From.IsZero() && !q.To.IsZero() && !q.From.Before(q.To) {
		return invalid("from is not before to: no event can be between them")
	}
	if s.o.Events == nil {
		return unavailable("a search")
	}
	var damaged []string
	q.Damaged = func(name string, err error) {
		s.log.Error("a part of the event store cannot be read", "name", name, "error", err)
		if len(damaged) < 10 && !slices.Contains(damaged, name) {
			damaged = append(damaged, name)
		}
	}
	out, err := s.stream(w, r)
	if err != nil {
		return err
	}
	defer out.end()
	w.Header().Set("Trailer", DamagedTrailer)
	var b []byte
	for doc, err := range s.o.Events.Search(r.Context(), q) {
		if err != nil {
			return out.broken(err)
		}
		b = append(append(b, doc...), '\n')
		if len(b) >= 64<<10 {
			if err := out.write(b); err != nil {
				return out.broken(err)
			}
			b = b[:0]
		}
	}
	if err := out.write(b); err != nil {
		return out.broken(err)
	}
	if len(damaged) > 0 {
		w.Header().Set(DamagedTrailer, headerText(strings.Join(damaged, ", ")))
	}
	return nil
}

// DamagedTrailer names, behind the results of a search, the parts of the store that
// could not be read and are missing in them.
const DamagedTrailer = "Debut-Damaged"

func headerText(s string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' {
			return '?'
		}
		return c
	}, s)
}
