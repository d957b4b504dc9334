package detect_test

import (
	"fmt"
	"time"

	"pgregory.net/rapid"

	"github.com/debutsec/debut/detect"
)

// drawEvents draws events of a few users and addresses, close enough to windows of
// ten minutes and seven days to sit on both sides of them, some before 1970 and
// some of one time. Some have copies of other content.
func drawEvents(t *rapid.T) []*event {
	step := rapid.SampledFrom([]time.Duration{
		time.Second, 3 * time.Minute, 10 * time.Minute, 25 * time.Hour, 84 * time.Hour,
		week - time.Second, week, week + time.Second,
	})
	at := rapid.SampledFrom([]time.Time{base, time.Unix(-300, 0).UTC()}).Draw(t, "base")
	var list []*event
	for i := range rapid.IntRange(0, 30).Draw(t, "n") {
		if !rapid.Bool().Draw(t, "same time") {
			at = at.Add(step.Draw(t, "step"))
		}
		// The ids are not in order of time.
		id := fmt.Sprintf("e%02d", (i*17)%30)
		for range rapid.SampledFrom([]int{1, 1, 1, 1, 2, 3}).Draw(t, "copies") {
			list = append(list, &event{t: at, id: id, content: rapid.Uint64Range(1, 3).Draw(t, "content")*1000 + uint64(i), fields: map[string][]string{
				"user.name": rapid.SliceOfN(rapid.SampledFrom([]string{"ana", "bo"}), 0, 2).Draw(t, "users"),
				"source.ip": rapid.SliceOfN(rapid.SampledFrom([]string{"192.0.2.1", "192.0.2.2", "192.0.2.3"}), 0, 3).Draw(t, "ips"),
				// The principal belongs to the content of a copy, as everything does.
				"debut.principal": {rapid.SampledFrom([]string{"p", "q"}).Draw(t, "principal")},
			}})
		}
	}
	return dropForged(list)
}

const week = 7 * 24 * time.Hour

// dropForged leaves out what cannot be: one content that says two things.
func dropForged(list []*event) []*event {
	type copyOf struct {
		id      string
		content uint64
	}
	seen := map[copyOf]bool{}
	var out []*event
	for _, e := range list {
		if key := (copyOf{e.id, e.content}); !seen[key] {
			seen[key] = true
			out = append(out, e)
		}
	}
	return out
}

// disturb doubles some hits and shuffles all.
func disturb(t *rapid.T, hits []detect.Hit) []detect.Hit {
	list := append([]detect.Hit{}, hits...)
	for _, h := range hits {
		if rapid.Bool().Draw(t, "twice") {
			list = append(list, h)
		}
	}
	if len(list) == 0 {
		return list
	}
	return rapid.Permutation(list).Draw(t, "order")
}

// split cuts a list into parts.
func split(t *rapid.T, hits []detect.Hit) [][]detect.Hit {
	parts := make([][]detect.Hit, rapid.IntRange(1, 4).Draw(t, "parts"))
	for _, h := range hits {
		i := rapid.IntRange(0, len(parts)-1).Draw(t, "part")
		parts[i] = append(parts[i], h)
	}
	return parts
}

// describe writes what is to be the same however hits come: all but the place of
// the record, of which a copy is as good.
func describe(findings []detect.Hit) []string {
	out := []string{}
	for _, f := range findings {
		recurs := "-"
		if f.Recurs {
			recurs = time.Unix(0, f.Previous).UTC().Format(time.RFC3339Nano)
		}
		out = append(out, fmt.Sprintf("rule %d group %x: %s content %d by %x, %s to %s, before %s, %d events, %d values, conflict %v",
			f.Rule, f.Group[:4], idOf(f), f.Content, f.Principal[:2], time.Unix(0, f.Time).UTC().Format(time.RFC3339Nano),
			time.Unix(0, f.Last).UTC().Format(time.RFC3339Nano), recurs, f.Count, f.Distinct, f.Conflict))
	}
	return out
}
