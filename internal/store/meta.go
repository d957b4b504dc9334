package store

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"iter"
	"time"
)

// Fact reads a small fact about the store into v; ok is false if it was never stored.
func Fact(tx Tx, name string, v any) (ok bool, err error) { return getJSON(tx, Meta, []byte(name), v) }

// PutFact stores it.
func PutFact(tx Tx, name string, v any) error { return putJSON(tx, Meta, []byte(name), v) }

// Names of facts.
const (
	FactFolded      = "folded"      // int64: the log offset up to which everything is committed
	FactRemembered  = "remembered"  // int64: the log offset up to which all of memory is committed
	FactStart       = "start"       // time.Time: T0, the start of alerting; zero: from the beginning
	FactProvisional = "provisional" // bool: new-terms alerts are held back while the history is read
	FactCreated     = "created"     // time.Time
	FactNextRule    = "next_rule"   // int32: the number that the next version of a rule gets
)

// A RuleKey is a version of a rule: memory belongs to its fingerprint.
type RuleKey struct {
	Number      int32     `json:"number"`
	RuleID      string    `json:"rule_id"`
	Name        string    `json:"name"`
	Fingerprint string    `json:"fingerprint"`
	Since       time.Time `json:"since"` // when this version came into use
	// Start is the event time from which on this version alerts; zero: as the store.
	Start time.Time `json:"start,omitzero"`
	// Retired: another version has taken over.
	Retired bool `json:"retired,omitempty"`
	// Rebuilt: its memory was read back from the event store.
	Rebuilt bool `json:"rebuilt,omitempty"`
}

func ruleKeyKey(id, fingerprint string) []byte {
	return append(keyText(nil, clean(id)), fingerprint...)
}

// GetRuleKey returns the version of a rule with that fingerprint, nil if it is new.
func GetRuleKey(tx Tx, id, fingerprint string) (*RuleKey, error) {
	var k RuleKey
	ok, err := getJSON(tx, RuleKeys, ruleKeyKey(id, fingerprint), &k)
	if err != nil || !ok {
		return nil, err
	}
	return &k, nil
}

// PutRuleKey stores a version of a rule. One without a number gets the next.
func PutRuleKey(tx Tx, k *RuleKey) error {
	if k.Number == 0 {
		var next int32
		if _, err := Fact(tx, FactNextRule, &next); err != nil {
			return err
		}
		k.Number = next + 1
		if err := PutFact(tx, FactNextRule, k.Number); err != nil {
			return err
		}
	}
	return putJSON(tx, RuleKeys, ruleKeyKey(k.RuleID, k.Fingerprint), k)
}

// RuleVersions yields every version of every rule, or of the one with that id.
func RuleVersions(tx Tx, id string) iter.Seq2[*RuleKey, error] {
	var prefix, end []byte
	if id != "" {
		prefix = keyText(nil, clean(id))
		end = Behind(prefix)
	}
	return listJSON[RuleKey](tx.Range(RuleKeys, prefix, end), RuleKeys)
}

// Position and PutPosition keep what a source remembers.
func Position(tx Tx, source, name string) ([]byte, error) {
	return tx.Get(Positions, positionKey(source, name))
}

// PutPosition stores a position; nil forgets it.
func PutPosition(tx Tx, source, name string, value []byte) error {
	if value == nil {
		return tx.Delete(Positions, positionKey(source, name))
	}
	return tx.Put(Positions, positionKey(source, name), value)
}

// AllPositions yields the positions of a source by name.
func AllPositions(tx Tx, source string) iter.Seq2[Pair, error] {
	prefix := keyText(nil, clean(source))
	return func(yield func(Pair, error) bool) {
		for p, err := range tx.Range(Positions, prefix, Behind(prefix)) {
			if err == nil {
				p.Key = p.Key[len(prefix):]
			}
			if !yield(p, err) || err != nil {
				return
			}
		}
	}
}

// PositionSources returns the names of the sources that remember something, in order.
func PositionSources(tx Tx) ([]string, error) {
	var out []string
	for n := -1; n < len(out); {
		n = len(out)
		var from []byte
		if n > 0 {
			from = Behind(keyText(nil, out[n-1]))
		}
		for p, err := range tx.Range(Positions, from, nil) {
			if err != nil {
				return nil, err
			}
			name, _, _ := bytes.Cut(p.Key, []byte{0})
			out = append(out, string(name))
			break
		}
	}
	return out, nil
}

func positionKey(source, name string) []byte {
	key := append(keyText(nil, clean(source)), name...)
	if len(key) <= 512 {
		return key
	}
	id := ObjectID(name, "") // too long for a key: its hash
	return fmt.Appendf(keyText(nil, clean(source)), "%.256s~%x", name, id)
}

// A Run is one run of work that was asked for: a backfill, a reload.
type Run struct {
	ID      string           `json:"id"`
	Kind    string           `json:"kind"` // backfill, reload
	By      string           `json:"by"`
	Started time.Time        `json:"started"`
	Ended   time.Time        `json:"ended,omitzero"`
	Status  string           `json:"status"` // running, done, failed, interrupted
	Error   string           `json:"error,omitempty"`
	From    time.Time        `json:"from,omitzero"`
	To      time.Time        `json:"to,omitzero"`
	Rules   []string         `json:"rules,omitempty"`
	Counts  map[string]int64 `json:"counts,omitempty"`
}

// Statuses of a run.
const (
	RunRunning     = "running"
	RunDone        = "done"
	RunFailed      = "failed"
	RunInterrupted = "interrupted"
)

// NewID returns a random id of 16 hexadecimal digits.
func NewID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

func runKey(r *Run) []byte { return append(keyTime(nil, nanos(r.Started)), r.ID...) }

// PutRun stores a run under its start and ID.
func PutRun(tx Tx, r *Run) error { return putJSON(tx, Runs, runKey(r), r) }

// RunsBy yields the runs, the latest first.
func RunsBy(tx Tx) iter.Seq2[*Run, error] { return listJSON[Run](tx.Reverse(Runs, nil, nil), Runs) }

// An Entry of the audit log: who changed what.
type Entry struct {
	Time   time.Time `json:"time"`
	By     string    `json:"by"`             // name of the token, or of the local user
	From   string    `json:"from,omitempty"` // address, or "command"
	Action string    `json:"action"`         // alert.close, exception.put, rules.reload, …
	Object string    `json:"object,omitempty"`
	Detail string    `json:"detail,omitempty"`
}

// AddEntry appends to the audit log.
func AddEntry(tx Tx, e *Entry) error {
	// Entries of one instant are told apart by a number. The last of that instant is
	// looked for, not the last of all: the clock may have been set back.
	t := nanos(e.Time)
	var last uint32
	for p, err := range tx.Reverse(Audit, keyTime(nil, t), keyTime(nil, t+1)) {
		if err != nil {
			return err
		}
		if len(p.Key) == 12 {
			d := decoder{b: p.Key[8:]}
			last = uint32(d.number())
		}
		break
	}
	return putJSON(tx, Audit, keyNumber(keyTime(nil, t), last+1), e)
}

// AuditBy yields the audit log, the latest first.
func AuditBy(tx Tx, from, to time.Time) iter.Seq2[*Entry, error] {
	var first, end []byte
	if !from.IsZero() {
		first = keyTime(nil, nanos(from))
	}
	if !to.IsZero() {
		end = keyTime(nil, nanos(to))
	}
	return listJSON[Entry](tx.Reverse(Audit, first, end), Audit)
}

// An Exception is an exception item that a user added: Elastic's item, for some rules.
type Exception struct {
	ID      string   `json:"id"`
	Name    string   `json:"name"`
	Comment string   `json:"comment,omitempty"`
	RuleIDs []string `json:"rule_ids"`
	// Entries are Elastic's exception entries: field, type, operator, value.
	Entries []ExceptionEntry `json:"entries"`
	Expire  time.Time        `json:"expire,omitzero"` // compared with the event's time; zero: never
	By      string           `json:"by"`
	Created time.Time        `json:"created"`
	Updated time.Time        `json:"updated"`
	// Hides is how many alerts of the last days it would have hidden when it was saved.
	Hides int64 `json:"hides"`
}

// An ExceptionEntry is one condition of an item.
type ExceptionEntry struct {
	Field    string   `json:"field" toml:"field"`
	Type     string   `json:"type" toml:"type"`                             // match, match_any, exists, wildcard
	Operator string   `json:"operator,omitempty" toml:"operator,omitempty"` // included, excluded
	Values   []string `json:"values,omitempty" toml:"-"`
}

// PutException stores an exception; it must have an ID.
func PutException(tx Tx, e *Exception) error { return putJSON(tx, Exceptions, []byte(e.ID), e) }

// DeleteException removes one. It returns ErrNotFound if there is none.
func DeleteException(tx Tx, id string) error {
	b, err := tx.Get(Exceptions, []byte(id))
	if err == nil && b == nil {
		err = fmt.Errorf("exception %s: %w", id, ErrNotFound)
	}
	return cmp.Or(err, tx.Delete(Exceptions, []byte(id)))
}

// AllExceptions yields the exceptions by ID.
func AllExceptions(tx Tx) iter.Seq2[*Exception, error] {
	return listJSON[Exception](tx.Range(Exceptions, nil, nil), Exceptions)
}

// A Token lets somebody use the API. Only the hash of its secret is kept.
type Token struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Role    string    `json:"role"` // read, triage, admin, push
	Hash    []byte    `json:"hash"` // SHA-256 of the secret, which has 256 random bits
	Created time.Time `json:"created"`
	Expire  time.Time `json:"expire,omitzero"`
	Used    time.Time `json:"used,omitzero"` // to the hour
}

// PutToken stores a token under its ID.
func PutToken(tx Tx, t *Token) error { return putJSON(tx, Tokens, []byte(t.ID), t) }

// GetToken returns the token with that ID, nil if there is none.
func GetToken(tx Tx, id string) (*Token, error) {
	var t Token
	ok, err := getJSON(tx, Tokens, []byte(id), &t)
	if err != nil || !ok {
		return nil, err
	}
	return &t, nil
}

// DeleteToken removes one. It returns ErrNotFound if there is none.
func DeleteToken(tx Tx, id string) error {
	b, err := tx.Get(Tokens, []byte(id))
	if err == nil && b == nil {
		err = fmt.Errorf("token %s: %w", id, ErrNotFound)
	}
	return cmp.Or(err, tx.Delete(Tokens, []byte(id)))
}

// AllTokens yields the tokens by ID.
func AllTokens(tx Tx) iter.Seq2[*Token, error] {
	return listJSON[Token](tx.Range(Tokens, nil, nil), Tokens)
}
