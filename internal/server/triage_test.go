package server_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"github.com/debutsec/debut/internal/server"
	"github.com/debutsec/debut/internal/server/api"
	"github.com/debutsec/debut/internal/store"
	"github.com/debutsec/debut/internal/triage"
)

// sampleReport is a report with hostile text.
func sampleReport(handle string, version int) *triage.Report {
	return &triage.Report{
		Schema: triage.Schema, AlertID: handle, Verdict: triage.Suspicious, Score: 40 + version, Confidence: 0.7,
		Summary: "Suspicious <script>alert(1)</script> \x1b[2J", Version: version, AsOf: testNow, Time: testNow.Add(-time.Hour),
		Sum:   []triage.SumLine{{Points: 20, Key: "prior", Text: "a rare action"}, {Points: 20 + version, Step: "T2", Key: "x", Text: "<img src=x>"}},
		Steps: []triage.Answer{{ID: "T2", Question: "What?", Status: triage.Answered, Answer: "<b>This</b>.", Points: 20 + version}},
	}
}

type fakeTriager struct{ asked []string }

func (f *fakeTriager) Triage(_ context.Context, handle string, r api.TriageRequest, by string) (*triage.Report, bool, error) {
	f.asked = append(f.asked, fmt.Sprintf("%s %t %q %t %s", handle, r.AsOf.IsZero(), r.Weights, r.Live, by))
	if r.Live {
		return nil, false, fmt.Errorf("%w: no", store.ErrInvalid)
	}
	return sampleReport(handle, 3), r.AsOf.IsZero() && r.Weights == "", nil
}

func putReports(tb testing.TB, db store.DB, a *store.Alert, versions int) {
	tb.Helper()
	update(tb, db, func(tx store.Tx) error {
		var before []triage.Version
		for v := 1; v <= versions; v++ {
			r := sampleReport(a.Handle, v)
			r.Versions = before
			b, err := json.Marshal(r)
			if err != nil {
				return err
			}
			kept := &store.Report{Version: v, AsOf: r.AsOf, Created: testNow, Trigger: store.TriageAlert, Verdict: r.Verdict, Score: r.Score, Confidence: r.Confidence, Report: b}
			if err := store.PutReport(tx, a.Handle, kept); err != nil {
				return err
			}
			before = append(before, triage.Version{Version: v, AsOf: r.AsOf, Trigger: kept.Trigger, Verdict: r.Verdict, Score: r.Score, Confidence: r.Confidence})
		}
		a.Triage = store.Triage{Version: versions, Verdict: triage.Suspicious, Score: 40 + versions, Confidence: 0.7, Done: testNow, Due: testNow.Add(time.Hour), Why: store.TriageLater}
		return store.PutAlert(tx, a)
	})
}

func TestTriageOfAlert(t *testing.T) {
	t.Parallel()
	f := &fakeTriager{}
	s, db, _ := setup(t, func(o *server.Options) { o.Triage = f })
	list := putSamples(t, db, 2)
	reader := newCaller(t, s, putToken(t, db, server.RoleRead))
	person := newCaller(t, s, putToken(t, db, server.RoleTriage))
	path := api.Prefix + "/alerts/" + list[0].Handle + "/triage"

	reader.fails(reader.do("GET", path, ""), api.NotFound, "has not been investigated yet")
	if w := reader.do("GET", path+"/versions", ""); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"versions":[]`) {
		t.Errorf("no versions: %d %s", w.Code, w.Body)
	}
	putReports(t, db, list[0], 2)
	for _, tc := range []struct {
		query, accept, media, want, not string
	}{
		{"", "", "application/json", `"version":2`, "\x1b"},
		{"?version=1", "", "application/json", `"version":1`, "\x1b"},
		{"", "text/html,*/*;q=0.1", "text/html; charset=utf-8", "&lt;script&gt;", "<script>alert"},
		{"?format=markdown", "text/html", "text/markdown; charset=utf-8", "# Suspicious", "<script>"},
		{"", "text/plain", "text/plain; charset=utf-8", "Suspicious", "\x1b"},
		{"", "image/png", "application/json", `"version":2`, "\x1b"},
	} {
		w := reader.do("GET", path+tc.query, "", "Accept", tc.accept)
		if w.Code != http.StatusOK || w.Header().Get("Content-Type") != tc.media || !strings.Contains(w.Body.String(), tc.want) || strings.Contains(w.Body.String(), tc.not) {
			t.Errorf("%s, %s: %d %s\n%s", tc.query, tc.accept, w.Code, w.Header().Get("Content-Type"), w.Body)
		}
		if strings.HasPrefix(tc.media, "text/html") {
			csp := w.Header().Get("Content-Security-Policy")
			if !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "sandbox") || strings.Contains(csp, "script") {
				t.Errorf("the policy of a page is %q", csp)
			}
		}
	}
	reader.fails(reader.do("GET", path+"?version=3", ""), api.NotFound, "the latest version is 2")
	reader.fails(reader.do("GET", path+"?version=0", ""), api.Invalid, "version")
	reader.fails(reader.do("GET", path+"?format=pdf", ""), api.Invalid, "format")
	reader.fails(reader.do("GET", api.Prefix+"/alerts/ffffffff/triage", ""), api.NotFound, "")

	w := reader.do("GET", path+"/versions", "")
	if w.Code != http.StatusOK || strings.Count(w.Body.String(), `"kept":true`) != 2 || !strings.Contains(w.Body.String(), `"due"`) {
		t.Errorf("versions: %d %s", w.Code, w.Body)
	}

	reader.fails(reader.do("POST", path, ""), api.Forbidden, "role triage")
	for body, want := range map[string]string{"": "kept", "{}": "kept", `{"as_of":"2026-01-15T00:00:00Z"}`: "trial", `{"weights":"[score]"}`: "trial"} {
		if w := person.do("POST", path, body); w.Code != http.StatusOK || w.Header().Get(server.ReportHeader) != want {
			t.Errorf("POST %s: %d %s %s", body, w.Code, w.Header().Get(server.ReportHeader), w.Body)
		}
	}
	person.fails(person.do("POST", path, `{"live":true}`), api.Invalid, "no")
	person.fails(person.do("POST", path, `{"asof":1}`), api.Invalid, "asof")
	if len(f.asked) != 5 || !strings.HasPrefix(f.asked[0], list[0].Handle) {
		t.Errorf("asked: %q", f.asked)
	}
	audits := 0
	if err := db.View(t.Context(), func(tx store.Tx) error {
		for e, err := range store.AuditBy(tx, time.Time{}, time.Time{}) {
			if err != nil {
				return err
			}
			if e.Action == "alert.triage" {
				audits++
			}
		}
		return nil
	}); err != nil || audits != 2 {
		t.Errorf("%d entries of the audit log, want one for each report that is not a trial; %v", audits, err)
	}
}

func TestTriageNeedsTheServer(t *testing.T) {
	t.Parallel()
	s, db, _ := setup(t, nil)
	list := putSamples(t, db, 1)
	c := newCaller(t, s, putToken(t, db, server.RoleTriage))
	c.fails(c.do("POST", api.Prefix+"/alerts/"+list[0].Handle+"/triage", ""), api.Unavailable, "debut serve")
}

// A list by score goes from page to page, whatever changes in between.
func TestAlertsByScore(t *testing.T) {
	t.Parallel()
	s, db, _ := setup(t, nil)
	list := putSamples(t, db, 7)
	for i, a := range list {
		if i < 5 {
			putReports(t, db, a, 1+i%2)
		}
	}
	c := newCaller(t, s, putToken(t, db, server.RoleRead))
	get := func(query string) (page api.AlertPage) {
		t.Helper()
		w := c.do("GET", api.Prefix+"/alerts?"+query, "")
		if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil || w.Code != http.StatusOK {
			t.Fatalf("%s: %d %s", query, w.Code, w.Body)
		}
		return page
	}
	all := get("sort=score&withheld=true&withdrawn=true&blocks=true")
	var want []string
	for _, a := range all.Alerts {
		want = append(want, fmt.Sprint(a.Handle, a.Triage.Score))
	}
	if len(want) != len(list) {
		t.Fatalf("%d of %d alerts", len(want), len(list))
	}
	for i := 1; i < len(all.Alerts); i++ {
		a, b := &all.Alerts[i-1].Triage, &all.Alerts[i].Triage
		if a.Score < b.Score || a.Version == 0 && b.Version > 0 {
			t.Errorf("%v stands before %v", a, b)
		}
	}
	var got []string
	for after := ""; ; {
		page := get("sort=score&limit=2&withheld=true&withdrawn=true&blocks=true" + after)
		for _, a := range page.Alerts {
			got = append(got, fmt.Sprint(a.Handle, a.Triage.Score))
		}
		if page.Next == "" {
			break
		}
		after = "&after=" + page.Next
		c.fails(c.do("GET", api.Prefix+"/alerts?limit=2"+after, ""), api.Invalid, "after")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if n := len(get("min_score=42&withheld=true&withdrawn=true&blocks=true").Alerts); n != 2 {
		t.Errorf("%d alerts of score 42, want 2", n)
	}
	if n := len(get("verdict=suspicious&verdict=malicious&withheld=true&withdrawn=true&blocks=true").Alerts); n != 5 {
		t.Errorf("%d alerts that were investigated, want 5", n)
	}
	c.fails(c.do("GET", api.Prefix+"/alerts?sort=score&order=asc", ""), api.Invalid, "sort=score")
	c.fails(c.do("GET", api.Prefix+"/alerts?verdict=bad", ""), api.Invalid, "verdict")
	c.fails(c.do("GET", api.Prefix+"/alerts?min_score=101", ""), api.Invalid, "min_score")
}
