package store

import (
	"fmt"
	"iter"
	"math"
	"slices"

	"github.com/debutsec/debut/detect"
	"github.com/debutsec/debut/ecs"
)

// Finding keys and values. What detectors remember is findings: the episodes of a
// combination, the windows over a threshold, the events of a query rule; and, for
// windows, the hits that may still become part of one. Hit.Rule is here the number
// of a version of a rule in table RuleKeys, not an index.

const (
	flagConflict = 1 << iota
	flagRecurs
	flagLearned
)

func groupKey(b []byte, rule int32, group ecs.ID) []byte {
	return append(keyNumber(b, uint32(rule)), group[:]...)
}

func findingKey(h *detect.Hit) []byte {
	b := groupKey(make([]byte, 0, 44), h.Rule, h.Group)
	return append(keyTime(b, h.Time), h.ID[:]...)
}

// A Finding is one finding, and whether it was learned: it began before the start of
// alerting and has no alert.
type Finding struct {
	detect.Hit
	Learned bool
	// Instance is the suppression group, if the rule has one; SuppressedEnd is that
	// of [detect.Signal].
	Instance      ecs.ID
	SuppressedEnd int64
	// Handle is that of the alert that stands for the finding; "": none does, since it
	// was learned or another finding of its suppression group speaks.
	Handle string
}

func encodeFinding(f *Finding) []byte {
	b := make([]byte, 0, 96)
	var flags byte
	if f.Conflict {
		flags |= flagConflict
	}
	if f.Recurs {
		flags |= flagRecurs
	}
	if f.Learned {
		flags |= flagLearned
	}
	b = append(b, flags)
	b = putInt(b, f.Last)
	b = putUint(b, f.Content)
	b = append(b, f.Principal[:]...)
	if !f.Recurs && f.Count == 0 && f.Distinct == 0 && f.Instance == (ecs.ID{}) && f.Handle == "" {
		return b // nearly all: a combination seen for the first time
	}
	b = putInt(b, f.Previous)
	b = putInt(b, f.Count)
	b = putInt(b, f.Distinct)
	b = append(b, f.Instance[:]...)
	b = putInt(b, f.SuppressedEnd)
	return putText(b, f.Handle)
}

func decodeFinding(p Pair, f *Finding) error {
	k := decoder{b: p.Key}
	*f = Finding{}
	f.Rule = k.number()
	f.Group = k.id()
	f.Time = timeOf(k.take(8))
	f.ID = k.id()
	if err := k.err(Findings); err != nil {
		return err
	}
	d := decoder{b: p.Value}
	flags := d.byte()
	f.Conflict, f.Recurs, f.Learned = flags&flagConflict != 0, flags&flagRecurs != 0, flags&flagLearned != 0
	f.Last, f.Content, f.Principal = d.int(), d.uint(), d.id()
	if len(d.b) > 0 {
		f.Previous, f.Count, f.Distinct, f.Instance, f.SuppressedEnd = d.int(), d.int(), d.int(), d.id(), d.int()
		f.Handle = d.string()
	}
	return d.err(Findings)
}

// FindingsOf returns the findings of a group, by time.
func FindingsOf(tx Tx, rule int32, group ecs.ID) ([]Finding, error) {
	prefix := groupKey(make([]byte, 0, 20), rule, group)
	var out []Finding
	for p, err := range tx.Range(Findings, prefix, Behind(prefix)) {
		if err != nil {
			return nil, err
		}
		var f Finding
		if err := decodeFinding(p, &f); err != nil {
			return nil, err
		}
		out = append(out, f)
	}
	return out, nil
}

// GetFinding returns the finding that begins with a hit, nil if there is none.
func GetFinding(tx Tx, h *detect.Hit) (*Finding, error) {
	key := findingKey(h)
	value, err := tx.Get(Findings, key)
	if err != nil || value == nil {
		return nil, err
	}
	var f Finding
	return &f, decodeFinding(Pair{key, value}, &f)
}

// PutFinding stores a finding under its rule, group, time and ID.
func PutFinding(tx Tx, f *Finding) error {
	if f.Instance != (ecs.ID{}) {
		if err := tx.Put(Instances, instanceKey(f), f.Group[:]); err != nil {
			return err
		}
	}
	return tx.Put(Findings, findingKey(&f.Hit), encodeFinding(f))
}

// DeleteFinding removes it.
func DeleteFinding(tx Tx, f *Finding) error {
	if f.Instance != (ecs.ID{}) {
		if err := tx.Delete(Instances, instanceKey(f)); err != nil {
			return err
		}
	}
	return tx.Delete(Findings, findingKey(&f.Hit))
}

func instanceKey(f *Finding) []byte {
	b := groupKey(make([]byte, 0, 60), f.Rule, f.Instance)
	return append(append(keyTime(b, f.Time), f.ID[:]...), f.Group[:]...)
}

// FindingsOfInstance returns the findings of a suppression group that begin in [from,
// to), nanoseconds, by time.
func FindingsOfInstance(tx Tx, rule int32, instance ecs.ID, from, to int64) ([]Finding, error) {
	prefix := groupKey(make([]byte, 0, 28), rule, instance)
	var out []Finding
	for p, err := range tx.Range(Instances, keyTime(prefix[:20:20], from), keyTime(prefix[:20:20], to)) {
		if err != nil {
			return nil, err
		}
		k := decoder{b: p.Key[20:]}
		h := detect.Hit{Rule: rule, Time: timeOf(k.take(8)), ID: k.id(), Group: k.id()}
		value, err := tx.Get(Findings, findingKey(&h))
		if err != nil {
			return nil, err
		}
		if value == nil {
			continue
		}
		var f Finding
		if err := decodeFinding(Pair{findingKey(&h), value}, &f); err != nil {
			return nil, err
		}
		out = append(out, f)
	}
	return out, nil
}

// AllFindings yields every finding of a version of a rule.
func AllFindings(tx Tx, rule int32) iter.Seq2[*Finding, error] {
	return func(yield func(*Finding, error) bool) {
		prefix := keyNumber(nil, uint32(rule))
		for p, err := range tx.Range(Findings, prefix, Behind(prefix)) {
			var f Finding
			if err == nil {
				err = decodeFinding(p, &f)
			}
			if !yield(&f, err) || err != nil {
				return
			}
		}
	}
}

// MemoryOf returns the numbers of the versions of rules that findings or hits are kept
// of, each once.
func MemoryOf(tx Tx) ([]int32, error) {
	var out []int32
	for _, t := range []Table{Findings, Hits} {
		for from := []byte(nil); ; {
			number, err := firstNumber(tx, t, from)
			if err != nil {
				return nil, err
			}
			if number == 0 {
				break
			}
			if !slices.Contains(out, number) {
				out = append(out, number)
			}
			from = Behind(keyNumber(nil, uint32(number)))
		}
	}
	return out, nil
}

// firstNumber is that of the first row from a key on, 0 if there is none.
func firstNumber(tx Tx, t Table, from []byte) (int32, error) {
	for p, err := range tx.Range(t, from, nil) {
		if err != nil {
			return 0, err
		}
		k := decoder{b: p.Key[:min(4, len(p.Key))]} // the rest is of no interest
		return k.number(), k.err(t)
	}
	return 0, nil
}

func hitKey(h *detect.Hit) []byte {
	b := append(findingKey(h), 0, 0, 0, 0, 0, 0, 0, 0)
	for i := range 8 {
		b[len(b)-8+i] = byte(h.Content >> (56 - 8*i))
	}
	return append(b, h.Value[:]...)
}

// PutHit keeps a hit of a rule whose windows may still need it.
func PutHit(tx Tx, h *detect.Hit) error {
	return tx.Put(Hits, hitKey(h), append([]byte(nil), h.Principal[:]...))
}

// DeleteHit forgets it.
func DeleteHit(tx Tx, h *detect.Hit) error { return tx.Delete(Hits, hitKey(h)) }

// HitsForgotten is the time, in nanoseconds, before which hits of a version of a rule
// were forgotten; math.MinInt64: none were.
func HitsForgotten(tx Tx, rule int32) (int64, error) {
	before := int64(math.MinInt64)
	_, err := Fact(tx, factForgotten(rule), &before)
	return before, err
}

// PutHitsForgotten notes it, in the transaction that forgets them; math.MinInt64: the
// version is gone, and so is the note.
func PutHitsForgotten(tx Tx, rule int32, before int64) error {
	if before == math.MinInt64 {
		return tx.Delete(Meta, []byte(factForgotten(rule)))
	}
	return PutFact(tx, factForgotten(rule), before)
}

func factForgotten(rule int32) string { return fmt.Sprintf("forgotten/%d", rule) }

// HitsOf returns the kept hits of a group with from ≤ time ≤ to, in the order of
// [detect.Hit.Compare].
func HitsOf(tx Tx, rule int32, group ecs.ID, from, to int64) ([]detect.Hit, error) {
	prefix := groupKey(make([]byte, 0, 28), rule, group)
	end := Behind(prefix)
	if to < 1<<63-1 {
		end = keyTime(prefix[:20:20], to+1)
	}
	var out []detect.Hit
	for p, err := range tx.Range(Hits, keyTime(prefix[:20:20], from), end) {
		if err != nil {
			return nil, err
		}
		h, err := decodeHit(p)
		if err != nil {
			return nil, err
		}
		out = append(out, h)
	}
	return out, nil
}

func decodeHit(p Pair) (detect.Hit, error) {
	k := decoder{b: p.Key}
	h := detect.Hit{Rule: k.number(), Group: k.id()}
	h.Time = timeOf(k.take(8))
	h.ID = k.id()
	for _, c := range k.take(8) {
		h.Content = h.Content<<8 | uint64(c)
	}
	h.Value = k.id()
	h.Last = h.Time
	if err := k.err(Hits); err != nil {
		return h, err
	}
	d := decoder{b: p.Value}
	h.Principal = d.id()
	return h, d.err(Hits)
}

// AllHits yields every kept hit of a version of a rule.
func AllHits(tx Tx, rule int32) iter.Seq2[detect.Hit, error] {
	return func(yield func(detect.Hit, error) bool) {
		prefix := keyNumber(nil, uint32(rule))
		for p, err := range tx.Range(Hits, prefix, Behind(prefix)) {
			var h detect.Hit
			if err == nil {
				h, err = decodeHit(p)
			}
			if !yield(h, err) || err != nil {
				return
			}
		}
	}
}
