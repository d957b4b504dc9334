package api

import (
	"net/http"

	"github.com/debutsec/debut/query"
)

// A Code is what callers of the API tell apart.
type Code string

// The codes, each with one HTTP status.
const (
	Invalid      Code = "invalid"
	Unauthorized Code = "unauthorized"
	Forbidden    Code = "forbidden"
	NotFound     Code = "not-found"
	BadMethod    Code = "method-not-allowed"
	Conflict     Code = "conflict"
	TooLarge     Code = "too-large"
	Busy         Code = "busy"
	Internal     Code = "internal"
	Unavailable  Code = "unavailable"
)

// Status returns the HTTP status of a code.
func (c Code) Status() int {
	switch c {
	case Invalid:
		return http.StatusBadRequest
	case Unauthorized:
		return http.StatusUnauthorized
	case Forbidden:
		return http.StatusForbidden
	case NotFound:
		return http.StatusNotFound
	case BadMethod:
		return http.StatusMethodNotAllowed
	case Conflict:
		return http.StatusConflict
	case TooLarge:
		return http.StatusRequestEntityTooLarge
	case Busy:
		return http.StatusTooManyRequests
	case Unavailable:
		return http.StatusServiceUnavailable
	case Internal:
	}
	return http.StatusInternalServerError
}

// An Error is what the API answers in place of a result.
type Error struct {
	Code        Code         `json:"code"`
	Message     string       `json:"message"`
	Hint        string       `json:"hint,omitempty"` // what to do
	Diagnostics []Diagnostic `json:"diagnostics,omitempty"`
}

func (e *Error) Error() string { return e.Message }

// A Failure is the body of an answer with an error.
type Failure struct {
	Error *Error `json:"error"`
}

// A Diagnostic is one thing that is wrong or questionable in a query, a rule or an
// exception.
type Diagnostic struct {
	Severity string `json:"severity"` // error, warning, info
	Code     string `json:"code"`
	File     string `json:"file,omitempty"`
	RuleID   string `json:"rule_id,omitempty"`
	Line     int    `json:"line,omitzero"`
	Column   int    `json:"column,omitzero"`
	Message  string `json:"message"`
	Hint     string `json:"hint,omitempty"`
}

// Diagnostics turns what packages report into what the API says.
func Diagnostics(list query.Diagnostics) []Diagnostic {
	out := make([]Diagnostic, len(list))
	for i := range list {
		d := &list[i]
		out[i] = Diagnostic{d.Severity.String(), d.Code, d.File, d.RuleID, d.Line, d.Column, d.Message, d.Hint}
	}
	return out
}
