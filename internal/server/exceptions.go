package server

import (
	"context"
	"net/http"
	"slices"

	"github.com/debutsec/debut/internal/server/api"
	"github.com/debutsec/debut/internal/store"
)

// maxExceptions bounds how many are stored.
const maxExceptions = 10_000

func (s *Server) listExceptions(w http.ResponseWriter, r *http.Request) error {
	if err := s.params(r).done(); err != nil {
		return err
	}
	out := api.ExceptionList{}
	err := s.o.DB.View(r.Context(), func(tx store.Tx) error {
		for e, err := range store.AllExceptions(tx) {
			if err != nil {
				return err
			}
			out.Exceptions = append(out.Exceptions, e)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, out)
}

func (s *Server) showException(w http.ResponseWriter, r *http.Request) error {
	if err := s.params(r).done(); err != nil {
		return err
	}
	var e *store.Exception
	err := s.o.DB.View(r.Context(), func(tx store.Tx) (err error) {
		e, err = exceptionOf(tx, r.PathValue("id"))
		return err
	})
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, e)
}

func exceptionOf(tx store.Tx, id string) (*store.Exception, error) {
	for e, err := range store.AllExceptions(tx) {
		if err != nil {
			return nil, err
		}
		if e.ID == id {
			return e, nil
		}
	}
	return nil, &api.Error{Code: api.NotFound, Message: "there is no exception " + id}
}

func (s *Server) readException(r *http.Request) (*store.Exception, error) {
	var in api.ExceptionInput
	if err := firstError(s.params(r).done(), readJSON(r, &in)); err != nil {
		return nil, err
	}
	who, now := identity(r.Context()), s.o.Now().UTC()
	return &store.Exception{
		ID: store.NewID(), Name: in.Name, Comment: in.Comment, RuleIDs: in.RuleIDs, Entries: in.Entries, Expire: in.Expire,
		By: who.By, Created: now, Updated: now,
	}, nil
}

func (s *Server) testException(w http.ResponseWriter, r *http.Request) error {
	e, err := s.readException(r)
	if err != nil {
		return err
	}
	t, err := s.try(r.Context(), e)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, t)
}

func (s *Server) addException(w http.ResponseWriter, r *http.Request) error {
	e, err := s.readException(r)
	if err != nil {
		return err
	}
	return s.saveException(w, r, e, "")
}

func (s *Server) putException(w http.ResponseWriter, r *http.Request) error {
	e, err := s.readException(r)
	if err != nil {
		return err
	}
	return s.saveException(w, r, e, r.PathValue("id"))
}

// saveException stores an exception, in the place of another if there is one to
// replace, after it was tested; then it acts.
func (s *Server) saveException(w http.ResponseWriter, r *http.Request, e *store.Exception, replace string) error {
	t, err := s.try(r.Context(), e)
	if err != nil {
		return err
	}
	e.Hides = t.Hides
	who := identity(r.Context())
	status := http.StatusCreated
	err = s.o.DB.Update(r.Context(), func(tx store.Tx) error {
		if replace != "" {
			old, err := exceptionOf(tx, replace)
			if err != nil {
				return err
			}
			e.ID, e.Created, status = old.ID, old.Created, http.StatusOK
		} else if n, err := exceptions(tx); err != nil || n >= maxExceptions {
			return firstError(err, invalid("there are %d exceptions already; delete those that are over", n))
		}
		return firstError(store.PutException(tx, e), store.AddEntry(tx, &store.Entry{
			Time: e.Updated, By: who.By, From: who.From, Action: "exception.put", Object: e.ID, Detail: e.Name,
		}))
	})
	if err != nil {
		return err
	}
	s.apply(r.Context(), who.By)
	return reply(w, status, api.ExceptionSaved{Exception: e, Trial: t})
}

func exceptions(tx store.Tx) (n int, err error) {
	for _, err := range store.AllExceptions(tx) {
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// knownRules refuses an exception for a rule that is not there: it would wait for ever.
func (s *Server) knownRules(member string, ids []string) error {
	if s.o.Daemon == nil {
		return nil
	}
	rules := s.o.Daemon.Rules()
	for _, id := range ids {
		if !slices.ContainsFunc(rules, func(r api.RuleStatus) bool { return r.ID == id }) {
			return &api.Error{Code: api.Invalid, Message: member + ": no rule with the id " + id + " is loaded", Hint: "'debut rules list' shows the ids"}
		}
	}
	return nil
}

// apply makes a change of exceptions act. It is stored already; if the rules cannot be
// loaded at the moment, it acts as soon as they can.
func (s *Server) apply(ctx context.Context, by string) {
	if s.o.Daemon == nil {
		return
	}
	// Who asked may be gone by now.
	if _, err := s.o.Daemon.Reload(context.WithoutCancel(ctx), by); err != nil {
		s.log.Error("an exception was stored and does not act yet: the rules could not be loaded", "error", err)
	}
}

func (s *Server) deleteException(w http.ResponseWriter, r *http.Request) error {
	if err := s.params(r).done(); err != nil {
		return err
	}
	who, id := identity(r.Context()), r.PathValue("id")
	err := s.o.DB.Update(r.Context(), func(tx store.Tx) error {
		e, err := exceptionOf(tx, id)
		if err != nil {
			return err
		}
		return firstError(store.DeleteException(tx, id), store.AddEntry(tx, &store.Entry{
			Time: s.o.Now().UTC(), By: who.By, From: who.From, Action: "exception.delete", Object: id, Detail: e.Name,
		}))
	})
	if err != nil {
		return err
	}
	s.apply(r.Context(), who.By)
	w.WriteHeader(http.StatusNoContent)
	return nil
}
