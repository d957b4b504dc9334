package ecs

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/debutsec/debut/internal/rawjson"
)

// HashID returns the ID of the event with that eventID in that account: the one
// that received the record.
func HashID(account, eventID string) ID {
	var buf [128]byte
	b := binary.AppendUvarint(buf[:0], uint64(len(account)))
	b = append(b, account...)
	b = append(b, eventID...)
	sum := sha256.Sum256(b)
	return ID(sum[:16])
}

// HashContent returns the ID of an event that has no id of its own.
func HashContent(raw []byte) ID {
	sum := sha256.Sum256(raw)
	return ID(sum[:16])
}

// ParseDocument reads one JSON object. Of duplicate names the first counts.
func ParseDocument(raw []byte) (Document, error) {
	start := rawjson.Space(raw, 0)
	end, err := rawjson.Skip(raw, start)
	switch {
	case err != nil:
		return nil, fmt.Errorf("parse a document: %w", err)
	case rawjson.Space(raw, end) != len(raw):
		return nil, errors.New("parse a document: there is text behind it")
	case raw[start] != '{':
		return nil, errors.New("parse a document: it is not an object")
	}
	m, _ := Tree(raw[start:end]).(map[string]any)
	return m, nil
}

// Tree builds the tree of a JSON value whose grammar has been checked. Nothing of
// raw is shared.
func Tree(raw []byte) any {
	if len(raw) == 0 {
		return nil
	}
	v, _ := tree(raw, 0)
	return v
}

// tree builds the tree of the value that begins at b[i], and returns the index behind
// it. It sees every byte once, however deep they lie.
func tree(b []byte, i int) (any, int) {
	switch b[i] {
	case '{':
		m := make(map[string]any)
		for i = rawjson.Space(b, i+1); b[i] != '}'; {
			end, _ := rawjson.SkipString(b, i)
			name := rawjson.String(b[i:end])
			var v any
			v, i = tree(b, rawjson.Space(b, rawjson.Space(b, end)+1))
			if _, dup := m[name]; !dup {
				m[strings.Clone(name)] = v
			}
			if i = rawjson.Space(b, i); b[i] == ',' {
				i = rawjson.Space(b, i+1)
			}
		}
		return m, i + 1
	case '[':
		list := []any{}
		for i = rawjson.Space(b, i+1); b[i] != ']'; {
			var v any
			v, i = tree(b, i)
			list = append(list, v)
			if i = rawjson.Space(b, i); b[i] == ',' {
				i = rawjson.Space(b, i+1)
			}
		}
		return list, i + 1
	}
	end, _ := rawjson.Skip(b, i)
	switch raw := b[i:end]; raw[0] {
	case '"':
		return strings.Clone(rawjson.String(raw)), end
	case 't', 'f':
		return raw[0] == 't', end
	case 'n':
		return nil, end
	default:
		return Number(raw), end
	}
}

// A JSONEvent is an event that is an ECS document already: from Filebeat, Elastic
// Agent or a cluster.
type JSONEvent struct {
	doc    Document
	time   time.Time
	id     ID
	values map[*Field][]string
}

var _ Event = (*JSONEvent)(nil)

// ParseJSON reads an ECS document. It must have a usable @timestamp.
func ParseJSON(_ *Catalogue, raw []byte) (*JSONEvent, error) {
	doc, err := ParseDocument(raw)
	if err != nil {
		return nil, err
	}
	e := &JSONEvent{doc: doc, values: make(map[*Field][]string)}
	stamp := doc.Values("@timestamp")
	if len(stamp) != 1 {
		return nil, errors.New("the document has no @timestamp")
	}
	t, err := time.Parse(time.RFC3339Nano, stamp[0])
	if err != nil {
		return nil, fmt.Errorf("its @timestamp %q is not a time", stamp[0])
	}
	if t.Year() < 1700 || t.Year() > 2200 {
		return nil, fmt.Errorf("its @timestamp %q is out of range", stamp[0])
	}
	e.time = t.UTC()
	account := doc.Values("aws.cloudtrail.recipient_account_id")
	if account == nil {
		account = doc.Values("cloud.account.id")
	}
	if id := doc.Values("event.id"); len(id) == 1 && id[0] != "" {
		e.id = HashID(first(account), id[0])
	} else {
		e.id = HashContent(raw)
	}
	if doc.Values("debut.principal") == nil {
		if p := e.principal(); p != "" {
			doc.Set("debut.principal", p)
		}
	}
	return e, nil
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

// Values implements [Event].
func (e *JSONEvent) Values(f *Field) []string {
	if v, ok := e.values[f]; ok {
		return v
	}
	v := e.doc.Values(cmp.Or(f.Of, f.Name))
	if f.Type == Date {
		for i, s := range v {
			if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
				v[i] = t.UTC().Format(TimeFormat)
			}
		}
	}
	e.values[f] = v
	return v
}

// TimeFormat is how documents print times: RFC 3339 with milliseconds and Z.
const TimeFormat = "2006-01-02T15:04:05.000Z"

// Time implements [Event].
func (e *JSONEvent) Time() time.Time { return e.time }

// ID implements [Event].
func (e *JSONEvent) ID() ID { return e.id }

// Document implements [Event].
func (e *JSONEvent) Document() Document {
	m, _ := clone(map[string]any(e.doc)).(map[string]any)
	return m
}

func clone(v any) any {
	switch v := v.(type) {
	case map[string]any:
		m := make(map[string]any, len(v))
		for k, c := range v {
			m[k] = clone(c)
		}
		return m
	case []any:
		list := make([]any, len(v))
		for i, c := range v {
			list[i] = clone(c)
		}
		return list
	}
	return v
}

// principal is the stable principal as far as the document tells it.
func (e *JSONEvent) principal() string {
	get := func(name string) string { return first(e.doc.Values("aws.cloudtrail.user_identity." + name)) }
	return Principal(Identity{
		Type: get("type"), ARN: get("arn"), IssuerARN: get("session_context.session_issuer.arn"),
		Account: first(e.doc.Values("cloud.account.id")), PrincipalID: first(e.doc.Values("user.id")),
		OnBehalfOf: get("on_behalf_of.user_id"), Provider: get("identity_provider"), InvokedBy: get("invoked_by"),
	})
}
