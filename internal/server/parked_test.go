package server_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/debutsec/debut/internal/server"
	"github.com/debutsec/debut/internal/server/api"
	"github.com/debutsec/debut/internal/store"
)

func TestParked(t *testing.T) {
	t.Parallel()
	s, db, d := setup(t, nil)
	update(t, db, func(tx store.Tx) error {
		for _, x := range [][3]string{
			{"a", "listed", `{}`}, // another kind of position
			{"trail", "parked", `["m1","m2","m3"]`},
			{"trail", "parked/m1", `{"id":"m1","reason":"gone","body":"{}","parked":"2026-01-14T00:00:00Z","sent":"2026-01-13T00:00:00Z","receives":1}`},
			{"trail", "parked/m2", `{"id":"m2","reason":"not JSON","body":"<b>","size":9,"parked":"2026-01-15T00:00:00Z","receives":26}`},
			{"trail", "parked/m3", `{"id":"m3","reason":"slow","body":"{}","parked":"2026-01-15T00:00:00Z","receives":1}`},
			{"trail2", "parked", `["m1"]`},
			{"trail2", "parked/m1", `{"id":"m1","reason":"x","body":"y","parked":"2026-01-15T00:00:00Z","receives":1}`},
		} {
			if err := store.PutPosition(tx, x[0], x[1], []byte(x[2])); err != nil {
				return err
			}
		}
		return nil
	})
	c := newCaller(t, s, putToken(t, db, server.RoleAdmin))
	for query, want := range map[string]string{
		"": "trail/m3 trail/m2 trail/m1 trail2/m1", "?source=trail2": "trail2/m1", "?source=a": "", "?source=nobody": "", "?limit=2": "trail/m3 trail/m2 …",
	} {
		var list api.ParkedList
		c.get(api.Prefix+"/parked"+query, &list)
		var got []string
		for _, m := range list.Messages {
			got = append(got, m.Source+"/"+m.ID)
			if m.Cut != (m.ID == "m2") || m.Reason == "" || m.Body == "" || m.Parked.IsZero() {
				t.Errorf("%+v", m)
			}
		}
		if list.More {
			got = append(got, "…")
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %v", query, got)
		}
	}

	retry := func(body string) (out api.RetryReport) {
		t.Helper()
		c.want(200, c.do("POST", api.Prefix+"/parked/retry", body), &out)
		return out
	}
	want := api.RetryReport{Messages: []api.Retried{{Source: "trail", ID: "m1", State: "done"}, {Source: "trail", ID: "m2", State: "parked", Reason: "it is not in the bucket"}, {Source: "trail", ID: "m3", State: "trying"}}}
	if diff := cmp.Diff(want, retry(`{"source":"trail","all":true}`)); diff != "" {
		t.Error(diff)
	}
	if got := retry(`{"source":"trail","ids":["m2","m1","m2"]}`); len(got.Messages) != 2 || !slices.Equal(d.retried, []string{"m1", "m2"}) {
		t.Errorf("%v, asked for %v", got, d.retried)
	}
	for body, want := range map[string]string{
		`{"source":"trail"}`: "either ids or all", `{"source":"trail","all":true,"ids":["m1"]}`: "either ids or all", `{}`: "either ids or all",
		`{"source":"a","all":true}`: `no source is called "a"`,
	} {
		c.fails(c.do("POST", api.Prefix+"/parked/retry", body), api.Invalid, want)
	}
	c.fails(c.do("POST", api.Prefix+"/parked/retry", `{"source":"trail","ids":["m1","m9"]}`), api.NotFound, `source "trail" has no parked message "m9"`)
	c.fails(c.do("POST", api.Prefix+"/parked/retry", `{"ids":["m1",""]}`), api.NotFound, `there is no parked message ""`)
	// Of all sources; one that is not configured any more stops no other.
	all := append(slices.Clone(want.Messages), api.Retried{Source: "trail2", ID: "m1", State: "parked", Reason: `no source is called "trail2"`})
	if diff := cmp.Diff(api.RetryReport{Messages: all}, retry(`{"all":true}`)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]api.Retried{all[0], all[3]}, retry(`{"ids":["m1"]}`).Messages); diff != "" {
		t.Error(diff)
	}

	var log api.AuditPage
	c.get(api.Prefix+"/audit", &log)
	var entries []string
	for _, e := range log.Entries {
		entries = append(entries, strings.Join([]string{e.By, e.Action, e.Object, e.Detail}, "|"))
	}
	logged := []string{
		"the admin|parked.retry|trail2|1 tried again, 0 done with", "the admin|parked.retry|trail2|1 tried again, 0 done with",
		"the admin|parked.retry|trail|1 tried again, 1 done with", "the admin|parked.retry|trail|2 tried again, 1 done with",
		"the admin|parked.retry|trail|3 tried again, 1 done with", "the admin|parked.retry|trail|3 tried again, 1 done with",
	}
	if diff := cmp.Diff(logged, slices.Sorted(slices.Values(entries))); diff != "" {
		t.Error(diff)
	}
}
