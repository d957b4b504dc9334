package server

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

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

func (s *Server) listParked(w http.ResponseWriter, r *http.Request) error {
	p := s.params(r)
	src, limit := p.text("source"), p.limit(defaultPage, maxPage)
	if err := p.done(); err != nil {
		return err
	}
	var out api.ParkedList
	err := s.o.DB.View(r.Context(), func(tx store.Tx) error {
		sources := []string{src}
		if src == "" {
			var err error
			if sources, err = store.PositionSources(tx); err != nil {
				return err
			}
		}
		for _, src := range sources {
			ids, err := source.ParkedIDs(positionsOf(tx, src))
			if err != nil {
				return err
			}
			for _, id := range slices.Backward(ids) {
				if len(out.Messages) == limit {
					out.More = true
					return nil
				}
				m, err := source.GetParked(positionsOf(tx, src), id)
				if err != nil {
					return err
				}
				if m == nil {
					continue
				}
				out.Messages = append(out.Messages, api.Parked{
					Source: src, ID: m.ID, Reason: m.Reason, Sent: m.Sent.UTC(), Parked: m.Parked.UTC(), Receives: m.Receives, Body: m.Body, Cut: m.Cut(),
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
	case in.Source == "":
		return invalid("source is needed")
	case in.All == (len(in.IDs) > 0):
		return invalid("give either ids or all")
	}
	var ids []string
	err := s.o.DB.View(r.Context(), func(tx store.Tx) (err error) {
		ids, err = source.ParkedIDs(positionsOf(tx, in.Source))
		return err
	})
	if err != nil {
		return err
	}
	if !in.All {
		for _, id := range in.IDs {
			if !slices.Contains(ids, id) {
				return &api.Error{
					Code: api.NotFound, Message: fmt.Sprintf("source %q has no parked message %q", in.Source, id),
					Hint: "'debut sources parked' lists them; one that was dealt with is gone",
				}
			}
		}
		ids = slices.Compact(slices.Sorted(slices.Values(in.IDs)))
	}
	wait, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), retryWait)
	defer cancel()
	results, err := s.o.Daemon.Retry(wait, in.Source, ids)
	if err != nil {
		return err
	}
	out, done := api.RetryReport{Messages: make([]api.Retried, len(ids))}, 0
	for i, id := range ids {
		reason, known := results[id]
		switch {
		case !known:
			out.Messages[i] = api.Retried{ID: id, State: "trying"}
		case reason != nil:
			out.Messages[i] = api.Retried{ID: id, State: "parked", Reason: reason.Error()}
		default:
			out.Messages[i] = api.Retried{ID: id, State: "done"}
			done++
		}
	}
	err = s.audit(r, store.Entry{
		Action: "parked.retry", Object: in.Source, Detail: fmt.Sprintf("%d tried again, %d done with", len(ids), done),
	})
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, out)
}
