package query

// Severity of a diagnostic.
type Severity uint8

// Severities, from worst.
const (
	Error Severity = iota
	Warning
	Info
)

// A Diagnostic is something wrong, or questionable, in a rule, a query or a
// configuration: one type for all, so that tools match the code and people read
// the message.
type Diagnostic struct {
	Severity Severity
	Code     string // stable, kebab-case: "unknown-field"
	File     string // as given by the user; empty for a bare query
	RuleID   string // the rule's rule_id, if known
	Line     int    // 1-based line in File (or in the query, if File is empty); 0 if unknown
	Column   int    // 1-based, in runes
	Width    int    // runes underlined; at least 1 if Column is set
	Source   string // the text of the line, for the caret
	Message  string // lower case, no full stop
	Hint     string // what to do; may be empty
}

// Diagnostics is a list of diagnostics that is also an error.
type Diagnostics []Diagnostic
