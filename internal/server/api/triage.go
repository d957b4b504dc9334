package api

import "time"

// A TriageRequest says how an alert is to be investigated. With AsOf or Weights the
// report answers "what if" and is not kept.
type TriageRequest struct {
	AsOf    time.Time `json:"as_of,omitzero"`
	Weights string    `json:"weights,omitempty"` // TOML, over those of the server
	Live    bool      `json:"live,omitzero"`     // ask AWS too, reading only
}

// TriageVersions lists the versions of an alert's report.
type TriageVersions struct {
	Handle   string          `json:"handle"`
	Versions []TriageVersion `json:"versions"` // the oldest first
	// Due is when the alert is investigated next by itself, Error why the last attempt
	// failed.
	Due   time.Time `json:"due,omitzero"`
	Error string    `json:"error,omitempty"`
}

// A TriageVersion is one version of a report.
type TriageVersion struct {
	Version    int       `json:"version"`
	AsOf       time.Time `json:"as_of"`
	Trigger    string    `json:"trigger"` // alert, later, new events, by hand
	Verdict    string    `json:"verdict"`
	Score      int       `json:"score"`
	Confidence float64   `json:"confidence"`
	Kept       bool      `json:"kept"` // the report itself can be read
}
