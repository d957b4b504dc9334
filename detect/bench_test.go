package detect_test

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/debutsec/debut/detect"
	"github.com/debutsec/debut/ecs"
)

// BenchmarkKnown decides whether a hit is a first time with so many combinations
// known: one look-up, whatever their number. Hits come for known combinations, spread
// over all of them.
func BenchmarkKnown(b *testing.B) {
	for _, known := range []int{1e4, 1e5, 1e6, 1e7} {
		b.Run(fmt.Sprint(known), func(b *testing.B) {
			if known > 1e6 && testing.Short() {
				b.Skip("ten million combinations take two gigabytes")
			}
			e := compile(b, input(newTermsRule("user.name")))
			f := e.NewFold()
			hit := func(n uint64, at time.Time) *detect.Hit {
				var group, id ecs.ID
				binary.LittleEndian.PutUint64(group[:], n*0x9E3779B97F4A7C15)
				binary.LittleEndian.PutUint64(group[8:], n)
				binary.LittleEndian.PutUint64(id[:], n)
				t := at.UnixNano()
				return &detect.Hit{Group: group, ID: id, Time: t, Last: t}
			}
			for n := range known {
				if err := f.Add(hit(uint64(n), base), keeper{1}); err != nil {
					b.Fatal(err)
				}
			}
			n := uint64(0)
			for b.Loop() {
				n += 7919
				if err := f.Add(hit(n%uint64(known), base.Add(time.Hour)), keeper{1}); err != nil {
					b.Fatal(err)
				}
			}
			if f.Len() != known {
				b.Fatalf("%d episodes for %d combinations", f.Len(), known)
			}
		})
	}
}
