package detect

import (
	"iter"
	"time"

	"github.com/debutsec/debut/ecs"
)

// eachHit is the detector of query rules: every event is a finding.
type eachHit struct{}

func (eachHit) groups(_ groupSeed, ev ecs.Event, dst []Group) ([]Group, int) {
	return append(dst, Group{Key: ev.ID()}), 0
}

func (eachHit) reach() time.Duration { return 0 }

// reduce yields the one event of the group. Copies of it share the ID, even where
// they claim different times: the one with the smallest content speaks.
func (eachHit) reduce(hits iter.Seq[*Hit], yield func(Hit)) {
	var speaks Hit
	started := false
	for h := range hits {
		switch {
		case !started:
			speaks, started = *h, true
		case h.Content < speaks.Content:
			speaks = *h
			speaks.Conflict = true
		case h.Content > speaks.Content:
			speaks.Conflict = true
		}
	}
	if started {
		yield(speaks)
	}
}
