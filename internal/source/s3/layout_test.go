package s3

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestLayout(t *testing.T) {
	t.Parallel()
	b := newFakeBucket()
	for _, key := range []string{
		"AWSLogs/111111111111/CloudTrail/eu-west-1/2000/01/01/111111111111_CloudTrail_eu-west-1_20000101T0000Z_a.json.gz",
		"AWSLogs/111111111111/CloudTrail/us-east-1/2000/01/01/x.json.gz",
		"AWSLogs/111111111111/CloudTrail-Digest/us-east-1/2000/01/01/x.json.gz",
		"AWSLogs/111111111111/CloudTrail-Insight/us-east-1/2000/01/01/x.json.gz",
		"AWSLogs/111111111111/CloudTrail-Unknown/us-east-1/2000/01/01/x.json.gz",
		"AWSLogs/111111111111/vpcflowlogs/us-east-1/2000/01/01/x.log.gz",
		"AWSLogs/o-abc/222222222222/CloudTrail/eu-west-1/2000/01/01/x.json.gz",
		"AWSLogs/o-abc/note.txt",
		"AWSLogs/aws-account/x",
		"team/a/AWSLogs/333333333333/CloudTrail/eu-west-1/2000/01/01/x.json.gz",
		"AWSLogs-old/AWSLogs/444444444444/CloudTrail/eu-west-1/2000/01/01/x.json.gz",
		"readme.txt",
	} {
		b.put(key, nil)
	}
	for _, f := range []struct {
		name     string
		prefixes []string
		digests  bool
		want     string // without AWSLogs; the error, if it has a blank
	}{
		{"all", nil, true, `-old/AWSLogs/444444444444/CloudTrail/eu-west-1/
/111111111111/CloudTrail-Digest/us-east-1/
/111111111111/CloudTrail-Insight/us-east-1/
/111111111111/CloudTrail/eu-west-1/
/111111111111/CloudTrail/us-east-1/
/o-abc/222222222222/CloudTrail/eu-west-1/
team/a//333333333333/CloudTrail/eu-west-1/`},
		{"a trail", []string{"/team/a"}, false, "team/a//333333333333/CloudTrail/eu-west-1/"},
		{"AWSLogs itself", []string{"team/a/AWSLogs"}, false, "team/a//333333333333/CloudTrail/eu-west-1/"},
		{"an organisation", []string{"AWSLogs/o-abc/"}, false, "/o-abc/222222222222/CloudTrail/eu-west-1/"},
		{"an account", []string{"AWSLogs/o-abc/222222222222"}, false, "/o-abc/222222222222/CloudTrail/eu-west-1/"},
		{"a kind", []string{"AWSLogs/111111111111/CloudTrail"}, false, "/111111111111/CloudTrail/eu-west-1/\n/111111111111/CloudTrail/us-east-1/"},
		{
			"regions, one twice",
			[]string{"AWSLogs/111111111111/CloudTrail/us-east-1", "AWSLogs/111111111111/CloudTrail/us-east-1/2000/01"},
			false,
			"/111111111111/CloudTrail/us-east-1/",
		},
		{
			"months of a region",
			[]string{"AWSLogs/111111111111/CloudTrail/us-east-1/2000/01", "AWSLogs/111111111111/CloudTrail/us-east-1/2000/02"},
			false,
			"/111111111111/CloudTrail/us-east-1/",
		},
		{
			"one in another",
			[]string{"AWSLogs/111111111111", "AWSLogs"},
			false,
			"/111111111111/CloudTrail-Insight/us-east-1/\n/111111111111/CloudTrail/eu-west-1/\n/111111111111/CloudTrail/us-east-1/\n/o-abc/222222222222/CloudTrail/eu-west-1/",
		},
		{
			"none",
			[]string{"nothing"},
			false,
			"list s3://trail/nothing/: no folder AWSLogs/ in it: is prefixes right? It is what stands before AWSLogs in the trail's settings",
		},
	} {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			o := testOptions()
			o.Prefixes, o.Digests = f.prefixes, f.digests
			branches, err := newSource(o, b, nil).layout(t.Context())
			var lines []string
			for _, b := range branches {
				lines = append(lines, strings.Replace(b.prefix, "AWSLogs", "", 1))
			}
			if err != nil {
				lines = append(lines, err.Error())
			}
			if diff := cmp.Diff(f.want, strings.Join(lines, "\n")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestBranchOf(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]string{
		keyAt(account, epoch, "a"):                                           "AWSLogs/o-abc/111122223333/CloudTrail/eu-west-1/",
		"p/q/" + keyAt(account, epoch, "a"):                                  "p/q/AWSLogs/o-abc/111122223333/CloudTrail/eu-west-1/",
		"AWSLogs/" + keyAt(account, epoch, ""):                               "AWSLogs/AWSLogs/o-abc/111122223333/CloudTrail/eu-west-1/",
		"AWSLogs/111122223333_CloudTrail_eu-west-1_20000101T0000Z_a.json.gz": "",
		"XAWSLogs/111122223333/CloudTrail/eu-west-1/2000/01/01/111122223333_CloudTrail_eu-west-1_20000101T0000Z_a.json.gz": "",
		"AWSLogs//111122223333/CloudTrail/eu-west-1/2000/01/01/x.json.gz":                                                  "AWSLogs//111122223333/CloudTrail/eu-west-1/",
		"": "",
	} {
		got, d, ok := branchOf(key)
		if got.prefix != want || ok != (want != "") || ok && d != epoch {
			t.Errorf("%s: %q, %v, %v", key, got.prefix, d, ok)
		}
	}
}

func TestObjects(t *testing.T) {
	t.Parallel()
	b := newFakeBucket()
	var want []string
	for d := range 10 {
		for _, a := range []string{"111111111111", "222222222222"} {
			for n := range 4 {
				key := keyAt(a, epoch.AddDate(0, 0, d), fmt.Sprint(n))
				b.put(key, zipped(key))
				if d >= 3 && d <= 6 {
					want = append(want, "s3://trail/"+key)
				}
			}
			b.put(digestKey(a, epoch.AddDate(0, 0, d)), nil)
		}
	}
	s := newSource(testOptions(), b, nil)
	var got []string
	for d, err := range s.Objects(t.Context(), epoch.AddDate(0, 0, 3).Add(time.Hour), epoch.AddDate(0, 0, 6)) {
		if err != nil {
			t.Fatal(err)
		}
		if d.Key == nil || d.Object == nil || d.Object.Version == "" || d.Source != "org" || d.Arrived.IsZero() {
			t.Errorf("%+v", d)
		}
		r, err := d.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_ = r.Close()
		got = append(got, d.Name)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	b.setFault(func(string, string) error { return errDenied })
	for _, err := range s.Objects(t.Context(), epoch, epoch) {
		if err == nil {
			t.Error("no error")
		}
	}
}

// The first listing goes from today down to the start date, each day once; the next run
// goes on where it was interrupted.
func TestCatchUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, _, sink := newTest(t)
		o := testOptions()
		o.Start = epoch.AddDate(0, 0, -100)
		var keys []string
		for d := range 120 {
			key := keyAt(account, epoch.AddDate(0, 0, -d), "a")
			b.put(key, zipped(key))
			keys = append(keys, key)
		}
		// The bucket fails after 60 days.
		failing := true
		b.setFault(func(op, prefix string) error {
			if failing && op == "list" && strings.HasSuffix(prefix, epoch.AddDate(0, 0, -60).Format(dayFormat)) {
				return errDenied
			}
			return nil
		})
		stop := start(t, newSource(o, b, nil), sink)
		time.Sleep(time.Minute)
		if got := sink.lastTrouble(); got != "access denied" {
			t.Errorf("trouble: %s", got)
		}
		stop()
		if got, want := string(sink.positions["listed"]), `{"from":"1999-11-03","to":"1999-12-30"}`; got != want {
			t.Errorf("position %s, want %s", got, want)
		}
		// Forty days later
		failing = false
		time.Sleep(40 * 24 * time.Hour)
		b.listed = nil
		stop = start(t, newSource(o, b, nil), sink)
		time.Sleep(time.Minute)
		stop()
		for i, key := range keys {
			if want := 1; i > 100 {
				if sink.times(key) != 0 {
					t.Errorf("%s is before the start and was read", key)
				}
			} else if sink.times(key) != want {
				t.Errorf("%s was read %d times", key, sink.times(key))
			}
		}
		var days []string
		for _, p := range b.listed {
			if i := strings.Index(p, "/CloudTrail/eu-west-1/"); i >= 0 && len(p) > i+22 {
				days = append(days, strings.Trim(p[i+22:], "/"))
			}
		}
		// Today and yesterday, then the forty days and two, then what is left.
		if len(days) != 2+40+1+41 || !slices.Contains(days, "2000/02/10") || days[len(days)-1] != "1999/09/23" ||
			days[len(days)-41] != "1999/11/02" || days[len(days)-42] != "1999/12/30" {
			t.Errorf("%d days were listed: %v", len(days), days)
		}
		if got, want := string(sink.positions["listed"]), `{"from":"1999-09-23","to":"2000-02-08"}`; got != want {
			t.Errorf("position %s, want %s", got, want)
		}
	})
}

// An object that appears days later, or sorts before others of its minute, is found.
func TestLateObjects(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, _, sink := newTest(t)
		stop := start(t, newSource(testOptions(), b, nil), sink)
		put := func(at time.Time, suffix string) string {
			key := keyAt(account, at, suffix)
			b.put(key, zipped(key))
			return key
		}
		put(time.Now(), "m")
		time.Sleep(24 * time.Hour)
		for _, f := range []struct {
			key    string
			within time.Duration
		}{
			{put(time.Now(), "m"), 6 * time.Minute},
			{put(time.Now(), "a"), 6 * time.Minute},
			{put(epoch, "b"), 6 * time.Minute},
			{put(epoch.AddDate(0, 0, -4), "b"), 61 * time.Minute},
			{put(epoch.AddDate(0, 0, -20), "b"), 25 * time.Hour},
			{put(epoch.AddDate(0, 0, -5), "b"), 61 * time.Minute},
		} {
			began := time.Now()
			for sink.times(f.key) == 0 && time.Since(began) <= f.within {
				time.Sleep(time.Minute)
			}
			if sink.times(f.key) != 1 {
				t.Errorf("%s was not found within %v", f.key, f.within)
			}
		}
		stop()
	})
}

func TestSeenIsBounded(t *testing.T) {
	t.Parallel()
	var s seen
	s.seed()
	src := newSource(testOptions(), nil, nil)
	for i := range 3 * maxSeen {
		s.add(src.object(fmt.Sprint(i), ""))
	}
	if n := len(s.now) + len(s.old); n > 2*maxSeen {
		t.Errorf("%d are remembered", n)
	}
	if !s.has(src.object(fmt.Sprint(3*maxSeen-1), "")) || s.has(src.object("0", "")) {
		t.Error("it forgets the wrong ones")
	}
	s.remove(src.object(fmt.Sprint(3*maxSeen-1), ""))
	if s.has(src.object(fmt.Sprint(3*maxSeen-1), "")) {
		t.Error("it does not forget what it is told to")
	}
}
