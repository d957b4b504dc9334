package server

import (
	"net/http"
	"slices"
	"strings"

	"github.com/debutsec/debut/internal/server/api"
	"github.com/debutsec/debut/internal/store"
)

const maxTokens = 10_000

func tokenView(t *store.Token) api.Token {
	return api.Token{ID: t.ID, Name: t.Name, Role: t.Role, Created: t.Created, Expire: t.Expire, Used: t.Used}
}

func (s *Server) listTokens(w http.ResponseWriter, r *http.Request) error {
	if err := s.params(r).done(); err != nil {
		return err
	}
	var out api.TokenList
	err := s.o.DB.View(r.Context(), func(tx store.Tx) error {
		for t, err := range store.AllTokens(tx) {
			if err != nil {
				return err
			}
			out.Tokens = append(out.Tokens, tokenView(t))
		}
		return nil
	})
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, out)
}

func (s *Server) addToken(w http.ResponseWriter, r *http.Request) error {
	var in api.TokenInput
	if err := firstError(s.params(r).done(), readJSON(r, &in)); err != nil {
		return err
	}
	now := s.o.Now().UTC()
	in.Name = strings.TrimSpace(in.Name)
	switch {
	case in.Name == "" || len(in.Name) > 64 || strings.ContainsFunc(in.Name, func(c rune) bool { return c < ' ' || c > '~' }):
		return invalid("name: give 1 to 64 printable ASCII characters; the audit log shows them")
	case strings.EqualFold(in.Name, "debut") || strings.EqualFold(in.Name, "local"):
		return invalid("name: %q stands for what the program does itself, or somebody at its console: take another", in.Name)
	case !slices.Contains(Roles(), in.Role):
		return invalid("role is %q, not %s", in.Role, strings.Join(Roles(), ", "))
	case !in.Expire.IsZero() && !in.Expire.After(now):
		return invalid("expire is not in the future")
	}
	secret := NewSecret()
	t := &store.Token{ID: store.NewID(), Name: in.Name, Role: in.Role, Hash: HashSecret(secret), Created: now, Expire: in.Expire}
	who := identity(r.Context())
	err := s.o.DB.Update(r.Context(), func(tx store.Tx) error {
		n := 0
		for have, err := range store.AllTokens(tx) {
			if err != nil {
				return err
			}
			if have.Name == in.Name {
				return &api.Error{Code: api.Conflict, Message: "there is a token of that name already", Hint: "delete it, or take another name: the audit log tells people apart by it"}
			}
			if n++; n >= maxTokens {
				return invalid("there are %d tokens already; delete those that nobody uses", n)
			}
		}
		return firstError(store.PutToken(tx, t), store.AddEntry(tx, &store.Entry{
			Time: now, By: who.By, From: who.From, Action: "token.create", Object: t.ID, Detail: t.Name + ", " + t.Role,
		}))
	})
	if err != nil {
		return err
	}
	return reply(w, http.StatusCreated, api.NewToken{Token: tokenView(t), Value: t.ID + "." + secret})
}

func (s *Server) deleteToken(w http.ResponseWriter, r *http.Request) error {
	if err := s.params(r).done(); err != nil {
		return err
	}
	who, id := identity(r.Context()), r.PathValue("id")
	err := s.o.DB.Update(r.Context(), func(tx store.Tx) error {
		t, err := store.GetToken(tx, id)
		switch {
		case err != nil:
			return err
		case t == nil:
			return &api.Error{Code: api.NotFound, Message: "there is no token " + id}
		}
		return firstError(store.DeleteToken(tx, id), store.AddEntry(tx, &store.Entry{
			Time: s.o.Now().UTC(), By: who.By, From: who.From, Action: "token.delete", Object: id, Detail: t.Name,
		}))
	})
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Server) listAudit(w http.ResponseWriter, r *http.Request) error {
	p := s.params(r)
	from, to, limit := p.time("from"), p.time("to"), p.limit(defaultPage, maxPage)
	if err := p.done(); err != nil {
		return err
	}
	var out api.AuditPage
	err := s.o.DB.View(r.Context(), func(tx store.Tx) error {
		for e, err := range store.AuditBy(tx, from, to) {
			if err != nil {
				return err
			}
			// A page ends between two instants, so that the time alone tells where
			// the next one begins. One transaction writes a bounded number of
			// entries of one instant.
			if n := len(out.Entries); n >= limit && !out.Entries[n-1].Time.Equal(e.Time) {
				out.Next = out.Entries[n-1].Time
				return nil
			}
			out.Entries = append(out.Entries, e)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, out)
}
