package rule

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
)

// Fingerprint names what a detector remembers of a rule of the set: it covers all that
// decides which events match, exceptions and value lists included, and how they are
// grouped and judged. Two rules of one fingerprint remember alike; a change of name,
// severity, text or threat does not change it. The query counts as its tree, so
// neither do spaces and parentheses.
func (s *Set) Fingerprint(r *Rule) (string, error) {
	type item struct {
		OS      []string
		Expire  time.Time
		Entries []Entry
	}
	content := struct {
		Type        Type
		Query       string
		Filters     []any
		NewTerms    []string
		History     string
		Threshold   []string
		Value       int64
		Cardinality []Cardinality
		Window      [2]string
		Suppression string
		Interval    int64
		Exceptions  []item
		Lists       []ValueList
	}{
		Type: r.Type, Query: r.Query, Filters: r.Filters, NewTerms: r.NewTermsFields, History: r.HistoryWindowStart,
		Threshold: r.ThresholdFields, Value: r.ThresholdValue, Cardinality: r.Cardinality,
	}
	if n, _ := r.parseQuery(); n != nil {
		content.Query = n.String()
	}
	if r.Type == Threshold {
		content.Window = [2]string{r.From, r.To}
	}
	if r.Suppression != nil {
		content.Suppression = fmt.Sprintf("%+v", *r.Suppression)
		content.Interval = int64(r.Interval)
	}
	used := func(id string) bool {
		return slices.ContainsFunc(content.Lists, func(l ValueList) bool { return l.ID == id })
	}
	for l := range s.listsFor(r) {
		for i := range l.Items {
			content.Exceptions = append(content.Exceptions, item{l.Items[i].OSTypes, l.Items[i].ExpireTime, l.Items[i].Entries})
			for _, e := range l.Items[i].Entries {
				for _, v := range s.ValueLists {
					if e.Type == "list" && v.ID == e.ListID && !used(v.ID) {
						content.Lists = append(content.Lists, v)
					}
				}
			}
		}
	}
	b, err := json.Marshal(content, json.Deterministic(true))
	if err != nil {
		return "", fmt.Errorf("fingerprint of rule %s: %w", r.ID, err)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:16]), nil
}
