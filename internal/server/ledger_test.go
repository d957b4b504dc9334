package server_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/debutsec/debut/internal/server"
	"github.com/debutsec/debut/internal/server/api"
	"github.com/debutsec/debut/internal/store"
)

// putLedger writes four hours of one region before testNow: everything read, one
// object missing, nothing, one object failed; and one hour of another region.
func putLedger(tb testing.TB, db store.DB) {
	tb.Helper()
	hour := func(back int) time.Time { return testNow.Add(-time.Duration(back) * time.Hour) }
	object := func(tx store.Tx, name string, back int, region string, state store.ObjectState, expected bool) error {
		o := &store.Object{
			Source: "trail", Name: name, Version: "etag", Account: "111122223333", Region: region, Hour: hour(back).Unix() / 3600,
			State: state, Expected: expected,
		}
		if state == store.ObjectFailed {
			o.Reason = "NoSuchKey: \x1b[2J"
		}
		return store.PutObject(tx, o)
	}
	update(tb, db, func(tx store.Tx) error {
		for i, back := range []int{4, 4, 3, 1} {
			if err := object(tx, fmt.Sprint("read", i), back, "eu-west-1", store.ObjectRead, true); err != nil {
				return err
			}
		}
		for _, back := range []int{4, 1} {
			line := &store.Hour{Account: "111122223333", Region: "eu-west-1", Hour: hour(back), Records: 10, Late: 1, MaxDelay: time.Minute, SumDelay: 100 * time.Second}
			if err := store.AddHour(tx, line); err != nil {
				return err
			}
		}
		for _, err := range []error{
			object(tx, "missing", 3, "eu-west-1", store.ObjectExpected, true),
			object(tx, "failed", 1, "eu-west-1", store.ObjectFailed, true),
			object(tx, "other", 2, "us-east-1", store.ObjectRead, false),
		} {
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func TestCoverage(t *testing.T) {
	t.Parallel()
	s, db, _ := setup(t, nil)
	putLedger(t, db)
	c := newCaller(t, s, putToken(t, db, server.RoleRead))
	var got api.Coverage
	c.get(api.Prefix+"/coverage?from=now-5h", &got)
	states := map[string][]store.HourState{}
	for _, z := range got.Zones {
		for _, cell := range z.Cells {
			states[z.Region] = append(states[z.Region], cell.State)
		}
	}
	want := map[string][]store.HourState{
		"eu-west-1": {store.HourUnknown, store.HourFull, store.HourPartial, store.HourQuiet, store.HourFailed},
		"us-east-1": {store.HourUnknown, store.HourQuiet, store.HourQuiet, store.HourObserved, store.HourQuiet},
	}
	if diff := cmp.Diff(want, states); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	z := got.Zones[0]
	if z.Share != (0+1+0.5+1+0.5)/5 || z.Expected != 6 || z.Read != 4 || z.Failed != 1 || z.Records != 20 || z.MaxDelay != 60 || z.MeanDelay != 10 {
		t.Errorf("got %+v", z)
	}
	if len(got.Gaps) != 4 || got.Gaps[0].State != store.HourFailed || got.Gaps[0].Missing != 1 || got.Gaps[1].State != store.HourPartial {
		t.Errorf("gaps %+v", got.Gaps)
	}

	got = api.Coverage{}
	c.get(api.Prefix+"/coverage?from=now-5h&by=day&account=111122223333&region=eu-west-1", &got)
	if len(got.Zones) != 1 || len(got.Zones[0].Cells) != 1 || got.Zones[0].Cells[0].State != store.HourFailed || got.Zones[0].Cells[0].Read != 4 {
		t.Errorf("by day: %+v", got.Zones)
	}
	got = api.Coverage{}
	c.get(api.Prefix+"/coverage?account=999999999999", &got)
	if len(got.Zones) != 0 {
		t.Errorf("of nobody: %+v", got.Zones)
	}
	c.fails(c.do("GET", api.Prefix+"/coverage?from=now&to=now-1d", ""), api.Invalid, "nothing between")
}

func TestObjects(t *testing.T) {
	t.Parallel()
	s, db, _ := setup(t, nil)
	putLedger(t, db)
	c := newCaller(t, s, putToken(t, db, server.RoleRead))
	for query, want := range map[string]int{
		"": 1, "state=read": 5, "state=expected": 1, "state=read&region=us-east-1": 1, "state=read&limit=2": 2, "name=missing": 1, "name=read0": 1, "name=nothing": 0,
	} {
		var got api.ObjectList
		c.get(api.Prefix+"/objects?"+query, &got)
		if len(got.Objects) != want || got.More != (query == "state=read&limit=2") {
			t.Errorf("%q: %d objects, more %v", query, len(got.Objects), got.More)
		}
	}
}
