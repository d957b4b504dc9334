package triage

import "time"

// Schema names the format of a [Report] as JSON. docs/format/triage.v1.schema.json
// describes it.
const Schema = "triage.v1"

// A Report is what one investigation found. It is a pure function of its [Input]: no
// times of running are in it. Its texts come from logs in part and are hostile: who
// renders it escapes them.
type Report struct {
	Schema     string     `json:"schema"` // "triage.v1"
	AlertID    string     `json:"alert_id"`
	Rule       Rule       `json:"rule"`
	EventID    string     `json:"event_id"`
	Time       time.Time  `json:"time"` // of the event
	Verdict    string     `json:"verdict"`
	Score      int        `json:"score"`
	Confidence float64    `json:"confidence"` // 0 to 1, two places
	Cold       bool       `json:"cold"`       // the history window is not covered
	Summary    string     `json:"summary"`
	Categories []Category `json:"categories"`
	// Sum is the score as a sum: the prior, every line that counts, and what caps took
	// away. Adding up Points gives the score before it is clamped to 0 to 100.
	Sum             []SumLine  `json:"sum"`
	Steps           []Answer   `json:"steps"`
	Claims          []Claim    `json:"claims"`
	Chain           []Link     `json:"chain"`
	Timeline        []Moment   `json:"timeline"`
	TimelineOmitted int        `json:"timeline_omitted,omitempty"`
	Entities        Entities   `json:"entities"`
	Unknowns        []Unknown  `json:"unknowns"`
	NextQuestions   []string   `json:"next_questions"`
	ProposedActions []Action   `json:"proposed_actions"`
	Exception       *Exception `json:"exception,omitempty"` // proposed, if any
	Live            []Look     `json:"live,omitempty"`      // what was asked of AWS
	// As of the time to which the store was read. Versions are those before this one.
	AsOf     time.Time `json:"as_of"`
	Version  int       `json:"version"`
	Versions []Version `json:"versions"`
}

// Verdicts, worst first.
const (
	Malicious       = "malicious"
	LikelyMalicious = "likely_malicious"
	Suspicious      = "suspicious"
	Review          = "review"
	LikelyBenign    = "likely_benign"
)

// A Rule is the rule that fired, as the report names it.
type Rule struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Version  int    `json:"version"`
	Type     string `json:"type"`
	Severity string `json:"severity"`
}

// A Category is the sum of the lines of one kind, before and after its cap.
type Category struct {
	Name   string `json:"name"`
	Raw    int    `json:"raw"`
	Points int    `json:"points"`
	Cap    int    `json:"cap"`
}

// A SumLine is one term of the score.
type SumLine struct {
	Points int    `json:"points"`
	Step   string `json:"step"` // such as "T2"; empty for the prior and for caps
	Key    string `json:"key"`  // of the weight, such as "arbitrary-code"; "cap target"
	Text   string `json:"text"`
}

// Statuses of an answer.
const (
	Answered      = "answered"
	NotKnown      = "unknown"
	NotApplicable = "not_applicable"
	Failed        = "error"
)

// An Answer is what a step found.
type Answer struct {
	ID       string     `json:"id"`
	Question string     `json:"question"`
	Status   string     `json:"status"`
	Answer   string     `json:"answer"` // sentences
	Points   int        `json:"points"` // of its findings that count, before caps
	Findings []Finding  `json:"findings"`
	Evidence []Evidence `json:"evidence"`
	Queries  []Query    `json:"queries"`
	Unknowns []Unknown  `json:"unknowns,omitempty"`
	Caveats  []string   `json:"caveats"`
}

// A Finding is a fact that a step found and what it is worth.
type Finding struct {
	Key      string   `json:"key"` // of the weight, without the step
	Points   int      `json:"points"`
	Category string   `json:"category"`
	Critical bool     `json:"critical,omitempty"`
	Kind     string   `json:"kind,omitempty"` // of benign evidence
	Text     string   `json:"text"`
	Events   []string `json:"events,omitempty"` // ids of its evidence
	// Dropped says why the finding does not count, if it does not.
	Dropped string `json:"dropped,omitempty"`
	// Weight is what the table gives; Points is 0 for what is dropped.
	Weight    int  `json:"weight"`
	Absence   bool `json:"absence,omitempty"`
	Spoofable bool `json:"spoofable,omitempty"`
}

// Evidence is an event that a statement rests on.
type Evidence struct {
	EventID string    `json:"event_id"`
	Time    time.Time `json:"time"`
	Account string    `json:"account"`
	Region  string    `json:"region"`
	Action  string    `json:"action"`
}

// A Query is what was asked of the store.
type Query struct {
	Text   string `json:"text"`   // KQL, or "sums by hour of …"
	Window Span   `json:"window"` // from ≤ time < to
	Rows   int    `json:"rows"`   // after de-duplication
	// Truncated: there were more rows than are read.
	Truncated bool `json:"truncated,omitempty"`
}

// A Span is a window of time.
type Span struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// An Unknown is something that the data does not tell, and what would.
type Unknown struct {
	Step   string `json:"step"`
	What   string `json:"what"`
	Remedy string `json:"remedy,omitempty"`
}

// A Claim is a harmless explanation, with what proves it or why it is not proven.
type Claim struct {
	Name   string   `json:"name"`
	Status string   `json:"status"` // proven, not_proven, contradicted
	Proof  []string `json:"proof"`
	Wanted []string `json:"wanted,omitempty"` // what is missing for a proof
	Events []string `json:"events,omitempty"`
}

// Statuses of a claim.
const (
	Proven       = "proven"
	NotProven    = "not_proven"
	Contradicted = "contradicted"
)

// A Link is one step of the role chain, from the event backwards.
type Link struct {
	Principal  string    `json:"principal"`
	Type       string    `json:"type"`
	Credential string    `json:"credential,omitempty"`
	Session    string    `json:"session,omitempty"`
	Account    string    `json:"account,omitempty"`
	Address    string    `json:"address,omitempty"`
	Time       time.Time `json:"time,omitzero"`      // of the AssumeRole event that led on from here
	EventID    string    `json:"event_id,omitempty"` // of that event
	Action     string    `json:"action,omitempty"`
	Attributes []string  `json:"attributes,omitempty"` // source identity, principal tags, SAML or OIDC subject
	Broken     string    `json:"broken,omitempty"`     // why the chain ends here
}

// A Moment is one line of the timeline.
type Moment struct {
	Time    time.Time `json:"time"`
	EventID string    `json:"event_id"`
	Action  string    `json:"action"`
	What    string    `json:"what"`
	Who     string    `json:"who"`
	Tie     string    `json:"tie"` // this, session, key, principal, address, command, target, other
	Outcome string    `json:"outcome"`
	Steps   []string  `json:"steps,omitempty"` // that cite it
	Count   int       `json:"count,omitempty"` // of equal ones in a row, if several
}

// Entities are what the case names.
type Entities struct {
	Principals  []string `json:"principals"`
	Credentials []string `json:"credentials"`
	IPs         []string `json:"ips"`
	Instances   []string `json:"instances"`
	Documents   []string `json:"documents"`
	Commands    []string `json:"commands"`
	Buckets     []string `json:"buckets"`
}

// An Action is a proposed playbook.
type Action struct {
	Playbook   string            `json:"playbook"`
	Params     map[string]string `json:"params"`
	Why        string            `json:"why"`
	Reversible bool              `json:"reversible"`
	Impact     string            `json:"impact"`
}

// An Exception is proposed for a rule whose alert is likely benign. It never acts by
// itself.
type Exception struct {
	Query    string    `json:"query"` // KQL that the exception hides
	Keys     []string  `json:"keys"`  // the same as conditions of debut exceptions: "FIELD is VALUE"
	Reason   string    `json:"reason"`
	Expires  time.Time `json:"expires"`
	Evidence []string  `json:"evidence"` // event ids
	// Tested against history: it would have hidden so many alerts of the rule, of them
	// so many that were later judged bad.
	WouldHide int  `json:"would_have_hidden"`
	Bad       int  `json:"of_them_bad"`
	Tested    bool `json:"tested"`
}

// A Version is a report of the same alert that was made before.
type Version struct {
	Version    int       `json:"version"`
	AsOf       time.Time `json:"as_of"`
	Trigger    string    `json:"trigger"` // alert, later, new events, by hand
	Verdict    string    `json:"verdict"`
	Score      int       `json:"score"`
	Confidence float64   `json:"confidence"`
}

// A Look is one question put to AWS.
type Look struct {
	Call   string    `json:"call"` // such as "ssm:ListCommands"
	Time   time.Time `json:"time"`
	Region string    `json:"region"`
	// Error is why there is no answer; Policy is the statement that would allow it.
	Error  string `json:"error,omitempty"`
	Policy string `json:"policy,omitempty"`
}
