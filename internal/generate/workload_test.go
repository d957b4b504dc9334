package generate_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/debutsec/debut/internal/generate"
)

// figures are the measures of a trail that real ones were measured by.
type figures struct {
	sizes, perObject          []float64 // bytes of records; records of objects
	nameLag, arrivalLag, late []float64 // the last in seconds, the others in minutes
	reads, responses, errors  float64   // shares
	back, single              float64   // shares: steps back inside objects, objects of one record
	sameSecond                float64   // share of records in the second of the one before, within an account
	ratio                     float64   // compression of all objects
	ratios                    [4]float64
	service60, service300     []float64 // variance over mean of service-made records, by account
	account60                 []float64
}

// classes are sizes of objects that the compression is looked at by.
var classes = [4][2]int{{1, 1}, {4, 6}, {25, 49}, {100, 199}}

type arrivalLine struct {
	Arrival time.Time `json:"arrival"`
	Key     string    `json:"key"`
	Records int       `json:"records"`
	Raw     int       `json:"raw"`
	Bytes   int       `json:"bytes"`
	SHA256  string    `json:"sha256"`
}

// moment is when a record happened and was there to be read.
type moment struct{ at, arrival time.Time }

func measure(tb testing.TB, dir string, start time.Time) figures {
	tb.Helper()
	arrivals := map[string]time.Time{}
	for _, a := range readLines[arrivalLine](tb, filepath.Join(dir, generate.SideDir, generate.ArrivalsFile)) {
		if _, again := arrivals[a.Key]; !again {
			arrivals[a.Key] = a.Arrival
		}
	}
	var f figures
	var n, objects, neighbours, gz, raw float64
	var classGz, classRaw [4]float64
	var moments []moment
	byAccount := map[string][]time.Time{}
	byServices := map[string][]time.Time{}
	readObjects(tb, dir, func(o object) {
		arrival, ok := arrivals[o.key]
		if !ok {
			tb.Errorf("%s does not arrive", o.key)
		}
		name, err := time.Parse("20060102T1504Z", strings.Split(filepath.Base(o.key), "_")[3])
		if err != nil {
			tb.Fatal(err)
		}
		objects++
		gz, raw = gz+float64(o.gz), raw+float64(o.raw)
		for i, c := range classes {
			if len(o.records) >= c[0] && len(o.records) <= c[1] {
				classGz[i], classRaw[i] = classGz[i]+float64(o.gz), classRaw[i]+float64(o.raw)
			}
		}
		f.perObject = append(f.perObject, float64(len(o.records)))
		for i := range o.records {
			r := &o.records[i]
			n++
			f.sizes = append(f.sizes, float64(len(r.raw)))
			f.nameLag = append(f.nameLag, name.Sub(r.EventTime).Minutes())
			f.arrivalLag = append(f.arrivalLag, arrival.Sub(r.EventTime).Minutes())
			f.reads += one(r.ReadOnly)
			f.responses += one(string(r.ResponseElements) != "null")
			f.errors += one(r.ErrorCode != "")
			if i > 0 {
				neighbours++
				f.back += one(r.EventTime.Before(o.records[i-1].EventTime))
			}
			moments = append(moments, moment{r.EventTime, arrival})
			byAccount[r.Recipient] = append(byAccount[r.Recipient], r.EventTime)
			if r.UserIdentity.ARN == "" {
				byServices[r.Recipient] = append(byServices[r.Recipient], r.EventTime)
			}
		}
		f.single += one(len(o.records) == 1)
	})
	f.reads, f.responses, f.errors = f.reads/n, f.responses/n, f.errors/n
	f.back, f.single, f.ratio = f.back/neighbours, f.single/objects, raw/gz
	for i := range classes {
		f.ratios[i] = classRaw[i] / classGz[i]
	}
	f.late = lateness(moments)
	same := 0.
	for _, times := range byAccount {
		slices.SortFunc(times, time.Time.Compare)
		for i := 1; i < len(times); i++ {
			same += one(times[i].Equal(times[i-1]))
		}
		f.account60 = append(f.account60, dispersion(times, start, 60))
	}
	f.sameSecond = same / n
	for _, times := range byServices {
		f.service60 = append(f.service60, dispersion(times, start, 60))
		f.service300 = append(f.service300, dispersion(times, start, 300))
	}
	return f
}

func one(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// lateness is how far each record lies behind the newest that arrived before it.
func lateness(moments []moment) []float64 {
	slices.SortStableFunc(moments, func(a, b moment) int { return a.arrival.Compare(b.arrival) })
	var newest time.Time
	var late []float64
	for _, m := range moments {
		if m.at.After(newest) {
			newest = m.at
		} else if m.at.Before(newest) {
			late = append(late, newest.Sub(m.at).Seconds())
		}
	}
	return late
}

// dispersion is the variance over the mean of the counts in windows.
func dispersion(times []time.Time, start time.Time, seconds int) float64 {
	counts := map[int]float64{}
	last := 0
	for _, t := range times {
		w := int(t.Sub(start).Seconds()) / seconds
		counts[w]++
		last = max(last, w)
	}
	mean := float64(len(times)) / float64(last+1)
	sum := mean * mean * float64(last+1-len(counts))
	for _, c := range counts {
		sum += (c - mean) * (c - mean)
	}
	return sum / float64(last+1) / mean
}

// quantile is of sorted values.
func quantile(values []float64, q float64) float64 {
	return values[int(q*float64(len(values)-1))]
}

// TestWorkload holds the trail to the figures of real trails, in the bands of the
// workload's check values. DEBUT_TRUTH=1000000 looks at a larger trail.
func TestWorkload(t *testing.T) {
	t.Parallel()
	n := int64(100_000)
	if text := os.Getenv("DEBUT_TRUTH"); text != "" {
		if _, err := fmt.Sscan(text, &n); err != nil {
			t.Fatal(err)
		}
	}
	cfg := generate.Default(n, 42)
	cfg.Workers, cfg.Overlay, cfg.RareLarge, cfg.Duplicates = 2, -1, false, generate.Duplicates{}
	dir, sum := trail(t, cfg)
	f := measure(t, dir, sum.Config.Start)
	mean := func(v []float64) float64 {
		var s float64
		for _, x := range v {
			s += x
		}
		return s / float64(len(v))
	}
	for _, v := range [][]float64{f.sizes, f.perObject, f.nameLag, f.arrivalLag, f.late, f.service60, f.service300, f.account60} {
		slices.Sort(v)
	}
	for _, c := range []struct {
		name      string
		got       float64
		low, high float64
		reference string
	}{
		{"records against asked", float64(sum.Records) / float64(n), 0.9, 1.3, "1.11"},
		{"record size, mean", mean(f.sizes), 1150, 1350, "1231"},
		{"record size, median", quantile(f.sizes, 0.5), 1000, 1450, "1308"},
		{"record size, p95", quantile(f.sizes, 0.95), 1500, 2100, "1740"},
		{"record size, p99", quantile(f.sizes, 0.99), 1800, 3000, "2013"},
		{"ratio, 1 record", f.ratios[0], 1.8 * 0.7, 1.8 * 1.3, "1.8"},
		{"ratio, 4-6 records", f.ratios[1], 4.0 * 0.7, 4.0 * 1.3, "4.0"},
		{"ratio, 25-49 records", f.ratios[2], 7.6 * 0.7, 7.6 * 1.3, "7.6"},
		{"ratio, 100-199 records", f.ratios[3], 10 * 0.7, 12.7 * 1.3, "12.7"},
		{"ratio, all", f.ratio, 4.5, 9, "5.8"},
		{"reads", f.reads, 0.8, 1, "0.88"},
		{"responses", f.responses, 0.02, 0.12, "0.06"},
		{"errors", f.errors, 0.01, 0.12, "0.04"},
		{"records per object, median", quantile(f.perObject, 0.5), 3, 20, "6"},
		{"records per object, p95", quantile(f.perObject, 0.95), 12, 222, "31"},
		{"objects of one record", f.single, 0.05, 0.25, "0.14"},
		{"name after event, min, p5", quantile(f.nameLag, 0.05), -0.1, 2.4, "0.9"},
		{"name after event, min, p50", quantile(f.nameLag, 0.5), 2.2, 5.2, "4.2"},
		{"name after event, min, p95", quantile(f.nameLag, 0.95), 6.1, 8.9, "7.7"},
		{"name after event, min, p99", quantile(f.nameLag, 0.99), 7.4, 10, "9.0"},
		{"name after event, min, max", quantile(f.nameLag, 1), 8.9, 10.1, "9.9"},
		{"arrival after event, min, p50", quantile(f.arrivalLag, 0.5), 4, 6, "4.8"},
		{"arrival after event, min, p95", quantile(f.arrivalLag, 0.95), 7, 12, "9.3"},
		{"arrival after event, min, max", quantile(f.arrivalLag, 1), 9, 15.02, "15.0"},
		{"behind the newest, s, p50", quantile(f.late, 0.5), 33, 300, "191"},
		{"behind the newest, s, p99", quantile(f.late, 0.99), 300, 900, "649"},
		{"steps back in objects", f.back, 0.05, 0.25, "0.09"},
		{"dispersion of services, 60 s, low", f.service60[0], 5, 15, "9.4"},
		{"dispersion of services, 60 s, high", f.service60[len(f.service60)-1], 5, 15, "9.8"},
		{"dispersion of services, 300 s, low", f.service300[0], 5, 15, "10"},
		{"dispersion of services, 300 s, high", f.service300[len(f.service300)-1], 5, 15, "11"},
		{"dispersion of an account, 60 s, low", f.account60[0], 5, 1000, "8"},
		{"same second", f.sameSecond, 0.4, 0.8, "0.48-0.69"},
	} {
		t.Logf("%-38s %10.3f  (%g to %g; reference %s)", c.name, c.got, c.low, c.high, c.reference)
		if !(c.got >= c.low && c.got <= c.high) {
			t.Errorf("%s is %g, not within %g and %g", c.name, c.got, c.low, c.high)
		}
	}
}
