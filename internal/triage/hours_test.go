package triage

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// monday is the start of a week of the baseline.
var monday = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)

func TestLearnHours(t *testing.T) {
	t.Parallel()
	zones := []*time.Location{time.UTC, time.FixedZone("IST", 19800), time.FixedZone("EST", -18000), time.FixedZone("+14", 14*3600)}
	rapid.Check(t, func(t *rapid.T) {
		zone := rapid.SampledFrom(zones).Draw(t, "zone")
		h := newHabits()
		h.Days = 7
		for range rapid.IntRange(1, 60).Draw(t, "hours") {
			i := rapid.IntRange(0, len(h.Week)-1).Draw(t, "hour")
			n := rapid.Int64Range(1, 50).Draw(t, "events")
			h.Week[i] += n
			h.Events += n
		}
		share := rapid.SampledFrom([]float64{0.5, 0.95, 1}).Draw(t, "share")
		got := learnHours(&h, share, zone, monday, 5)
		var inHours, inDays int64
		for i, n := range h.Week {
			at := monday.Add(time.Duration(i) * time.Hour)
			if (&hours{from: got.from, length: got.length}).holds(at, zone) {
				inHours += n
			}
			if got.days[weekday(at.In(zone))] {
				inDays += n
			}
		}
		if need := share * float64(h.Events); float64(inHours) < need || float64(inDays) < need {
			t.Fatalf("%d by hour and %d by day of %d events are inside, want %.2f: %+v", inHours, inDays, h.Events, need, got)
		}
		if got.length < 1 || got.length > 24 || got.said(monday, zone) == "" {
			t.Fatalf("%+v", got)
		}
	})
}

func TestHoursSaid(t *testing.T) {
	t.Parallel()
	h := newHabits()
	h.Days = 10
	for day := range 5 {
		for hour := 3; hour < 12; hour++ {
			h.Week[day*24+hour] = 3
			h.Events += 3
		}
	}
	got := learnHours(&h, 0.95, time.FixedZone("IST", 19800), monday, 5)
	if s := got.said(monday, time.FixedZone("IST", 19800)); s != "08:30 to 17:30, Mon Tue Wed Thu Fri" {
		t.Error(s)
	}
}

// TestBursts compares the stretches that are found with those that trying all finds.
func TestBursts(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var list []*Event
		at := monday
		for range rapid.IntRange(0, 40).Draw(t, "events") {
			at = at.Add(time.Duration(rapid.IntRange(0, 300).Draw(t, "gap")) * time.Second)
			e := &Event{Time: at, Provider: "s3.amazonaws.com", Action: rapid.SampledFrom([]string{"GetA", "GetB", "GetC", "GetD", "Put"}).Draw(t, "action")}
			if rapid.Bool().Draw(t, "fails") {
				e.Error = "AccessDenied"
			}
			list = append(list, e)
		}
		const within, least, share = 10 * time.Minute, 4, 0.3
		distinct, errors := 0, 0
		for i := range list {
			for j := i; j < len(list) && list[j].Time.Sub(list[i].Time) <= within; j++ {
				seen, failed := map[string]bool{}, 0
				for _, e := range list[i : j+1] {
					if e.Reads() {
						seen[e.Action] = true
					}
					if e.Error != "" {
						failed++
					}
				}
				distinct = max(distinct, len(seen))
				// Of stretches that end here only the longest is looked at.
				if whole := i == 0 || list[j].Time.Sub(list[i-1].Time) > within; whole && j-i+1 >= least && float64(failed) >= share*float64(j-i+1) {
					errors = max(errors, failed)
				}
			}
		}
		if _, n := readBurst(list, within); n != distinct {
			t.Fatalf("%d different reading actions, want %d", n, distinct)
		}
		if _, failed := errorBurst(list, within, least, share); len(failed) != errors {
			t.Fatalf("%d errors, want %d", len(failed), errors)
		}
	})
}

func TestPeersAlike(t *testing.T) {
	t.Parallel()
	const iam = "arn:aws:iam::111122223333:"
	for _, test := range []struct {
		a, b string
		want bool
	}{
		{iam + "role/app-web-prod", iam + "role/app-db-prod", true},
		{iam + "role/app_web", iam + "role/APP-db", true},
		{iam + "role/web", iam + "role/db", false},
		{iam + "role/app-web-prod", iam + "role/app-db-test", false},
		{iam + "role/app-web-prod", iam + "user/app-db-prod", false},
		{iam + "role/app-web-prod", "arn:aws:iam::444455556666:role/app-db-prod", false},
		{iam + "role/team/a", iam + "role/team/b", true},
		{iam + "role/service-role/a", iam + "role/service-role/b", false},
		{iam + "role/aws-service-role/x.amazonaws.com/a-b", iam + "role/aws-service-role/x.amazonaws.com/a-c", false},
		{iam + "role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_A_B_01", "arn:aws:iam::444455556666:role/aws-reserved/sso.amazonaws.com/eu-west-1/AWSReservedSSO_A_B_02", true},
		{iam + "role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_A_01", iam + "role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_B_01", false},
		{iam + "role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_A_01", iam + "role/AWSReservedSSO_A_02", false},
		{"ssm.amazonaws.com", "ec2.amazonaws.com", false},
		{"", "", false},
		{iam + "root", iam + "root", false},
	} {
		if got := splitPrincipal(test.a).name != "" && splitPrincipal(test.a).like(splitPrincipal(test.b)); got != test.want {
			t.Errorf("%s and %s: %v", test.a, test.b, got)
		}
	}
}
