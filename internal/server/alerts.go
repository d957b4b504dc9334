package server

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/debutsec/debut/internal/server/api"
	"github.com/debutsec/debut/internal/store"
)

const (
	defaultPage = 100
	maxPage     = 1000
	// maxBulk is how many alerts one request changes, in one transaction: while it
	// runs nothing else is committed.
	maxBulk = 500
)

func alertQuery(p *params) api.AlertQuery {
	return api.AlertQuery{
		From: p.time("from"), To: p.time("to"),
		Status: p.list("status"), Severity: p.list("severity"), Rule: p.list("rule"),
		Principal: p.text("principal"), Account: p.text("account"), Tag: p.text("tag"), Assignee: p.text("assignee"),
		Verdict: p.list("verdict"), MinScore: p.number("min_score", 0, 100),
		Text: p.text("text"), Withheld: p.bool("withheld"), Withdrawn: p.bool("withdrawn"), Blocks: p.bool("blocks"),
	}
}

func filterOf(q *api.AlertQuery) (store.Filter, error) {
	for _, v := range q.Status {
		if !slices.Contains([]string{store.Open, store.Acknowledged, store.Closed}, v) {
			return store.Filter{}, invalid("status is %q, not open, acknowledged or closed", v)
		}
	}
	for _, v := range q.Severity {
		if !slices.Contains([]string{"low", "medium", "high", "critical"}, v) {
			return store.Filter{}, invalid("severity is %q, not low, medium, high or critical", v)
		}
	}
	for _, v := range q.Verdict {
		if !slices.Contains(store.Verdicts(), v) {
			return store.Filter{}, invalid("verdict is %q, not %s", v, strings.Join(store.Verdicts(), ", "))
		}
	}
	if q.MinScore < 0 || q.MinScore > 100 {
		return store.Filter{}, invalid("min_score is %d, not a number from 0 to 100", q.MinScore)
	}
	if !q.From.IsZero() && !q.To.IsZero() && !q.From.Before(q.To) {
		return store.Filter{}, invalid("from is not before to: no alert can be between them")
	}
	return store.Filter{
		From: q.From, To: q.To, Status: q.Status, Severity: q.Severity, Rule: q.Rule, Principal: q.Principal, Account: q.Account,
		Tag: q.Tag, Assignee: q.Assignee, Verdict: q.Verdict, MinScore: q.MinScore, Text: q.Text, Withheld: q.Withheld, Withdrawn: q.Withdrawn, Blocks: q.Blocks,
	}, nil
}

// A cursor is the place of the last alert of a page: its time and handle. It does not
// name the alert itself, which may have moved since.
type cursor struct {
	time   time.Time
	handle string
	// score is of a list by score: 1 for what was not investigated, else that of the
	// alert and 2; 0 of one by time.
	score int
}

func (c cursor) String() string {
	b := binary.BigEndian.AppendUint64(nil, uint64(c.time.UnixNano()))
	if c.score > 0 {
		b = append(b, 's', byte(c.score))
	}
	return base64.RawURLEncoding.EncodeToString(append(b, c.handle...))
}

func parseCursor(s string) (*cursor, error) {
	if s == "" {
		return nil, nil //nolint:nilnil // no cursor is a good one
	}
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) <= 8 || len(b) > 256 {
		return nil, invalid("after is %q, not the next of a page before", s)
	}
	c := &cursor{time: time.Unix(0, int64(binary.BigEndian.Uint64(b))).UTC(), handle: string(b[8:])}
	if len(b) > 10 && b[8] == 's' { // a handle has hexadecimal digits only
		c.score, c.handle = int(b[9]), string(b[10:])
	}
	return c, nil
}

// page returns up to n alerts behind a cursor, and the cursor of the next page if there
// is one.
func page(tx store.Tx, f store.Filter, after *cursor, n int) ([]*store.Alert, *cursor, error) {
	f.Limit = 0
	if after != nil {
		if f.Ascending {
			f.From = after.time
		} else {
			f.To = after.time.Add(1)
		}
	}
	list := make([]*store.Alert, 0, min(n, defaultPage))
	for a, err := range store.AlertsBy(tx, f) {
		if err != nil {
			return nil, nil, err
		}
		if after != nil && !after.before(a, f.Ascending) {
			continue
		}
		if len(list) == n {
			last := list[n-1]
			return list, &cursor{time: last.Time, handle: last.Handle}, nil
		}
		list = append(list, a)
	}
	return list, nil, nil
}

// before reports whether a comes behind the cursor in the order of the list.
func (c *cursor) before(a *store.Alert, ascending bool) bool {
	order := a.Time.Compare(c.time)
	if order == 0 {
		order = strings.Compare(a.Handle, c.handle)
	}
	if ascending {
		return order > 0
	}
	return order < 0
}

func (s *Server) listAlerts(w http.ResponseWriter, r *http.Request) error {
	p := s.params(r)
	q := alertQuery(p)
	format := p.choice("format", "json", "ndjson")
	ascending := p.choice("order", "desc", "asc") == "asc"
	byScore := p.choice("sort", "time", "score") == "score"
	most := maxPage
	def := defaultPage
	if format == "ndjson" {
		most, def = 1<<31-1, 0 // all
	}
	limit := p.limit(def, most)
	after, err := parseCursor(p.text("after"))
	if err := firstError(p.done(), err); err != nil {
		return err
	}
	f, err := filterOf(&q)
	if err != nil {
		return err
	}
	f.Ascending = ascending
	switch {
	case byScore && (ascending || format == "ndjson"):
		return invalid("sort=score lists the highest score first, as JSON: leave order and format out")
	case byScore != (after != nil && after.score > 0) && after != nil:
		return invalid("after is not the next of a page in this order")
	case byScore:
		return s.rankAlerts(w, r, f, after, limit)
	}
	if format == "ndjson" {
		return s.exportAlerts(w, r, f, after, limit)
	}
	var out api.AlertPage
	err = s.o.DB.View(r.Context(), func(tx store.Tx) error {
		list, next, err := page(tx, f, after, limit)
		out.Alerts = api.AlertsOf(list)
		if next != nil {
			out.Next = next.String()
		}
		return err
	})
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, out)
}

// rank is the place of an alert in a list by score: the first number of a cursor.
func rank(a *store.Alert) int {
	if a.Triage.Version == 0 {
		return 1
	}
	return a.Triage.Score + 2
}

// rankAlerts answers with alerts by score. A page begins where the one before ended,
// whatever has changed since.
func (s *Server) rankAlerts(w http.ResponseWriter, r *http.Request, f store.Filter, after *cursor, limit int) error {
	var out api.AlertPage
	err := s.o.DB.View(r.Context(), func(tx store.Tx) error {
		list := make([]*store.Alert, 0, min(limit, defaultPage))
		for a, err := range store.AlertsByScore(tx, f) {
			if err != nil {
				return err
			}
			if after != nil && (rank(a) > after.score || rank(a) == after.score && !after.before(a, false)) {
				continue
			}
			if len(list) == limit {
				last := list[limit-1]
				out.Next = cursor{last.Time, last.Handle, rank(last)}.String()
				break
			}
			list = append(list, a)
		}
		out.Alerts = api.AlertsOf(list)
		return nil
	})
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, out)
}

func firstError(list ...error) error {
	for _, err := range list {
		if err != nil {
			return err
		}
	}
	return nil
}

// exportPage is how many alerts are read in one View: a slow reader must not hold one
// open.
const exportPage = 200

// exportAlerts streams the documents of alerts.
func (s *Server) exportAlerts(w http.ResponseWriter, r *http.Request, f store.Filter, after *cursor, limit int) error {
	out, err := s.stream(w, r)
	if err != nil {
		return err
	}
	defer out.end()
	for sent := 0; ; {
		n := exportPage
		if limit > 0 {
			n = min(n, limit-sent)
		}
		var b []byte
		var next *cursor
		err := s.o.DB.View(r.Context(), func(tx store.Tx) error {
			list, nx, err := page(tx, f, after, n)
			if err != nil {
				return err
			}
			next = nx
			sent += len(list)
			for _, a := range list {
				d, err := s.alertDocument(tx, a)
				if err != nil {
					return err
				}
				if b, err = appendDocument(b, a, d); err != nil {
					return fmt.Errorf("the document of alert %s: %w", a.Handle, err)
				}
				b = append(b, '\n')
			}
			return nil
		})
		if err == nil {
			err = out.write(b)
		}
		if err != nil {
			return out.broken(err)
		}
		if next == nil || limit > 0 && sent >= limit {
			return nil
		}
		after = next
	}
}

func (s *Server) showAlert(w http.ResponseWriter, r *http.Request) error {
	if err := s.params(r).done(); err != nil {
		return err
	}
	var out api.AlertView
	err := s.o.DB.View(r.Context(), func(tx store.Tx) error {
		a, err := store.FindAlert(tx, r.PathValue("id"))
		if err != nil {
			return err
		}
		d, err := s.alertDocument(tx, a)
		if err != nil {
			return err
		}
		out.Alert = api.AlertOf(a)
		if out.Document, err = appendDocument(nil, a, d); err != nil {
			return fmt.Errorf("the document of alert %s: %w", a.Handle, err)
		}
		out.Event, out.EventKind = rawEvent(d)
		return nil
	})
	if err != nil {
		return err
	}
	w.Header().Set("ETag", tag(out.Alert.Updated))
	return reply(w, http.StatusOK, out)
}

// alertDocument returns the document of an alert. One that cannot be read must not hide
// the others: what the row knows stands in for it, and the log has the error.
func (s *Server) alertDocument(tx store.Tx, a *store.Alert) (*store.AlertDocument, error) {
	d, err := store.GetAlertDocument(tx, a.Handle)
	if !errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrDamaged) {
		return d, err
	}
	s.log.Error("the document of an alert cannot be read", "alert", a.Handle, "error", err)
	doc, err := merge(jsontext.Value("{}"), []member{
		{"@timestamp", stamp(a.Created)},
		{"kibana.alert.original_time", stamp(a.Time)},
		{"kibana.alert.rule.rule_id", a.RuleID},
		{"kibana.alert.rule.name", a.RuleName},
		{"kibana.alert.severity", a.Severity},
		{"kibana.alert.risk_score", a.RiskScore},
	})
	return &store.AlertDocument{Document: doc, Kind: store.KindRecord, Raw: []byte("null")}, err
}

// rawEvent is the event as JSON. One that has become unreadable is shown as text.
func rawEvent(d *store.AlertDocument) (jsontext.Value, string) {
	kind := "record"
	if d.Kind == store.KindDocument {
		kind = "document"
	}
	if v := jsontext.Value(d.Raw); v.IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) {
		// A record may have a name twice; what is shown has each once, the first.
		if !v.IsValid() {
			if b, err := firstNames(v); err == nil {
				return b, kind
			}
		}
		return v, kind
	}
	b, err := jsontext.AppendQuote(nil, strings.ToValidUTF8(string(d.Raw), "\uFFFD"))
	if err != nil {
		b = []byte(`""`)
	}
	return b, kind
}

// tag is the version of an alert, for If-Match.
func tag(updated time.Time) string { return fmt.Sprintf(`"%x"`, updated.UnixNano()) }

func (s *Server) changeAlert(w http.ResponseWriter, r *http.Request) error {
	var c api.Change
	if err := firstError(s.params(r).done(), readJSON(r, &c)); err != nil {
		return err
	}
	if err := checkChange(&c); err != nil {
		return err
	}
	match := r.Header.Get("If-Match")
	who, now := identity(r.Context()), s.o.Now().UTC()
	var out *store.Alert
	err := s.o.DB.Update(r.Context(), func(tx store.Tx) error {
		a, err := store.FindAlert(tx, r.PathValue("id"))
		if err != nil {
			return err
		}
		if match != "" && match != "*" && match != tag(a.Updated) {
			return &api.Error{
				Code: api.Conflict, Message: fmt.Sprintf("alert %s has changed since %s was read", store.ShortID(a.Handle), match),
				Hint: "read it again, and change what is there now",
			}
		}
		out = a
		_, err = change(tx, a, &c, who, now)
		return err
	})
	if err != nil {
		return err
	}
	w.Header().Set("ETag", tag(out.Updated))
	return reply(w, http.StatusOK, api.AlertOf(out))
}

func checkChange(c *api.Change) error {
	switch {
	case c.Status == "" && c.Note == "" && len(c.AddTags)+len(c.RemoveTags)+len(c.AddAssignees)+len(c.RemoveAssignees) == 0:
		if c.Reason != "" {
			return invalid("a reason belongs to status closed")
		}
		return invalid("nothing is to be changed: give status, note, add_tags, remove_tags, add_assignees or remove_assignees")
	case c.Status != "" && !slices.Contains([]string{store.Open, store.Acknowledged, store.Closed}, c.Status):
		return invalid("status is %q, not open, acknowledged or closed", c.Status)
	case c.Reason != "" && c.Status != store.Closed:
		return invalid("a reason belongs to status closed")
	case len(c.Reason) > 1024:
		return invalid("the reason has %d bytes; 1,024 at most", len(c.Reason))
	}
	return nil
}

// change applies a change to one alert, and writes down what changed. It reports
// whether anything did.
func change(tx store.Tx, a *store.Alert, c *api.Change, who Identity, now time.Time) (bool, error) {
	var entries []store.Entry
	did := func(action, detail string) {
		entries = append(entries, store.Entry{Time: now, By: who.By, From: who.From, Action: action, Object: a.Handle, Detail: detail})
	}
	switch {
	case c.Status == store.Open && a.Reopen(who.By, now):
		did("alert.reopen", "")
	case c.Status == store.Acknowledged && a.Acknowledge(who.By, now):
		did("alert.acknowledge", "")
	case c.Status == store.Closed && a.Close(c.Reason, who.By, now):
		did("alert.close", c.Reason)
	}
	if len(c.AddTags)+len(c.RemoveTags) > 0 {
		had := slices.Clone(a.Tags)
		if err := a.Tag(c.AddTags, c.RemoveTags, who.By, now); err != nil {
			return false, err
		}
		if !slices.Equal(had, a.Tags) {
			did("alert.tag", strings.Join(a.Tags, ", "))
		}
	}
	if len(c.AddAssignees)+len(c.RemoveAssignees) > 0 {
		had := slices.Clone(a.Assignees)
		if err := a.Assign(c.AddAssignees, c.RemoveAssignees, who.By, now); err != nil {
			return false, err
		}
		if !slices.Equal(had, a.Assignees) {
			did("alert.assign", strings.Join(a.Assignees, ", "))
		}
	}
	if c.Note != "" {
		if err := a.AddNote(c.Note, who.By, now); err != nil {
			return false, err
		}
		did("alert.note", "")
	}
	if len(entries) == 0 {
		return false, nil
	}
	for i := range entries {
		if err := store.AddEntry(tx, &entries[i]); err != nil {
			return false, err
		}
	}
	return true, store.PutAlert(tx, a)
}

func (s *Server) changeAlerts(w http.ResponseWriter, r *http.Request) error {
	var b api.BulkChange
	if err := firstError(s.params(r).done(), readJSON(r, &b)); err != nil {
		return err
	}
	if err := checkChange(&b.Change); err != nil {
		return err
	}
	switch {
	case (len(b.IDs) == 0) == (b.Query == nil):
		return invalid("give either ids or a query, to choose the alerts")
	case len(b.IDs) > maxBulk:
		return invalid("ids names %d alerts; %d at most", len(b.IDs), maxBulk)
	case len(b.IDs) > 0 && b.After != "":
		return invalid("after belongs to a query")
	}
	after, err := parseCursor(b.After)
	if err != nil {
		return err
	}
	var f store.Filter
	if b.Query != nil {
		if f, err = filterOf(b.Query); err != nil {
			return err
		}
	}
	who, now := identity(r.Context()), s.o.Now().UTC()
	var out api.BulkResult
	err = s.o.DB.Update(r.Context(), func(tx store.Tx) error {
		list, next, err := chosen(tx, &b, f, after)
		if err != nil {
			return err
		}
		out = api.BulkResult{Matched: len(list)}
		if next != nil {
			out.Next = next.String()
		}
		for _, a := range list {
			did, err := change(tx, a, &b.Change, who, now)
			if err != nil {
				return fmt.Errorf("alert %s: %w", store.ShortID(a.Handle), err)
			}
			if did {
				out.Changed++
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, out)
}

// chosen returns the alerts that a bulk change is for, each once.
func chosen(tx store.Tx, b *api.BulkChange, f store.Filter, after *cursor) ([]*store.Alert, *cursor, error) {
	if b.Query != nil {
		return page(tx, f, after, maxBulk)
	}
	var out []*store.Alert
	seen := map[string]bool{}
	for _, id := range b.IDs {
		a, err := store.FindAlert(tx, id)
		if err != nil {
			return nil, nil, err
		}
		if !seen[a.Handle] {
			seen[a.Handle] = true
			out = append(out, a)
		}
	}
	return out, nil, nil
}
