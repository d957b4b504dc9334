package server

import (
	"net/http"
	"slices"
	"time"

	"github.com/debutsec/debut/internal/notify"
	"github.com/debutsec/debut/internal/server/api"
	"github.com/debutsec/debut/internal/store"
)

func silenceView(x *store.Silence, now time.Time) api.Silence {
	return api.Silence{Silence: *x, Active: x.Active(now), Ended: x.Ended(now)}
}

func (s *Server) listSilences(w http.ResponseWriter, r *http.Request) error {
	if err := s.params(r).done(); err != nil {
		return err
	}
	var out api.SilenceList
	now := s.o.Now()
	err := s.o.DB.View(r.Context(), func(tx store.Tx) error {
		for x, err := range store.AllSilences(tx) {
			if err != nil {
				return err
			}
			out.Silences = append(out.Silences, silenceView(x, now))
		}
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortStableFunc(out.Silences, func(a, b api.Silence) int { return a.Start.Compare(b.Start) })
	return reply(w, http.StatusOK, out)
}

func (s *Server) addSilence(w http.ResponseWriter, r *http.Request) error {
	var in api.SilenceInput
	if err := firstError(s.params(r).done(), readJSON(r, &in)); err != nil {
		return err
	}
	who, now := identity(r.Context()), s.o.Now().UTC()
	x := &store.Silence{
		ID: store.NewID(), Name: in.Name, Kind: in.Kind, Rules: in.Rules, Query: in.Query, Start: in.Start, End: in.End,
		Repeat: in.Repeat, By: who.By, Comment: in.Comment, Created: now,
	}
	if x.Start.IsZero() {
		x.Start = now
	}
	if err := s.checkSilence(x, now); err != nil {
		return err
	}
	err := s.o.DB.Update(r.Context(), func(tx store.Tx) error {
		n := 0
		for _, err := range store.AllSilences(tx) {
			if err != nil {
				return err
			}
			n++
		}
		if n >= store.MaxSilences {
			return invalid("there are %d silences already; delete those that are over", n)
		}
		return firstError(store.PutSilence(tx, x), store.AddEntry(tx, &store.Entry{
			Time: now, By: who.By, From: who.From, Action: "silence.put", Object: x.ID, Detail: string(x.Kind) + " " + x.Name,
		}))
	})
	if err != nil {
		return err
	}
	return reply(w, http.StatusCreated, silenceView(x, now))
}

func (s *Server) checkSilence(x *store.Silence, now time.Time) error {
	if err := x.Validate(); err != nil {
		return invalid("%v", err)
	}
	if x.Ended(now) {
		return invalid("end: the silence is over already")
	}
	if x.Query != "" {
		if c, diags := notify.CheckSilenceQuery(x.Query); c == nil && len(diags) > 0 {
			return diags
		}
	}
	return s.knownRules("rules", x.Rules)
}

func (s *Server) deleteSilence(w http.ResponseWriter, r *http.Request) error {
	if err := s.params(r).done(); err != nil {
		return err
	}
	who, id := identity(r.Context()), r.PathValue("id")
	err := s.o.DB.Update(r.Context(), func(tx store.Tx) error {
		x, err := store.GetSilence(tx, id)
		if err != nil {
			return err
		}
		return firstError(store.DeleteSilence(tx, id), store.AddEntry(tx, &store.Entry{
			Time: s.o.Now().UTC(), By: who.By, From: who.From, Action: "silence.delete", Object: id, Detail: x.Name,
		}))
	})
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// listMessages shows the outbox.
func (s *Server) listMessages(w http.ResponseWriter, r *http.Request) error {
	p := s.params(r)
	states, channels, limit := p.list("state"), p.list("channel"), p.limit(defaultPage, maxPage)
	if err := p.done(); err != nil {
		return err
	}
	if len(states) == 0 {
		states = []string{string(store.MessageWaiting), string(store.MessageDigested), string(store.MessageDead)}
	}
	known := []store.MessageState{store.MessageWaiting, store.MessageDigested, store.MessageDead, store.MessageSent}
	var want []store.MessageState
	for _, v := range states {
		if !slices.Contains(known, store.MessageState(v)) {
			return invalid("state is %q, not waiting, digested, dead or sent", v)
		}
		want = append(want, store.MessageState(v))
	}
	var out api.MessageList
	err := s.o.DB.View(r.Context(), func(tx store.Tx) (err error) {
		out.Messages, err = store.ListMessages(tx, want, channels, limit)
		return err
	})
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, out)
}
