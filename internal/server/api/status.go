package api

import "time"

// Status is how the server is.
type Status struct {
	Version string    `json:"version"`
	Started time.Time `json:"started"`
	Uptime  float64   `json:"uptime_seconds"`
	Ready   bool      `json:"ready"`
	// NotReady says why it is not.
	NotReady []string       `json:"not_ready,omitempty"`
	Sources  []SourceStatus `json:"sources"`
	Rules    RuleCounts     `json:"rules"`
	Log      LogStatus      `json:"log"`
	Memory   MemoryStatus   `json:"memory"`
	Outbox   OutboxStatus   `json:"outbox"`
	Alerts   []AlertCount   `json:"alerts"`
	// Hits counts findings of the rules' queries since the start.
	Hits    int64        `json:"hits"`
	Commits CommitStatus `json:"commits"`
	Triage  TriageStatus `json:"triage"`
}

// TriageStatus tells of the investigations of alerts, since the start.
type TriageStatus struct {
	Enabled bool  `json:"enabled"` // every alert is investigated by itself
	Count   int64 `json:"count"`
	Kept    int64 `json:"kept"` // of them those that said something new
	Failed  int64 `json:"failed"`
	Due     int   `json:"due"` // alerts that wait, as far as 10,000
	// Oldest is since when the first of them waits, Next when one is due if none is.
	Oldest  time.Time `json:"oldest,omitzero"`
	Next    time.Time `json:"next,omitzero"`
	Seconds float64   `json:"seconds"` // that they took, together
	// Latency has how many took no longer than so many seconds.
	Latency map[float64]uint64 `json:"-"`
}

// CommitStatus tells of the transactions that moved alerts, memory and positions, since
// the start.
type CommitStatus struct {
	Count   int64   `json:"count"`
	Seconds float64 `json:"seconds"` // that they took, together
	// Latency has how many took no longer than so many seconds.
	Latency map[float64]uint64 `json:"-"`
}

// SourceStatus is how a source is. Counts are since the start.
type SourceStatus struct {
	Name  string `json:"name"`
	Kind  string `json:"kind"`  // s3, files, push
	State string `json:"state"` // running, trouble, stopped
	// Trouble is why it cannot work at the moment, and TroubleSince since when.
	Trouble      string    `json:"trouble,omitempty"`
	TroubleSince time.Time `json:"trouble_since,omitzero"`
	// Lag is how long ago the newest record that was committed was made, 0 if there
	// was none.
	Lag      float64   `json:"lag_seconds"`
	Last     time.Time `json:"last,omitzero"` // when it last delivered something
	Objects  int64     `json:"objects"`
	Records  int64     `json:"records"`
	Bytes    int64     `json:"bytes"`
	Rejected int64     `json:"rejected"`
	Failed   int64     `json:"failed"` // objects
	// Parked is how many messages are kept that could not be dealt with, whenever they came.
	Parked int `json:"parked,omitzero"`
}

// RuleCounts counts rules.
type RuleCounts struct {
	Running    int `json:"running"`
	Rebuilding int `json:"rebuilding"`
	Idle       int `json:"idle"`
	// Kept counts those that go on as they were, since their file has an error.
	Kept int `json:"kept,omitzero"`
	// Wrong counts the errors in files of rules and exceptions; Errors has the first.
	Wrong  int          `json:"wrong,omitzero"`
	Errors []Diagnostic `json:"errors,omitempty"`
}

// LogStatus is how far the event log has been dealt with: offsets in bytes.
type LogStatus struct {
	End          int64 `json:"end"`
	Folded       int64 `json:"folded"`
	Compacted    int64 `json:"compacted"`
	Segments     int64 `json:"segments"`
	SegmentBytes int64 `json:"segment_bytes"`
	Events       int64 `json:"events"` // in segments
}

// MemoryStatus is what detectors remember, and what it takes on disk.
type MemoryStatus struct {
	Rows  map[string]int64 `json:"rows"` // by table; as of the last hour
	Bytes int64            `json:"bytes"`
}

// OutboxStatus is what waits to be told.
type OutboxStatus struct {
	Waiting int64     `json:"waiting"`
	Oldest  time.Time `json:"oldest,omitzero"`
	Dead    int64     `json:"dead"` // given up
}

// AlertCount is a number of alerts, withdrawn ones and building blocks not counted.
type AlertCount struct {
	Severity string `json:"severity"`
	Status   string `json:"status"`
	Count    int64  `json:"count"`
}
