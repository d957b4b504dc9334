package server_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/debutsec/debut/internal/server"
	"github.com/debutsec/debut/internal/server/api"
	"github.com/debutsec/debut/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A caller sends requests to a server and holds every answer against the document.
type caller struct {
	testing.TB

	handler http.Handler
	doc     *document
	token   string
}

func newCaller(tb testing.TB, s *server.Server, token string) *caller {
	tb.Helper()
	return &caller{tb, s, loadDocument(tb), token}
}

func (c *caller) do(method, target, body string, header ...string) *httptest.ResponseRecorder {
	c.Helper()
	r := httptest.NewRequest(method, "http://127.0.0.1:7780"+target, strings.NewReader(body))
	if body == "" {
		r.Body = http.NoBody
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
		if header[i] == "Host" {
			r.Host = header[i+1]
		}
	}
	w := httptest.NewRecorder()
	c.handler.ServeHTTP(w, r)
	c.documented(r, w)
	return w
}

// documented fails unless the document allows the answer.
func (c *caller) documented(r *http.Request, w *httptest.ResponseRecorder) {
	c.Helper()
	media := strings.TrimSpace(strings.Split(w.Header().Get("Content-Type"), ";")[0])
	schema := map[string]any{"$ref": "#/components/schemas/Failure"}
	for pattern, methods := range c.doc.Paths {
		if !matches(pattern, r.URL.Path) {
			continue
		}
		op, ok := methods[strings.ToLower(r.Method)]
		if !ok {
			continue
		}
		answer, ok := op.Responses[fmt.Sprint(w.Code)]
		if !ok {
			continue
		}
		content, ok := answer.Content[media]
		if !ok && len(answer.Content) > 0 {
			c.Errorf("%s %s: %d with %q is not in the document", r.Method, r.URL.Path, w.Code, media)
			return
		}
		schema = content.Schema
		if !strings.Contains(pattern, "{") {
			break // the exact path wins over one with a parameter
		}
	}
	if w.Body.Len() == 0 && schema == nil || strings.HasPrefix(media, "text/") {
		return
	}
	for line := range strings.Lines(w.Body.String()) {
		var v any
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			if media == "application/json" { // the document itself has many lines
				return
			}
			c.Errorf("%s %s: %v\n%s", r.Method, r.URL.Path, err, line)
			return
		}
		for _, bad := range c.doc.check(schema, v, "body") {
			c.Errorf("%s %s %d: %s\n%s", r.Method, r.URL.Path, w.Code, bad, line)
		}
	}
}

func matches(pattern, path string) bool {
	a, b := strings.Split(pattern, "/"), strings.Split(path, "/")
	return len(a) == len(b) && !slices.ContainsFunc(a, func(s string) bool {
		i := slices.Index(a, s)
		return s != b[i] && !strings.HasPrefix(s, "{")
	})
}

func (c *caller) get(target string, v any) {
	c.Helper()
	c.want(http.StatusOK, c.do("GET", target, ""), v)
}

func (c *caller) want(code int, w *httptest.ResponseRecorder, v any) {
	c.Helper()
	if w.Code != code {
		c.Fatalf("status %d, not %d: %s", w.Code, code, w.Body)
	}
	if v != nil {
		if err := json.Unmarshal(w.Body.Bytes(), v); err != nil {
			c.Fatal(err)
		}
	}
}

// fails wants an error of that code whose message has that text.
func (c *caller) fails(w *httptest.ResponseRecorder, code api.Code, text string) {
	c.Helper()
	var f api.Failure
	if err := json.Unmarshal(w.Body.Bytes(), &f); err != nil || f.Error == nil {
		c.Fatalf("no error: %d %s", w.Code, w.Body)
	}
	if f.Error.Code != code || w.Code != code.Status() || !strings.Contains(f.Error.Message+f.Error.Hint, text) {
		c.Errorf("%d %s: %s (%s), want %s with %q", w.Code, f.Error.Code, f.Error.Message, f.Error.Hint, code, text)
	}
}

// Every path is served, every served path is in the document, and the roles agree.
func TestDocumentIsTheMux(t *testing.T) {
	t.Parallel()
	s, _, _ := setup(t, nil)
	doc := loadDocument(t)
	var served, documented []string
	for _, r := range s.Routes() {
		served = append(served, strings.Join(r[:], " "))
	}
	for path, methods := range doc.Paths {
		for method, op := range methods {
			role := op.Role
			if (role == "") != (op.Security != nil) {
				t.Errorf("%s %s: a role and security do not agree", method, path)
			}
			documented = append(documented, strings.Join([]string{strings.ToUpper(method), path, role}, " "))
			for status, answer := range op.Responses {
				for media, content := range answer.Content {
					if len(content.Schema) == 0 {
						t.Errorf("%s %s: %s %s has no schema", method, path, status, media)
					}
				}
			}
		}
	}
	slices.Sort(served)
	slices.Sort(documented)
	if diff := cmp.Diff(documented, served); diff != "" {
		t.Errorf("(-document +server)\n%s", diff)
	}
}

// Every parameter in the document is read, and no other.
func TestDocumentedParameters(t *testing.T) {
	t.Parallel()
	s, db, _ := setup(t, nil)
	putSamples(t, db, 1)
	c := newCaller(t, s, putToken(t, db, server.RoleAdmin))
	examples := map[string]string{
		"from": "2026-01-14", "to": "now", "limit": "5", "status": "open", "severity": "low", "withheld": "true", "withdrawn": "true", "blocks": "true",
		"format": "json", "order": "asc", "by": "day", "state": "failed", "after": "AAAAAAAAAAAw", "/messages state": "dead",
		"verdict": "review", "min_score": "10", "sort": "time",
	}
	n := 0
	for path, methods := range c.doc.Paths {
		for method, op := range methods {
			if method != "get" || strings.Contains(path, "{") || op.Security != nil || path == "/metrics" {
				continue
			}
			var query []string
			for _, p := range op.Parameters {
				value, ok := examples[strings.TrimPrefix(path, api.Prefix)+" "+p.Name]
				if !ok {
					value, ok = examples[p.Name]
				}
				if !ok {
					value = "*"
				}
				query = append(query, p.Name+"="+value)
				n++
			}
			if w := c.do("GET", path+"?"+strings.Join(query, "&"), ""); w.Code != http.StatusOK {
				t.Errorf("%s: %d %s", path, w.Code, w.Body)
			}
			c.fails(c.do("GET", path+"?bogus=1", ""), api.Invalid, `"bogus"`)
		}
	}
	if n < 30 {
		t.Errorf("only %d parameters were tried", n)
	}
}

// Each role may do what the document says, and nothing else.
func TestRoles(t *testing.T) {
	t.Parallel()
	s, db, _ := setup(t, func(o *server.Options) {
		o.Push = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	})
	for _, role := range append(server.Roles(), "") {
		c := newCaller(t, s, "")
		if role != "" {
			c.token = putToken(t, db, role)
		}
		for path, methods := range c.doc.Paths {
			for method, op := range methods {
				w := c.do(strings.ToUpper(method), strings.ReplaceAll(path, "{id}", "00000000"), "")
				switch {
				case op.Security != nil:
					if w.Code != http.StatusOK {
						t.Errorf("%q %s %s: %d", role, method, path, w.Code)
					}
				case role == "" && w.Code != http.StatusUnauthorized && w.Code != http.StatusTooManyRequests,
					role != "" && (w.Code == http.StatusForbidden) == server.Allows(role, op.Role):
					t.Errorf("%q %s %s: %d", role, method, path, w.Code)
				}
			}
		}
		r := httptest.NewRequest(http.MethodPost, "http://127.0.0.1/_bulk", http.NoBody)
		r.Header.Set("Authorization", "Bearer "+c.token)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if got := w.Code == http.StatusTeapot; got != (role == server.RolePush || role == server.RoleAdmin) {
			t.Errorf("%q may push: %v (%d)", role, got, w.Code)
		}
	}
	for _, have := range []string{"", "nobody", "push"} {
		for _, need := range []string{server.RoleRead, server.RoleTriage, server.RoleAdmin} {
			if server.Allows(have, need) {
				t.Errorf("%q may do what %s may", have, need)
			}
		}
	}
}

func TestAlerts(t *testing.T) {
	t.Parallel()
	s, db, _ := setup(t, nil)
	list := putSamples(t, db, 30)
	c := newCaller(t, s, putToken(t, db, server.RoleTriage))

	var page api.AlertPage
	c.get(api.Prefix+"/alerts?severity=high&severity=critical&rule=Rule+A&limit=3", &page)
	if len(page.Alerts) != 3 || page.Next == "" || page.Alerts[0].Time.Before(page.Alerts[1].Time) {
		t.Errorf("got %d alerts, next %q", len(page.Alerts), page.Next)
	}
	for _, a := range page.Alerts {
		if a.RuleName != "Rule A" || a.Severity != "high" && a.Severity != "critical" {
			t.Errorf("got %s of %s", a.Severity, a.RuleName)
		}
	}

	id := list[7].Handle
	var view api.AlertView
	w := c.do("GET", api.Prefix+"/alerts/"+id[:30], "")
	c.want(200, w, &view)
	etag := w.Header().Get("ETag")
	if view.Alert.Handle != id || view.EventKind != "record" || !bytes.Contains(view.Event, []byte(`"eventID":"e-7"`)) {
		t.Errorf("got %s", w.Body)
	}

	var a api.Alert
	w = c.do("PATCH", api.Prefix+"/alerts/"+id, `{"status":"closed","reason":"expected","add_tags":["b","a"],"add_assignees":["ana"],"note":"the <b>pipeline</b>"}`, "If-Match", etag)
	c.want(200, w, &a)
	if a.Status != store.Closed || a.Reason != "expected" || len(a.Tags) != 2 || len(a.Notes) != 1 || a.Notes[0].By != "the triage" {
		t.Errorf("got %+v", a)
	}
	c.fails(c.do("PATCH", api.Prefix+"/alerts/"+id, `{"status":"open"}`, "If-Match", etag), api.Conflict, "has changed since")
	c.fails(c.do("PATCH", api.Prefix+"/alerts/"+id, `{"state":"open"}`), api.Invalid, `unknown member "state"`)
	c.fails(c.do("PATCH", api.Prefix+"/alerts/"+id, `{"status":"gone"}`), api.Invalid, `"gone"`)
	c.fails(c.do("PATCH", api.Prefix+"/alerts/"+id, `{"status":"open","reason":"r"}`), api.Invalid, "belongs to status closed")
	c.fails(c.do("PATCH", api.Prefix+"/alerts/"+id, `{}`), api.Invalid, "nothing is to be changed")
	c.fails(c.do("PATCH", api.Prefix+"/alerts/ffffffff", `{"status":"open"}`), api.NotFound, "ffffffff")
	c.fails(c.do("GET", api.Prefix+"/alerts/zzzz", ""), api.Invalid, "no alert id")
	c.fails(c.do("GET", api.Prefix+"/alerts/0000", ""), api.Invalid, "several alerts")

	c.get(api.Prefix+"/alerts/"+id, &view)
	var doc map[string]any
	if err := json.Unmarshal(view.Document, &doc); err != nil {
		t.Fatal(err)
	}
	if doc["kibana.alert.workflow_status"] != "closed" || doc["kibana.alert.uuid"] != id || doc["debut"].(map[string]any)["principal"] != "p" ||
		doc["debut"].(map[string]any)["alert"].(map[string]any)["cold_baseline"] != true || !bytes.Contains(view.Document, []byte("12345678901234567890")) {
		t.Errorf("got %s", view.Document)
	}

	// Five changes of one alert, in one transaction, and each is in the log.
	var log api.AuditPage
	admin := newCaller(t, s, putToken(t, db, server.RoleAdmin))
	admin.get(api.Prefix+"/audit", &log)
	var actions []string
	for _, e := range log.Entries {
		if e.Object == id && e.By == "the triage" && e.From == "192.0.2.1" {
			actions = append(actions, e.Action)
		}
	}
	if diff := cmp.Diff([]string{"alert.note", "alert.assign", "alert.tag", "alert.close"}, actions); diff != "" {
		t.Error(diff)
	}
}

func TestBulk(t *testing.T) {
	t.Parallel()
	s, db, _ := setup(t, nil)
	list := putSamples(t, db, 1200)
	c := newCaller(t, s, putToken(t, db, server.RoleTriage))
	const path = api.Prefix + "/alerts/bulk"
	var r api.BulkResult
	changed, after := 0, ""
	for range 10 {
		c.want(200, c.do("POST", path, fmt.Sprintf(`{"query":{"severity":["low","high"]},"after":%q,"change":{"status":"acknowledged"}}`, after)), &r)
		changed += r.Changed
		if after = r.Next; after == "" {
			break
		}
	}
	if changed != 600 {
		t.Errorf("%d changed, not 600", changed)
	}
	r = api.BulkResult{}
	c.want(200, c.do("POST", path, fmt.Sprintf(`{"ids":[%q,%q,%q],"change":{"status":"acknowledged"}}`, list[0].Handle, list[1].Handle, list[1].Handle)), &r)
	if r != (api.BulkResult{Matched: 2, Changed: 1}) {
		t.Errorf("got %+v", r)
	}
	// All or none.
	c.fails(c.do("POST", path, fmt.Sprintf(`{"ids":[%q,"ffffffff"],"change":{"status":"closed"}}`, list[2].Handle)), api.NotFound, "ffffffff")
	var view api.AlertView
	c.get(api.Prefix+"/alerts/"+list[2].Handle, &view)
	if view.Alert.Status != store.Acknowledged {
		t.Errorf("an alert is %s after a change that failed", view.Alert.Status)
	}
	c.fails(c.do("POST", path, `{"change":{"status":"closed"}}`), api.Invalid, "either ids or a query")
	c.fails(c.do("POST", path, `{"query":{"colour":"red"},"change":{"status":"closed"}}`), api.Invalid, `"colour"`)
	c.fails(c.do("POST", path, `{"query":{},"after":"!","change":{"status":"closed"}}`), api.Invalid, "after")
}

// Paging shows every alert that was there once, whatever comes in meanwhile, and
// whatever moves.
func TestPaging(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		s, db, _ := setup(t, nil)
		c := newCaller(t, s, putToken(t, db, server.RoleRead))
		n := rapid.IntRange(0, 40).Draw(rt, "alerts")
		want := map[string]int{}
		put := func(a *store.Alert, minute int) {
			a.Time = testNow.Add(-time.Duration(minute) * time.Minute)
			update(t, db, func(tx store.Tx) error { return store.PutAlert(tx, a) })
		}
		for i := range n {
			a := sampleAlert(i)
			want[a.Handle] = 1
			put(a, rapid.IntRange(0, 5).Draw(rt, "minute")) // many at one instant
		}
		order := rapid.SampledFrom([]string{"asc", "desc"}).Draw(rt, "order")
		limit := rapid.IntRange(1, 7).Draw(rt, "limit")
		got := map[string]int{}
		after := ""
		for i := 0; ; i++ {
			var p api.AlertPage
			c.get(fmt.Sprintf("%s/alerts?order=%s&limit=%d%s", api.Prefix, order, limit, after), &p)
			for _, a := range p.Alerts {
				if want[a.Handle] == 1 {
					got[a.Handle]++
				}
			}
			if p.Next == "" {
				break
			}
			after = "&after=" + p.Next
			put(sampleAlert(1000+i), rapid.IntRange(0, 5).Draw(rt, "minute"))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			rt.Fatalf("(-want +got)\n%s", diff)
		}
	})
}

// An alert whose document is gone is still shown and exported.
func TestLostDocument(t *testing.T) {
	t.Parallel()
	s, db, _ := setup(t, nil)
	list := putSamples(t, db, 2)
	update(t, db, func(tx store.Tx) error {
		return errors.Join(tx.Delete(store.Documents, []byte(list[0].Handle)), tx.Put(store.Documents, []byte(list[1].Handle), []byte("nonsense")))
	})
	c := newCaller(t, s, putToken(t, db, server.RoleRead))
	w := c.do("GET", api.Prefix+"/alerts?format=ndjson", "")
	if w.Code != 200 || strings.Count(w.Body.String(), `"kibana.alert.rule.rule_id":"rule-`) != 2 {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	var view api.AlertView
	c.get(api.Prefix+"/alerts/"+list[0].Handle, &view)
	if string(view.Event) != "null" || view.Alert.Handle != list[0].Handle {
		t.Errorf("got %s", view.Event)
	}
}

func TestExport(t *testing.T) {
	t.Parallel()
	s, db, _ := setup(t, nil)
	putSamples(t, db, 450)
	c := newCaller(t, s, putToken(t, db, server.RoleRead))
	for query, want := range map[string]int{"": 450, "&limit=201": 201, "&severity=low": 113, "&limit=200": 200} {
		w := c.do("GET", api.Prefix+"/alerts?format=ndjson"+query, "")
		if n := strings.Count(w.Body.String(), "\n"); w.Code != 200 || n != want {
			t.Errorf("%q: %d lines, not %d", query, n, want)
		}
	}
}

func TestExceptions(t *testing.T) {
	t.Parallel()
	s, db, d := setup(t, nil)
	putSamples(t, db, 9)
	c := newCaller(t, s, putToken(t, db, server.RoleTriage))
	const path = api.Prefix + "/exceptions"
	body := `{"name":"the network","rule_ids":["rule-a"],"entries":[{"field":"source.ip","type":"match_any","values":["203.0.113.0","203.0.113.3","203.0.113.4"]}]}`
	var trial api.Trial
	c.want(200, c.do("POST", path+"/test", body), &trial)
	if trial.Hides != 2 || len(trial.Alerts) != 2 {
		t.Errorf("it would hide %d, %d shown", trial.Hides, len(trial.Alerts))
	}
	var saved api.ExceptionSaved
	c.want(201, c.do("POST", path, body), &saved)
	if saved.Exception.Hides != 2 || d.reloads != 1 || saved.Exception.By != "the triage" {
		t.Errorf("saved %+v, %d reloads", saved.Exception, d.reloads)
	}
	id := saved.Exception.ID
	c.want(200, c.do("PUT", path+"/"+id, strings.Replace(body, `"203.0.113.3",`, "", 1)), &saved)
	if saved.Exception.ID != id || saved.Exception.Hides != 1 {
		t.Errorf("replaced by %+v", saved.Exception)
	}
	var all api.ExceptionList
	c.get(path, &all)
	var one store.Exception
	c.get(path+"/"+id, &one)
	if len(all.Exceptions) != 1 || one.Hides != 1 {
		t.Errorf("there are %d", len(all.Exceptions))
	}
	c.fails(c.do("POST", path, strings.Replace(body, "rule-a", "rule-z", 1)), api.Invalid, "rule-z")
	c.fails(c.do("POST", path, strings.Replace(body, "203.0.113.4", "nonsense", 1)), api.Invalid, "nonsense")
	c.fails(c.do("POST", path, strings.Replace(body, "match_any", "list", 1)), api.Invalid, `"list"`)
	c.want(204, c.do("DELETE", path+"/"+id, ""), nil)
	c.fails(c.do("DELETE", path+"/"+id, ""), api.NotFound, id)
	c.fails(c.do("PUT", path+"/"+id, body), api.NotFound, id)
	c.fails(c.do("GET", path+"/"+id, ""), api.NotFound, id)
	// What could not act is still stored, and said to the operator only.
	d.err = errors.New("secret detail")
	c.want(201, c.do("POST", path, body), nil)
}

func TestSilences(t *testing.T) {
	t.Parallel()
	s, db, _ := setup(t, nil)
	c := newCaller(t, s, putToken(t, db, server.RoleTriage))
	const path = api.Prefix + "/silences"
	var window, snooze api.Silence
	c.want(201, c.do("POST", path, `{"name":"night","kind":"window","query":"kibana.alert.severity: low","start":"2026-01-15T11:00:00Z","end":"2026-01-15T13:00:00Z",`+
		`"repeat":{"days":[4],"zone":"Europe/Zurich"},"comment":"patches"}`), &window)
	c.want(201, c.do("POST", path, `{"name":"noisy","kind":"snooze","rules":["rule-a"]}`), &snooze)
	if !window.Active || window.By != "the triage" || !snooze.Active || !snooze.Start.Equal(testNow) {
		t.Errorf("got %+v, %+v", window, snooze)
	}
	var list api.SilenceList
	c.get(path, &list)
	if len(list.Silences) != 2 || list.Silences[0].ID != window.ID {
		t.Errorf("got %+v", list.Silences)
	}
	for body, want := range map[string]string{
		`{"name":"x","kind":"nap"}`:                                                                  `"nap"`,
		`{"name":"x","kind":"snooze"}`:                                                               "names the rules",
		`{"name":"x","kind":"snooze","rules":["rule-z"]}`:                                            "rule-z",
		`{"name":"x","kind":"window"}`:                                                               "end",
		`{"name":"x","kind":"window","end":"2026-01-14T00:00:00Z"}`:                                  "end",
		`{"name":"x","kind":"window","start":"2026-01-13T00:00:00Z","end":"2026-01-14T00:00:00Z"}`:   "over already",
		`{"name":"x","kind":"window","end":"2026-01-16T00:00:00Z","query":"a: ("}`:                   "",
		`{"name":"x","kind":"window","end":"2026-01-16T00:00:00Z","repeat":{"zone":"Mars/Olympus"}}`: "Mars/Olympus",
	} {
		c.fails(c.do("POST", path, body), api.Invalid, want)
	}
	c.want(204, c.do("DELETE", path+"/"+snooze.ID, ""), nil)
	c.fails(c.do("DELETE", path+"/"+snooze.ID, ""), api.NotFound, snooze.ID)
}

func TestMessages(t *testing.T) {
	t.Parallel()
	s, db, _ := setup(t, nil)
	c := newCaller(t, s, putToken(t, db, server.RoleRead))
	update(t, db, func(tx store.Tx) error {
		for i := range 3 {
			m := store.Message{
				Channel: []string{"ops", "mail"}[i%2], Kind: store.MessageNew, Occasion: fmt.Sprint(i),
				Alert: &store.Snapshot{Handle: "h", UUID: "u", RuleID: "rule-a", Rule: "Rule A", Severity: "low", Time: testNow},
			}
			if _, err := store.Enqueue(tx, m, testNow); err != nil {
				return err
			}
		}
		return nil
	})
	var list api.MessageList
	c.get(api.Prefix+"/messages?channel=ops", &list)
	if len(list.Messages) != 2 {
		t.Errorf("%d messages, not 2", len(list.Messages))
	}
	c.fails(c.do("GET", api.Prefix+"/messages?state=lost", ""), api.Invalid, `"lost"`)
}

func TestWork(t *testing.T) {
	t.Parallel()
	s, db, d := setup(t, nil)
	c := newCaller(t, s, putToken(t, db, server.RoleAdmin))
	var rules api.RuleList
	c.get(api.Prefix+"/rules", &rules)
	c.want(200, c.do("POST", api.Prefix+"/rules/reload", ""), nil)
	var started api.Started
	c.want(202, c.do("POST", api.Prefix+"/backfills", `{"from":"2026-01-01T00:00:00Z","to":"2026-01-02T00:00:00Z","rules":["Rule A"]}`), &started)
	c.fails(c.do("POST", api.Prefix+"/backfills", `{"from":"2026-01-02T00:00:00Z","to":"2026-01-01T00:00:00Z"}`), api.Invalid, "not before")
	c.fails(c.do("POST", api.Prefix+"/backfills", `{"from":"2026-01-01T00:00:00Z","to":"2026-01-02T00:00:00Z","rules":["nothing"]}`), api.Invalid, "no rule has")
	c.fails(c.do("POST", api.Prefix+"/backfills", `{"from":"yesterday","to":"2026-01-02T00:00:00Z"}`), api.Invalid, "/from")

	update(t, db, func(tx store.Tx) error {
		for i := range 3 {
			run := &store.Run{
				ID: fmt.Sprint("run", i), Kind: []string{"backfill", "rebuild"}[i%2], By: "ana", Started: testNow.Add(time.Duration(i) * time.Hour),
				Ended: testNow.Add(9 * time.Hour), Status: store.RunDone, Rules: []string{"rule-a"}, Counts: map[string]int64{"events": 3}, From: testNow, To: testNow,
			}
			if err := store.PutRun(tx, run); err != nil {
				return err
			}
		}
		return nil
	})
	var runs api.RunList
	c.get(api.Prefix+"/runs?kind=backfill&limit=2", &runs)
	var run store.Run
	c.get(api.Prefix+"/runs/run1", &run)
	if len(runs.Runs) != 2 || runs.Runs[0].ID != "run2" || run.Kind != "rebuild" {
		t.Errorf("got %d runs, and %s", len(runs.Runs), run.Kind)
	}
	c.fails(c.do("GET", api.Prefix+"/runs/none", ""), api.NotFound, "none")

	w := c.do("GET", api.Prefix+"/search?q=event.action:x&from=2026-01-01&limit=3", "")
	if w.Code != 200 || strings.Count(w.Body.String(), "\n") != 3 || w.Result().Trailer.Get(server.DamagedTrailer) != "seg-1?" || d.searched.Limit != 3 {
		t.Errorf("search: %d %s %v", w.Code, w.Body, w.Result().Trailer)
	}
	d.err = errors.New("secret detail")
	c.fails(c.do("GET", api.Prefix+"/search", ""), api.Internal, "the server's log")
	c.fails(c.do("POST", api.Prefix+"/rules/reload", ""), api.Internal, "the server's log")
}

// A client that hangs up breaks off nothing that it has begun, and the audit log has it.
func TestHangUp(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ target, body, action string }{
		{"/rules/reload", "", "rules.reload"},
		{"/backfills", `{"from":"2026-01-01T00:00:00Z","to":"2026-01-02T00:00:00Z"}`, "backfill.start"},
		{"/exceptions", `{"name":"n","rule_ids":["rule-a"],"entries":[{"field":"user.name","type":"match","values":["ana"]}]}`, "exception.put"},
	} {
		t.Run(tc.action, func(t *testing.T) {
			t.Parallel()
			s, db, d := setup(t, nil)
			token := putToken(t, db, server.RoleAdmin)
			ctx, hangUp := context.WithCancel(t.Context())
			defer hangUp()
			asked := false
			d.asked = func(ctx context.Context) error {
				asked = true
				hangUp()
				return ctx.Err()
			}
			r := httptest.NewRequestWithContext(ctx, http.MethodPost, "http://127.0.0.1:7780"+api.Prefix+tc.target, strings.NewReader(tc.body))
			r.Header.Set("Authorization", "Bearer "+token)
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r)
			if !asked || w.Code/100 != 2 {
				t.Errorf("asked: %v; %d %s", asked, w.Code, w.Body)
			}
			var actions []string
			if err := db.View(t.Context(), func(tx store.Tx) error {
				for e, err := range store.AuditBy(tx, time.Time{}, time.Time{}) {
					if err != nil {
						return err
					}
					actions = append(actions, e.Action)
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			if !slices.Contains(actions, tc.action) {
				t.Errorf("the audit log has %v, not %s", actions, tc.action)
			}
		})
	}
}

// What needs the daemon is unavailable without, and says so.
func TestWithoutDaemon(t *testing.T) {
	t.Parallel()
	s, db, _ := setup(t, func(o *server.Options) { o.Daemon, o.Backfill, o.Events = nil, nil, nil })
	c := newCaller(t, s, putToken(t, db, server.RoleAdmin))
	for _, target := range []string{"GET /status", "GET /rules", "POST /rules/reload", "GET /search"} {
		method, path, _ := strings.Cut(target, " ")
		c.fails(c.do(method, api.Prefix+path, ""), api.Unavailable, "needs the running server")
	}
	c.fails(c.do("POST", api.Prefix+"/backfills", `{"from":"2026-01-01T00:00:00Z","to":"2026-01-02T00:00:00Z"}`), api.Unavailable, "needs the running server")
	c.fails(c.do("POST", api.Prefix+"/parked/retry", `{"source":"trail","all":true}`), api.Unavailable, "needs the running server")
	c.want(200, c.do("GET", "/metrics", ""), nil)
}

func TestStatusAndMetrics(t *testing.T) {
	t.Parallel()
	s, db, d := setup(t, func(o *server.Options) { o.OpenMetrics = true })
	putSamples(t, db, 8)
	c := newCaller(t, s, putToken(t, db, server.RoleRead))
	var st api.Status
	c.get(api.Prefix+"/status", &st)
	if !st.Ready || st.Version != "0.0.0" || len(st.Alerts) != 12 || st.Alerts[0] != (api.AlertCount{Severity: "low", Status: "open", Count: 2}) {
		t.Errorf("got %+v", st)
	}
	c.want(200, c.do("GET", "/readyz", ""), nil)
	d.notReady = []string{"the log is not folded yet"}
	c.want(503, c.do("GET", "/readyz", ""), nil)
	c.want(200, c.do("GET", "/healthz", ""), nil)

	text := c.do("GET", "/metrics", "").Body.String()
	for _, want := range []string{
		`debut_source_lag_seconds{source="trail"} 3`, `debut_source_records_total{source="trail"} 2`, `debut_source_trouble{source="trail"} 1`,
		`debut_alerts{severity="low",status="open"} 2`, `debut_memory_rows{table="findings"} 3`, `debut_outbox_oldest_seconds 60`,
		`debut_log_folded_bytes 9`, `debut_commit_duration_seconds_bucket{le="0.001"} 4`, `debut_commit_duration_seconds_count 7`, `debut_ready 0`, `debut_http_requests_total{code="200",route="/healthz"} 1`,
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("no %s in the metrics", want)
		}
	}
	// From another machine only with a token.
	c.token = ""
	if w := c.do("GET", "/metrics", ""); w.Code != http.StatusUnauthorized {
		t.Errorf("metrics from another machine: %d", w.Code)
	}
	r := httptest.NewRequest(http.MethodGet, "http://127.0.0.1:7780/metrics", http.NoBody)
	r.RemoteAddr = "127.0.0.1:5555"
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		t.Errorf("metrics from this machine: %d", w.Code)
	}
	db.err = errors.New("disk on fire")
	if w := c.do("GET", "/readyz", ""); w.Code != http.StatusServiceUnavailable || strings.Contains(w.Body.String(), "fire") {
		t.Errorf("readyz: %d %s", w.Code, w.Body)
	}
}

func TestTokens(t *testing.T) {
	t.Parallel()
	s, db, _ := setup(t, nil)
	c := newCaller(t, s, putToken(t, db, server.RoleAdmin))
	const path = api.Prefix + "/tokens"
	var made api.NewToken
	c.want(201, c.do("POST", path, `{"name":"grafana","role":"read","expire":"2026-02-01T00:00:00Z"}`), &made)
	var list api.TokenList
	reader := newCaller(t, s, made.Value)
	reader.get(api.Prefix+"/alerts", nil)
	c.get(path, &list)
	i := slices.IndexFunc(list.Tokens, func(t api.Token) bool { return t.Name == "grafana" })
	if len(list.Tokens) != 2 || i < 0 || !list.Tokens[i].Used.Equal(testNow) {
		t.Errorf("got %+v", list.Tokens)
	}
	c.fails(c.do("POST", path, `{"name":"grafana","role":"read"}`), api.Conflict, "of that name")
	for _, name := range []string{"debut", "local", " Debut"} { // who did it must be clear
		c.fails(c.do("POST", path, fmt.Sprintf(`{"name":%q,"role":"read"}`, name)), api.Invalid, "take another")
	}
	c.fails(c.do("POST", path, `{"name":"x","role":"king"}`), api.Invalid, `"king"`)
	c.fails(c.do("POST", path, `{"name":"\u001b[2J","role":"read"}`), api.Invalid, "printable")
	c.fails(c.do("POST", path, `{"name":"y","role":"read","expire":"2026-01-01T00:00:00Z"}`), api.Invalid, "future")
	c.want(204, c.do("DELETE", path+"/"+made.Token.ID, ""), nil)
	reader.fails(reader.do("GET", api.Prefix+"/alerts", ""), api.Unauthorized, "not valid")
	c.fails(c.do("DELETE", path+"/"+made.Token.ID, ""), api.NotFound, made.Token.ID)

	update(t, db, func(tx store.Tx) error {
		return store.PutToken(tx, &store.Token{ID: "old", Name: "old", Role: "admin", Hash: server.HashSecret("s"), Expire: testNow})
	})
	reader.token = "old.s"
	reader.fails(reader.do("GET", api.Prefix+"/alerts", ""), api.Unauthorized, "expired")
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	s, db, _ := setup(t, nil)
	value := putToken(t, db, server.RoleRead)
	id, secret, _ := strings.Cut(value, ".")
	c := newCaller(t, s, "")
	basic := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
	basic.SetBasicAuth(id, secret)
	for _, h := range [][2]string{
		{"Authorization", "bearer  " + value},
		{"Authorization", basic.Header.Get("Authorization")},
		{"Authorization", "ApiKey " + apiKey(id, secret)},
		{"X-Amz-Firehose-Access-Key", value},
	} {
		c.want(200, c.do("GET", api.Prefix+"/alerts", "", h[:]...), nil)
	}
	for _, h := range []string{
		"", "Bearer", "Bearer ", "Bearer .", "Bearer x.", "Bearer " + id, "Bearer " + id + ".", "Bearer " + id + ".x", "ApiKey !", "Basic !",
		"Digest x", "Bearer local.x", "Bearer " + id + "." + strings.Repeat("x", 5000), "Bearer \x00.\xff",
	} {
		s, _, _ := setup(t, func(o *server.Options) { o.DB = db }) // with its own count of failures
		c := newCaller(t, s, "")
		c.fails(c.do("GET", api.Prefix+"/alerts", "", "Authorization", h), api.Unauthorized, "debut tokens create")
	}
	// Failures are bounded; who has a token still gets in.
	for range 10 {
		c.fails(c.do("GET", api.Prefix+"/alerts", ""), api.Unauthorized, "")
	}
	w := c.do("GET", api.Prefix+"/alerts", "")
	c.fails(w, api.Busy, "too many")
	if w.Header().Get("Retry-After") != "60" {
		t.Errorf("Retry-After %q", w.Header().Get("Retry-After"))
	}
	c.want(200, c.do("GET", api.Prefix+"/alerts", "", "Authorization", "Bearer "+value), nil)
}

func apiKey(id, secret string) string {
	return base64.StdEncoding.EncodeToString([]byte(id + ":" + secret))
}

func TestHostile(t *testing.T) {
	t.Parallel()
	s, db, _ := setup(t, func(o *server.Options) { o.Names = []string{"debut.example.com"} })
	c := newCaller(t, s, putToken(t, db, server.RoleAdmin))
	const alerts = api.Prefix + "/alerts"
	for name, test := range map[string]struct {
		method, target, body string
		header               []string
		code                 api.Code
		text                 string
	}{
		"rebinding":        {"GET", alerts, "", []string{"Host", "evil.example.com"}, api.Forbidden, "evil.example.com"},
		"rebinding port":   {"GET", alerts, "", []string{"Host", "evil.example.com:7780"}, api.Forbidden, "evil"},
		"no path":          {"GET", "/api/v2/alerts", "", nil, api.NotFound, "/openapi.json"},
		"root":             {"GET", "/", "", nil, api.NotFound, ""},
		"method":           {"DELETE", alerts, "", nil, api.BadMethod, "GET"},
		"method of none":   {"BREW", alerts, "", nil, api.BadMethod, ""},
		"unknown param":    {"GET", alerts + "?sevrity=low", "", nil, api.Invalid, "severity"},
		"param twice":      {"GET", alerts + "?tag=a&tag=b", "", nil, api.Invalid, "2 times"},
		"bad escape":       {"GET", alerts + "?tag=%zz", "", nil, api.Invalid, "query"},
		"semicolon":        {"GET", alerts + "?tag=a;b=c", "", nil, api.Invalid, "query"},
		"bad time":         {"GET", alerts + "?from=soon", "", nil, api.Invalid, "now-7d"},
		"bad limit":        {"GET", alerts + "?limit=0", "", nil, api.Invalid, "1 to 1000"},
		"huge limit":       {"GET", alerts + "?limit=99999999999999999999", "", nil, api.Invalid, "1 to 1000"},
		"bad bool":         {"GET", alerts + "?withheld=maybe", "", nil, api.Invalid, "true or false"},
		"bad cursor":       {"GET", alerts + "?after=AAAA", "", nil, api.Invalid, "after"},
		"nothing between":  {"GET", alerts + "?from=now&to=now-1d", "", nil, api.Invalid, "between"},
		"path climbs":      {"GET", alerts + "/%2e%2e%2fetc%2fpasswd", "", nil, api.Invalid, "no alert id"},
		"id with zero":     {"GET", alerts + "/%00%00%00%00", "", nil, api.Invalid, "no alert id"},
		"empty body":       {"PATCH", alerts + "/00000000", "", nil, api.Invalid, "empty"},
		"no object":        {"PATCH", alerts + "/00000000", `[]`, nil, api.Invalid, "the body is wrong"},
		"empty param":      {"GET", alerts + "?status=", "", nil, api.Invalid, "status is empty"},
		"null":             {"PATCH", alerts + "/00000000", `{"note":"a","add_tags":[null]}`, nil, api.Invalid, "/add_tags/0"},
		"nothing":          {"PATCH", alerts + "/00000000", `null`, nil, api.Invalid, "null at the top"},
		"two objects":      {"PATCH", alerts + "/00000000", `{"note":"a"}{"note":"b"}`, nil, api.Invalid, "not JSON"},
		"name twice":       {"PATCH", alerts + "/00000000", `{"note":"a","note":"b"}`, nil, api.Invalid, "duplicate"},
		"wrong type":       {"PATCH", alerts + "/00000000", `{"add_tags":"a"}`, nil, api.Invalid, "/add_tags"},
		"case of a name":   {"PATCH", alerts + "/00000000", `{"Note":"a"}`, nil, api.Invalid, `"Note"`},
		"not UTF-8":        {"PATCH", alerts + "/00000000", "{\"note\":\"\xff\"}", nil, api.Invalid, "not JSON"},
		"deep":             {"PATCH", alerts + "/00000000", strings.Repeat("[", 100_000), nil, api.Invalid, "the body"},
		"form":             {"PATCH", alerts + "/00000000", `{"note":"a"}`, []string{"Content-Type", "text/plain"}, api.Invalid, "text/plain"},
		"too large":        {"PATCH", alerts + "/00000000", `{"note":"` + strings.Repeat("a", 1<<20) + `"}`, nil, api.TooLarge, "1048576"},
		"too long a time":  {"GET", api.Prefix + "/coverage?from=2000-01-01", "", nil, api.Invalid, "400 days"},
		"exceptions depth": {"POST", api.Prefix + "/exceptions/test", `{"name":"x","rule_ids":["r"],"entries":[{"field":"a","type":"nested"}]}`, nil, api.Invalid, "nested"},
	} {
		r := c.do(test.method, test.target, test.body, test.header...)
		c.fails(r, test.code, test.text)
		if t.Failed() {
			t.Fatalf("%s", name)
		}
	}
	for _, host := range []string{"localhost", "127.0.0.1:7780", "[::1]:7780", "10.0.0.7", "DEBUT.example.com:443"} {
		c.want(200, c.do("GET", alerts, "", "Host", host), nil)
	}
}

func TestAuditPages(t *testing.T) {
	t.Parallel()
	s, db, _ := setup(t, nil)
	c := newCaller(t, s, putToken(t, db, server.RoleAdmin))
	// Seven entries of each of ten instants, in an order in which the clock went back.
	update(t, db, func(tx store.Tx) error {
		for i := range 70 {
			e := &store.Entry{Time: testNow.Add(-time.Duration(i/7) * time.Second), By: "ana", Action: "a", Object: fmt.Sprint(i)}
			if err := store.AddEntry(tx, e); err != nil {
				return err
			}
		}
		return nil
	})
	seen := map[string]int{}
	target := api.Prefix + "/audit?limit=10"
	for range 20 {
		var p api.AuditPage
		c.get(target, &p)
		for _, e := range p.Entries {
			seen[e.Object]++
		}
		if p.Next.IsZero() {
			break
		}
		target = api.Prefix + "/audit?limit=10&to=" + p.Next.Format(time.RFC3339Nano)
	}
	if len(seen) != 70 {
		t.Errorf("%d entries, not 70", len(seen))
	}
	for id, n := range seen {
		if n != 1 {
			t.Errorf("entry %s was shown %d times", id, n)
		}
	}
}

// An answer that breaks off is no whole one for the client.
func TestBrokenStream(t *testing.T) {
	t.Parallel()
	s, db, d := setup(t, nil)
	d.err, d.failAfter, d.pad = errors.New("the segment is gone"), 2, 70<<10
	token := putToken(t, db, server.RoleAdmin)
	ts := httptest.NewServer(s)
	defer ts.Close()
	for range 20 { // places for streams come back
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, ts.URL+api.Prefix+"/search", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		res, err := ts.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.ReadAll(res.Body)
		_ = res.Body.Close()
		if res.StatusCode != http.StatusOK || err == nil {
			t.Fatalf("status %d, %v", res.StatusCode, err)
		}
	}
}
