package serve

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/debutsec/debut/detect"
	"github.com/debutsec/debut/internal/store"
	"github.com/debutsec/debut/rule"
)

// mapping is the version of what turns records into events. Memory made with another
// one is made anew: a field that reads otherwise would make everything a debut.
const mapping = 1

// A ruleset is an engine, and what the store knows about its rules. It is immutable.
type ruleset struct {
	engine      *detect.Engine
	number      []int32 // of the version of the rule, by index
	start       []int64 // nanoseconds: findings of the rule that begin before are learned
	suppression []*detect.Suppression
	adopts      bool // findings look for alerts that another version of the rule made
}

// index returns the index of the version of a rule, -1 if it is not in the set.
func (s *ruleset) index(number int32) int { return slices.Index(s.number, number) }

// fingerprint names what a rule remembers by: everything that decides which events
// match and how they are grouped. Metadata may change without losing memory.
func fingerprint(r *rule.Rule, exceptions []detect.Exception) (string, error) {
	type exception struct {
		Name   string
		Expire time.Time
		Text   string
	}
	content := struct {
		Mapping                     int
		Type                        rule.Type
		Language, Query, Filters    string
		NewTerms                    []string
		History                     string
		Threshold                   []string
		Value                       int64
		Cardinality                 []rule.Cardinality
		From, To, Suppression       string
		Interval                    time.Duration
		Exceptions                  []exception
	}{
		Mapping: mapping, Type: r.Type, Language: r.Language, Query: r.QueryText(),
		NewTerms: r.NewTermsFields, History: r.HistoryWindowStart,
		Threshold: r.ThresholdFields, Value: r.ThresholdValue, Cardinality: r.Cardinality,
		Suppression: fmt.Sprintf("%+v", r.Suppression), Filters: fmt.Sprintf("%s", r.Filters),
	}
	if r.Suppression != nil {
		content.Suppression = fmt.Sprintf("%+v", *r.Suppression)
		content.Interval = r.Interval
	}
	if r.Type == rule.Threshold {
		content.From, content.To = r.From, r.To
	}
	for _, x := range exceptions {
		content.Exceptions = append(content.Exceptions, exception{x.Name, x.Expire, fmt.Sprint(x.Expr)})
	}
	b, err := json.Marshal(content, json.Deterministic(true))
	if err != nil {
		return "", fmt.Errorf("fingerprint of rule %s: %w", r.ID, err)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:16]), nil
}
