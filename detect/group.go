package detect

import (
	"crypto/sha256"
	"encoding/binary"
	"strings"

	"github.com/debutsec/debut/ecs"
)

// maxCombinations bounds the cross product of one event's array values. What is
// over it is counted, see [Matcher.Excess].
const maxCombinations = 10_000

// maxFields bounds the fields that make up a group.
const maxFields = 8

// A Group is what a detector keeps apart: one combination of a new-terms rule, one
// set of values of a threshold.
type Group struct {
	Key   ecs.ID
	Value ecs.ID // see Hit.Value
}

// groupSeed keeps the groups of different rules apart.
type groupSeed [8]byte

func newGroupSeed(ruleID string) groupSeed {
	sum := sha256.Sum256([]byte(ruleID))
	return groupSeed(sum[:8])
}

// key returns the group of a list of values.
func (s groupSeed) key(values []string) ecs.ID {
	var buf [512]byte
	b := append(buf[:0], s[:]...)
	for _, v := range values {
		b = binary.AppendUvarint(b, uint64(len(v)))
		b = append(b, v...)
	}
	sum := sha256.Sum256(b)
	return ecs.ID(sum[:16])
}

// A product is the cross product of the values of some fields of an event, in the
// order in which [Rule.Combination] finds them again.
type product struct {
	lists [maxFields][]string
	n     int // fields
	total int // combinations, none if a field has no value
}

func newProduct(ev ecs.Event, fields []*ecs.Field) product {
	p := product{n: len(fields), total: 1}
	for i, f := range fields {
		p.lists[i] = ev.Values(f)
		p.total = min(p.total*len(p.lists[i]), 1<<30)
	}
	return p
}

// at writes the combination of number k to dst.
func (p *product) at(k int, dst *[maxFields]string) []string {
	for i := p.n - 1; i >= 0; i-- {
		dst[i] = p.lists[i][k%len(p.lists[i])]
		k /= len(p.lists[i])
	}
	return dst[:p.n]
}

// crossProduct appends a group for each combination of the fields' values.
func crossProduct(seed groupSeed, ev ecs.Event, fields []*ecs.Field, dst []Group) (groups []Group, excess int) {
	p := newProduct(ev, fields)
	var combination [maxFields]string
	for k := range min(p.total, maxCombinations) {
		dst = append(dst, Group{Key: seed.key(p.at(k, &combination))})
	}
	return dst, max(p.total-maxCombinations, 0)
}

// Combination returns the values of the rule's term fields that make up the group
// of a finding, given the finding's event: an event with arrays has several
// combinations. It returns nil for query rules.
func (r *Rule) Combination(ev ecs.Event, group ecs.ID) []string {
	if len(r.TermFields) == 0 {
		return nil
	}
	p := newProduct(ev, r.TermFields)
	var combination [maxFields]string
	for k := range min(p.total, maxCombinations) {
		if values := p.at(k, &combination); r.seed.key(values) == group {
			out := make([]string, len(values))
			for i, v := range values {
				out[i] = strings.Clone(v)
			}
			return out
		}
	}
	return nil
}

// Group returns the group that these values of the rule's term fields make up.
func (r *Rule) Group(values []string) ecs.ID { return r.seed.key(values) }
