package server

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/debutsec/debut/internal/server/api"
	"github.com/debutsec/debut/internal/source"
	"github.com/debutsec/debut/internal/store"
)

// retryWait is how long a request waits for messages that are tried again; it is less
// than a client has for its answer.
const retryWait = 20 * time.Second

// positionsOf reads what a source remembers.
func positionsOf(tx store.Tx, src string) func(name string) ([]byte, error) {
	return func(name string) ([]byte, error) { return store.Position(tx, src, name) }
}

// A parkedList is the ids of the messages that a source has parked, oldest first.
type parkedList struct {
	source string
	ids    []string
}

// parkedOf lists what a source has parked, or all sources if there is no name.
func parkedOf(tx store.Tx, name string) (lists []parkedList, err error) {
	sources := []string{name}
	if name == "" {
		if sources, err = store.PositionSources(tx); err != nil {
			return nil, err
		}
	}
	for _, src := range sources {
		ids, err := source.ParkedIDs(positionsOf(tx, src))
		if err != nil {
			return nil, err
		}
		lists = append(lists, parkedList{src, ids})
	}
	return lists, nil
}

func (s *Server) listParked(w http.ResponseWriter, r *http.Request) error {
	p := s.params(r)
	src, limit := p.text("source"), p.limit(defaultPage, maxPage)
	if err := p.done(); err != nil {
		return err
	}
	var out api.ParkedList
	err := s.o.DB.View(r.Context(), func(tx store.Tx) error {
		lists, err := parkedOf(tx, src)
		if err != nil {
			return err
		}
		for _, l := range lists {
			for _, id := range slices.Backward(l.ids) {
				if len(out.Messages) == limit {
					out.More = true
					return nil
				}
				m, err := source.GetParked(positionsOf(tx, l.source), id)
				if err != nil {
					return err
				}
				if m == nil {
					continue
				}
				out.Messages = append(out.Messages, api.Parked{
					Source: l.source, ID: m.ID, Reason: m.Reason, Sent: m.Sent.UTC(), Parked: m.Parked.UTC(), Receives: m.Receives, Body: m.Body, Cut: m.Cut(),
				})
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, out)
}

// retryParked tries parked messages again. They go on when who asked has gone.
func (s *Server) retryParked(w http.ResponseWriter, r *http.Request) error {
	var in api.RetryRequest
	if err := firstError(s.params(r).done(), readJSON(r, &in)); err != nil {
		return err
	}
	switch {
	case s.o.Daemon == nil:
		return unavailable("trying a message again")
	case in.All == (len(in.IDs) > 0):
		return invalid("give either ids or all")
	}
	chosen, err := s.chosenParked(r.Context(), &in)
	if err != nil {
		return err
	}
	wait, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), retryWait)
	defer cancel()
	sources := slices.Sorted(maps.Keys(chosen))
	reports := make([][]api.Retried, len(sources))
	var g errgroup.Group
	for i, src := range sources {
		g.Go(func() (err error) {
			reports[i], err = s.retryOf(wait, src, chosen[src])
			if err != nil && in.Source == "" { // one that was configured once stops no other
				for _, id := range chosen[src] {
					reports[i] = append(reports[i], api.Retried{Source: src, ID: id, State: "parked", Reason: s.errorOf(err).Message})
				}
				err = nil
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for i, src := range sources {
		done := 0
		for _, m := range reports[i] {
			if m.State == "done" {
				done++
			}
		}
		err := s.audit(r, store.Entry{Action: "parked.retry", Object: src, Detail: fmt.Sprintf("%d tried again, %d done with", len(reports[i]), done)})
		if err != nil {
			return err
		}
	}
	return reply(w, http.StatusOK, api.RetryReport{Messages: slices.Concat(reports...)})
}

// chosenParked returns the ids of the messages that a request speaks of, by source. A
// source that it names is there whatever it has.
func (s *Server) chosenParked(ctx context.Context, in *api.RetryRequest) (map[string][]string, error) {
	chosen, found := map[string][]string{}, map[string]bool{}
	err := s.o.DB.View(ctx, func(tx store.Tx) error {
		lists, err := parkedOf(tx, in.Source)
		if err != nil {
			return err
		}
		for _, l := range lists {
			if !in.All {
				l.ids = slices.DeleteFunc(l.ids, func(id string) bool { return !slices.Contains(in.IDs, id) })
			}
			if len(l.ids) > 0 || in.Source != "" {
				chosen[l.source] = l.ids
			}
			for _, id := range l.ids {
				found[id] = true
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, id := range in.IDs {
		if !found[id] {
			text := fmt.Sprintf("there is no parked message %q", id)
			if in.Source != "" {
				text = fmt.Sprintf("source %q has no parked message %q", in.Source, id)
			}
			return nil, &api.Error{Code: api.NotFound, Message: text, Hint: "'debut sources parked' lists them; one that was dealt with is gone"}
		}
	}
	return chosen, nil
}

// retryOf tries messages of a source again and says what became of each.
func (s *Server) retryOf(ctx context.Context, src string, ids []string) ([]api.Retried, error) {
	results, err := s.o.Daemon.Retry(ctx, src, ids)
	if err != nil {
		return nil, err
	}
	out := make([]api.Retried, len(ids))
	for i, id := range ids {
		out[i] = api.Retried{Source: src, ID: id, State: "done"}
		switch reason, known := results[id]; {
		case !known:
			out[i].State = "trying"
		case reason != nil:
			out[i].State, out[i].Reason = "parked", reason.Error()
		}
	}
	return out, nil
}
