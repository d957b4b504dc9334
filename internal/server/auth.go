package server

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/debutsec/debut/internal/server/api"
	"github.com/debutsec/debut/internal/store"
)

// Roles of tokens. Each of the first three may do what those before it may; push may
// only send records, which admin may too.
const (
	RoleRead   = "read"
	RoleTriage = "triage"
	RoleAdmin  = "admin"
	RolePush   = "push"
)

// Roles returns all of them.
func Roles() []string { return []string{RoleRead, RoleTriage, RoleAdmin, RolePush} }

// allows reports whether somebody with the role have may do what need is needed for.
func allows(have, need string) bool {
	if need == RolePush || have == RolePush {
		return have == need || have == RoleAdmin
	}
	order := []string{RoleRead, RoleTriage, RoleAdmin}
	return slices.Contains(order, have) && slices.Index(order, have) >= slices.Index(order, need)
}

// An Identity is who asks.
type Identity struct {
	By   string // as the audit log names them
	From string // address, or "command"
	Role string
}

type identityKey struct{}

func withIdentity(ctx context.Context, who Identity) context.Context {
	return context.WithValue(ctx, identityKey{}, who)
}

func identity(ctx context.Context) Identity {
	who, _ := ctx.Value(identityKey{}).(Identity)
	return who
}

// UserHeader names the user of a command that uses the token of the data folder.
const UserHeader = "Debut-User"

const (
	localID   = "local"
	maxSecret = 256
)

// local is the token for commands on this machine.
type local struct{ hash []byte }

func (l *local) make() string {
	secret := NewSecret()
	l.hash = HashSecret(secret)
	return localID + "." + secret
}

// NewSecret returns 256 random bits as text.
func NewSecret() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// HashSecret is how a secret is kept. A slow hash would add nothing to 256 bits.
func HashSecret(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}

func unauthorized(message string) error {
	return &api.Error{
		Code: api.Unauthorized, Message: message,
		Hint: "send the header 'Authorization: Bearer ID.SECRET'; 'debut tokens create' makes a token",
	}
}

// credentials finds the token in a request, in the ways in which those who send
// records can: as a bearer token, as Elasticsearch's API key or user and password, and
// as Firehose's access key.
func credentials(r *http.Request) (id, secret string, ok bool) {
	header := r.Header.Get("Authorization")
	scheme, value, _ := strings.Cut(header, " ")
	value = strings.TrimSpace(value)
	switch strings.ToLower(scheme) {
	case "bearer":
		id, secret, ok = strings.Cut(value, ".")
	case "apikey":
		b, err := base64.StdEncoding.DecodeString(value)
		if err != nil {
			return "", "", false
		}
		id, secret, ok = strings.Cut(string(b), ":")
	case "basic":
		id, secret, ok = r.BasicAuth()
	case "":
		id, secret, ok = strings.Cut(r.Header.Get("X-Amz-Firehose-Access-Key"), ".")
	}
	if len(id) > maxSecret || len(secret) > maxSecret {
		return "", "", false
	}
	return id, secret, ok && id != "" && secret != ""
}

// authenticate says who sends a request.
func (s *Server) authenticate(r *http.Request) (Identity, error) {
	id, secret, ok := credentials(r)
	if !ok {
		return Identity{}, unauthorized("no token was sent, or it has another form than ID.SECRET")
	}
	from := remote(r)
	hash := HashSecret(secret)
	if id == localID && s.local.hash != nil {
		if subtle.ConstantTimeCompare(hash, s.local.hash) != 1 {
			return Identity{}, unauthorized("the token is not valid")
		}
		return Identity{By: localUser(r), From: from, Role: RoleAdmin}, nil
	}
	var t *store.Token
	err := s.o.DB.View(r.Context(), func(tx store.Tx) (err error) {
		t, err = store.GetToken(tx, id)
		return err
	})
	if err != nil {
		return Identity{}, err
	}
	have := make([]byte, sha256.Size)
	if t != nil {
		copy(have, t.Hash)
	}
	if subtle.ConstantTimeCompare(hash, have) != 1 || t == nil || len(t.Hash) != sha256.Size {
		return Identity{}, unauthorized("the token is not valid")
	}
	now := s.o.Now()
	if !t.Expire.IsZero() && !now.Before(t.Expire) {
		return Identity{}, &api.Error{
			Code: api.Unauthorized, Message: "the token has expired at " + t.Expire.UTC().Format(time.RFC3339),
			Hint: "make a new one with 'debut tokens create'",
		}
	}
	if now.Sub(t.Used) >= time.Hour {
		s.used(r.Context(), id, now)
	}
	return Identity{By: t.Name, From: from, Role: t.Role}, nil
}

// localUser is who the command says runs it: whoever can read the token of the data
// folder can do anything anyway.
func localUser(r *http.Request) string {
	name := strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' {
			return -1
		}
		return c
	}, r.Header.Get(UserHeader))
	if name == "" || len(name) > 64 {
		return localID
	}
	return name
}

// used notes that a token is in use, to the hour. That it cannot be noted is no reason
// to refuse the request.
func (s *Server) used(ctx context.Context, id string, now time.Time) {
	err := s.o.DB.Update(ctx, func(tx store.Tx) error {
		t, err := store.GetToken(tx, id)
		if err != nil || t == nil {
			return err
		}
		t.Used = now.UTC().Truncate(time.Hour)
		return store.PutToken(tx, t)
	})
	if err != nil {
		s.log.Warn("note the use of a token", "token", id, "error", err)
	}
}

func remote(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// hostAllowed keeps a web page from reaching the server through a name of its own that
// it lets point to this machine: an address cannot be made to.
func (s *Server) hostAllowed(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	return net.ParseIP(host) != nil || strings.EqualFold(host, "localhost") ||
		slices.ContainsFunc(s.o.Names, func(n string) bool { return strings.EqualFold(n, host) })
}

// A limiter bounds how many failed attempts of an address are worth an answer of their
// own and a line in the log. Secrets have 256 bits, so nobody is kept from guessing by
// it, and nobody with a good token is locked out by others behind the same address.
type limiter struct {
	now  func() time.Time
	mu   sync.Mutex
	seen map[string]*attempts
}

type attempts struct {
	since time.Time
	n     int
}

const (
	maxFailures  = 10 // of an address, in a minute
	failureSpan  = time.Minute
	maxAddresses = 4096
)

// fail notes a failed attempt, and returns how long to wait if there are too many.
func (l *limiter) fail(address string) (wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if l.seen == nil {
		l.seen = map[string]*attempts{}
	}
	a := l.seen[address]
	if a == nil || now.Sub(a.since) >= failureSpan || now.Before(a.since) {
		if len(l.seen) >= maxAddresses {
			l.forget(now)
		}
		a = &attempts{since: now}
		l.seen[address] = a
	}
	if a.n++; a.n > maxFailures {
		return a.since.Add(failureSpan).Sub(now)
	}
	return 0
}

// forget makes room: of those that are over, or else of all.
func (l *limiter) forget(now time.Time) {
	for k, a := range l.seen {
		if now.Sub(a.since) >= failureSpan {
			delete(l.seen, k)
		}
	}
	if len(l.seen) >= maxAddresses {
		clear(l.seen)
	}
}
