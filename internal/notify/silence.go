package notify

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/alert"
	"github.com/debutsec/debut/internal/store"
	"github.com/debutsec/debut/kql"
	"github.com/debutsec/debut/query"
)

// Silences are maintenance windows and snoozes, compiled. They are immutable and safe
// for concurrent use. They silence notifications and nothing else: alerts are made and
// stored all the same, and [Router] is not told of them.
type Silences struct{ list []silence }

type silence struct {
	store.Silence

	rules map[string]bool
	expr  query.Expr // nil: any alert
}

// CompileSilences compiles what the store holds. A silence that cannot be compiled is
// left out, so that it silences nothing, and named in the error; the others work.
func CompileSilences(list []store.Silence) (*Silences, error) {
	var out Silences
	var errs []error
	cat := alert.NewCatalogue()
	for _, s := range list {
		c := silence{Silence: s}
		if err := s.Validate(); err != nil {
			errs = append(errs, fmt.Errorf("silence %q: %w", s.Name, err))
			continue
		}
		expr, diags := compileQuery(s.Query, cat)
		if slices.ContainsFunc(diags, func(d query.Diagnostic) bool { return d.Severity == query.Error }) {
			errs = append(errs, fmt.Errorf("silence %q: its query: %w", s.Name, diags))
			continue
		}
		c.expr = expr
		if len(s.Rules) > 0 {
			c.rules = make(map[string]bool, len(s.Rules))
			for _, id := range s.Rules {
				c.rules[id] = true
			}
		}
		out.list = append(out.list, c)
	}
	return &out, errors.Join(errs...)
}

// CheckSilenceQuery compiles the query of a silence, KQL over alert documents, and
// says what is wrong or questionable about it. The expression of an empty query is nil.
func CheckSilenceQuery(src string) (query.Expr, query.Diagnostics) {
	return compileQuery(src, alert.NewCatalogue())
}

func compileQuery(src string, cat *ecs.Catalogue) (query.Expr, query.Diagnostics) {
	if strings.TrimSpace(src) == "" {
		return nil, nil
	}
	return kql.CompileText(src, cat)
}

// Active are the silences that are in force for an alert.
type Active struct {
	// Windows are the ids of maintenance windows, which the alert carries in
	// kibana.alert.maintenance_window_ids; Snoozes are those of snoozes.
	Windows, Snoozes []string
}

// Silenced reports whether nobody is to be notified.
func (a *Active) Silenced() bool { return len(a.Windows)+len(a.Snoozes) > 0 }

// Active returns which silences are in force at t, when an alert of that rule is made.
// document is asked for the alert's document, once, if a query has to be answered.
func (s *Silences) Active(t time.Time, ruleID string, document func() ecs.Document) Active {
	var out Active
	if s == nil {
		return out
	}
	var event *documentEvent
	for i := range s.list {
		c := &s.list[i]
		if c.rules != nil && !c.rules[ruleID] || !c.Silence.Active(t) {
			continue
		}
		if c.expr != nil {
			if event == nil {
				event = &documentEvent{doc: document(), time: t, values: map[*ecs.Field][]string{}}
			}
			if !c.expr.Match(event) {
				continue
			}
		}
		if c.Kind == store.SilenceSnooze {
			out.Snoozes = append(out.Snoozes, c.ID)
		} else {
			out.Windows = append(out.Windows, c.ID)
		}
	}
	return out
}

// A documentEvent reads an alert's document as an event.
type documentEvent struct {
	doc    ecs.Document
	time   time.Time
	values map[*ecs.Field][]string
}

var _ ecs.Event = (*documentEvent)(nil)

func (e *documentEvent) Values(f *ecs.Field) []string {
	v, ok := e.values[f]
	if !ok {
		name := f.Name
		if f.Of != "" {
			name = f.Of
		}
		v = e.doc.Values(name)
		e.values[f] = v
	}
	return v
}

func (e *documentEvent) Time() time.Time        { return e.time }
func (*documentEvent) ID() ecs.ID               { return ecs.ID{} }
func (e *documentEvent) Document() ecs.Document { return e.doc }
