package rule

import "github.com/debutsec/debut/query"

// A Check says how a set of rules loaded, in the form that `debut rules check
// --format json` prints. No list is nil.
type Check struct {
	Loaded      int           `json:"loaded"`   // sound rules that are active
	Runnable    int           `json:"runnable"` // of them, those that this version runs
	Unsupported []Unsupported `json:"unsupported"`
	Errors      []CheckError  `json:"errors"`
}

// Unsupported is a sound rule that this version does not run.
type Unsupported struct {
	RuleID   string `json:"rule_id"`
	Name     string `json:"name"`
	Type     Type   `json:"type"`
	Language string `json:"language"`
	Reason   string `json:"reason"`
}

// A CheckError is an error of a file, for which a rule or a part of the file was
// left out.
type CheckError struct {
	File    string `json:"file"`
	Line    int    `json:"line"` // 0 if the error is about the whole file
	RuleID  string `json:"rule_id"`
	Message string `json:"message"`
}

// Check counts the rules, and lists what does not run and what is wrong.
func (s *Set) Check() Check {
	c := Check{Loaded: len(s.Rules), Unsupported: []Unsupported{}, Errors: []CheckError{}}
	for _, r := range s.Rules {
		ok, reason := r.Runnable()
		if ok {
			c.Runnable++
			continue
		}
		c.Unsupported = append(c.Unsupported, Unsupported{RuleID: r.ID, Name: r.Name, Type: r.Type, Language: r.Language, Reason: reason})
	}
	for _, d := range s.Diagnostics {
		if d.Severity == query.Error {
			c.Errors = append(c.Errors, CheckError{File: d.File, Line: d.Line, RuleID: d.RuleID, Message: d.Message})
		}
	}
	return c
}
