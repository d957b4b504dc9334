package server

import (
	"bytes"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/store"
)

// A member of a JSON object.
type member struct {
	name  string
	value any
}

func stamp(t time.Time) string { return t.UTC().Format(ecs.TimeFormat) }

// workflow is what has become of an alert, in Kibana's names; appendDocument adds what
// only Debut has.
func workflow(a *store.Alert) []member {
	out := []member{
		{"kibana.alert.uuid", a.UUID},
		{"kibana.alert.workflow_status", a.Status},
		{"kibana.alert.workflow_tags", texts(a.Tags)},
		{"kibana.alert.workflow_assignee_ids", texts(a.Assignees)},
	}
	if a.Reason != "" {
		out = append(out, member{"kibana.alert.workflow_reason", a.Reason})
	}
	if !a.ClosedAt.IsZero() {
		out = append(out, member{"kibana.alert.workflow_status_updated_at", stamp(a.ClosedAt)})
	}
	if len(a.Windows) > 0 {
		out = append(out, member{"kibana.alert.maintenance_window_ids", a.Windows})
	}
	return out
}

func texts(list []string) []string { return append([]string{}, list...) }

// about is Debut's own part.
func about(a *store.Alert) []member {
	out := []member{
		{"handle", a.Handle}, {"withheld", a.Withheld}, {"withdrawn", a.Withdrawn}, {"provisional", a.Provisional}, {"manual", a.Manual},
	}
	if len(a.Former) > 0 {
		out = append(out, member{"former_uuids", a.Former})
	}
	if a.JoinedInto != "" {
		out = append(out, member{"joined_into", a.JoinedInto})
	}
	if len(a.Linked) > 0 {
		out = append(out, member{"linked", a.Linked})
	}
	if len(a.Notes) > 0 {
		out = append(out, member{"notes", a.Notes})
	}
	return out
}

// appendDocument appends the stored document of an alert with its workflow.
func appendDocument(b []byte, a *store.Alert, d *store.AlertDocument) ([]byte, error) {
	own := []member{{"alert", about(a)}}
	if t := &a.Triage; t.Version > 0 {
		own = append(own, member{"triage", []member{
			{"version", t.Version}, {"verdict", t.Verdict}, {"score", t.Score}, {"confidence", t.Confidence}, {"summary", t.Summary},
		}})
	}
	members := append(workflow(a), member{"debut", own})
	out, err := merge(d.Document, members)
	if err != nil {
		return nil, err
	}
	return append(b, out...), nil
}

// merge returns an object with members set; a value that is members itself is merged
// into the object that is there. Other members stay where they are, byte for byte.
func merge(object jsontext.Value, members []member) (jsontext.Value, error) {
	done := make([]bool, len(members))
	var b bytes.Buffer
	b.WriteByte('{')
	put := func(name string, value jsontext.Value) error {
		if b.Len() > 1 {
			b.WriteByte(',')
		}
		quoted, err := jsontext.AppendQuote(nil, name)
		if err != nil {
			return err
		}
		b.Write(quoted)
		b.WriteByte(':')
		b.Write(value)
		return nil
	}
	for name, value := range objectMembers(object) {
		if value == nil {
			return nil, fmt.Errorf("it is no JSON object: %w", store.ErrDamaged)
		}
		for i := range members {
			if members[i].name == name {
				v, err := encodeMember(&members[i], value)
				if err != nil {
					return nil, err
				}
				value, done[i] = v, true
			}
		}
		if err := put(name, value); err != nil {
			return nil, err
		}
	}
	for i := range members {
		if done[i] {
			continue
		}
		v, err := encodeMember(&members[i], nil)
		if err != nil {
			return nil, err
		}
		if err := put(members[i].name, v); err != nil {
			return nil, err
		}
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

func encodeMember(m *member, old jsontext.Value) (jsontext.Value, error) {
	if inner, ok := m.value.([]member); ok {
		if old.Kind() != '{' {
			old = jsontext.Value("{}")
		}
		return merge(old, inner)
	}
	return json.Marshal(m.value, json.Deterministic(true))
}

// objectMembers yields the members of an object; one with a nil value if it is none.
func objectMembers(object jsontext.Value) func(yield func(string, jsontext.Value) bool) {
	return func(yield func(string, jsontext.Value) bool) {
		dec := jsontext.NewDecoder(bytes.NewReader(object), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
		if t, err := dec.ReadToken(); err != nil || t.Kind() != '{' {
			yield("", nil)
			return
		}
		for dec.PeekKind() == '"' {
			t, err := dec.ReadToken()
			if err != nil {
				yield("", nil)
				return
			}
			name := t.String()
			v, err := dec.ReadValue()
			if err != nil {
				yield("", nil)
				return
			}
			if !yield(name, bytes.Clone(v)) {
				return
			}
		}
		if t, err := dec.ReadToken(); err != nil || t.Kind() != '}' {
			yield("", nil)
		}
	}
}

// firstNames returns a value in which every object has each name once, the first: that
// is the one that rules read. Text that is not UTF-8 is mended.
func firstNames(v jsontext.Value) (jsontext.Value, error) {
	switch v.Kind() {
	case '{':
		var b bytes.Buffer
		b.WriteByte('{')
		seen := map[string]bool{}
		for name, value := range objectMembers(v) {
			if value == nil {
				return nil, fmt.Errorf("it is no JSON: %w", store.ErrDamaged)
			}
			if seen[name] {
				continue
			}
			value, err := firstNames(value)
			if err != nil {
				return nil, err
			}
			quoted, err := jsontext.AppendQuote(nil, name)
			if err != nil {
				return nil, err
			}
			if len(seen) > 0 {
				b.WriteByte(',')
			}
			seen[name] = true
			b.Write(quoted)
			b.WriteByte(':')
			b.Write(value)
		}
		b.WriteByte('}')
		return b.Bytes(), nil
	case '[':
		dec := jsontext.NewDecoder(bytes.NewReader(v), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
		if _, err := dec.ReadToken(); err != nil {
			return nil, err
		}
		var b bytes.Buffer
		b.WriteByte('[')
		for dec.PeekKind() != ']' {
			element, err := dec.ReadValue()
			if err != nil {
				return nil, err
			}
			element, err = firstNames(bytes.Clone(element))
			if err != nil {
				return nil, err
			}
			if b.Len() > 1 {
				b.WriteByte(',')
			}
			b.Write(element)
		}
		b.WriteByte(']')
		return b.Bytes(), nil
	case '"':
		out := bytes.Clone(v)
		err := (*jsontext.Value)(&out).Canonicalize(jsontext.AllowInvalidUTF8(true))
		return out, err
	default:
		return v, nil
	}
}
