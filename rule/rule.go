package rule

import (
	"time"

	"github.com/debutsec/debut/kql"
)

// Type is a rule type of the detection engine.
type Type string

// The rule types. Query, SavedQuery (with an embedded query), NewTerms and
// Threshold run; the others are named as not runnable.
const (
	Query           Type = "query"
	SavedQuery      Type = "saved_query"
	NewTerms        Type = "new_terms"
	Threshold       Type = "threshold"
	EQL             Type = "eql"
	ESQL            Type = "esql"
	ThreatMatch     Type = "threat_match"
	MachineLearning Type = "machine_learning"
)

// A Rule is one detection rule, in the API's terms whatever format it came in.
// It is read-only once loaded, and then safe for concurrent use.
type Rule struct {
	ID          string // rule_id: the stable signature id
	ObjectID    string // id of the saved object, in exports
	Name        string
	Description string
	Type        Type
	Language    string // kuery, lucene, eql, esql
	Query       string
	Enabled     bool
	EnabledSet  bool // the file says so; TOML files usually do not

	RiskScore int
	Severity  string // low, medium, high, critical

	Interval   time.Duration // default 5m
	From, To   string        // date math; defaults now-6m, now
	MaxSignals int           // default 100

	Index      []string
	DataViewID string
	Filters    []any // Kibana filter objects

	NewTermsFields     []string
	HistoryWindowStart string

	ThresholdFields []string
	ThresholdValue  int64
	Cardinality     []Cardinality

	Suppression *Suppression

	EventCategoryOverride string
	TiebreakerField       string
	TimestampField        string

	TimestampOverride                 string
	TimestampOverrideFallbackDisabled bool
	RuleNameOverride                  string
	SeverityMapping                   []SeverityMapping
	RiskScoreMapping                  []RiskScoreMapping
	BuildingBlock                     bool
	InvestigationFields               []string

	Tags, Author, References, FalsePositives []string
	License, Note, Setup                     string
	Threat                                   []Threat
	TimelineID, TimelineTitle                string
	ExceptionsList                           []ListRef
	Version, Revision                        int
	Immutable                                bool
	CreatedAt, CreatedBy                     string
	UpdatedAt, UpdatedBy                     string

	// Parameters is the whole rule in the API's snake_case spelling, defaults
	// written out, with every field of the file, known or not: nothing is dropped.
	Parameters map[string]any
	// Metadata is the [metadata] table of a TOML file.
	Metadata map[string]any
	// Transform is the [transform] table of a TOML file; its entries are already
	// in Note where the note has a place for them.
	Transform map[string]any

	File      string
	Line      int // of the rule in File, 1-based
	QueryLine int // where the query text begins, 1-based; 0 if unknown
	QueryCol  int // in runes

	// Where everything stands in the file; nil for a rule made by hand.
	src    *source
	tree   *node
	parsed kql.Node // of Query, if it is KQL
}

// Cardinality is a threshold's condition on distinct values.
type Cardinality struct {
	Field string
	Value int64
}

// Suppression is alert_suppression.
type Suppression struct {
	GroupBy               []string
	Duration              time.Duration // 0: per execution, that is per interval
	MissingFieldsStrategy string        // suppress (default) or doNotSuppress
}

// SeverityMapping overrides the severity where Field has Value.
type SeverityMapping struct{ Field, Operator, Value, Severity string }

// RiskScoreMapping takes the risk score from Field.
type RiskScoreMapping struct{ Field, Operator, Value string }

// Threat is one framework entry: a tactic with its techniques.
type Threat struct {
	Framework string
	Tactic    Technique
	Technique []Technique
}

// Technique is a tactic, technique or sub-technique.
type Technique struct {
	ID, Name, Reference string
	Subtechnique        []Technique
}

// ListRef ties a rule to an exception list.
type ListRef struct{ ID, ListID, Type, NamespaceType string }

// ExceptionList is a container with its items.
type ExceptionList struct {
	ListID, Name, Description, Type, NamespaceType string
	RuleIDs                                        []string // TOML files name the rules
	Items                                          []ExceptionItem
	File                                           string
	Line                                           int
}

// ExceptionItem excludes the events that match all its entries.
type ExceptionItem struct {
	ItemID, Name, Description string
	Entries                   []Entry
	OSTypes                   []string
	ExpireTime                time.Time // zero: never; compared with event time
	Comments                  []string
	File                      string
	Line                      int

	src *source // nil for an item made by hand
}

// Entry is one condition of an exception item.
type Entry struct {
	Field    string
	Operator string   // included or excluded
	Type     string   // match, match_any, exists, wildcard, list, nested
	Values   []string // one for match and wildcard
	ListID   string   // for list
	ListType string   // for list: keyword, ip, ip_range, ...
	Entries  []Entry  // for nested

	at place // in the file of the item
}

// place is a range of bytes in a file.
type place struct{ off, end int }

// ValueList is a list of values that exceptions of type list refer to.
type ValueList struct {
	ID, Type string
	Values   []string
}

// Runnable reports whether this version runs the rule, and if not why.
func (r *Rule) Runnable() (ok bool, reason string) {
	switch r.Type {
	case Query, NewTerms, Threshold:
	case SavedQuery:
		if r.Query == "" {
			return false, "the saved query is not in the file; only an embedded query can be run"
		}
	case EQL:
		return false, "EQL is not supported yet"
	case ESQL:
		return false, "ES|QL is not supported yet"
	case MachineLearning:
		return false, "machine learning rules need Elastic's anomaly jobs"
	case ThreatMatch:
		return false, "indicator match rules are not supported yet"
	default:
		return false, "rules of type " + string(r.Type) + " are not supported"
	}
	if r.Language != "kuery" && r.Language != "" {
		return false, "queries in " + r.Language + " are not supported yet"
	}
	if _, err := r.Conditions(); err != nil {
		return false, err.Error()
	}
	return true, ""
}
