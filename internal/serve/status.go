package serve

import (
	"sync/atomic"
	"time"

	"github.com/debutsec/debut/internal/store"
)

// latencyBounds are the upper bounds of the commit histogram, in milliseconds.
var latencyBounds = [...]int64{1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 10000} //nolint:gochecknoglobals // a constant table

// stats counts what an engine has done since it was opened.
type stats struct {
	records, bytes, rejected, duplicates, future, hits atomic.Int64
	alerts, withdrawn, dropped                         atomic.Int64
	severities                                         [4]atomic.Int64
	failedDeliveries, failedObjects                    atomic.Int64
	commits, chunks, commitNanos                       atomic.Int64
	latency                                            [len(latencyBounds) + 1]atomic.Int64
	rows                                               atomic.Pointer[memoryRows]
}

func (s *stats) commit(chunks int, d time.Duration) {
	s.commits.Add(1)
	s.chunks.Add(int64(chunks))
	s.commitNanos.Add(int64(d))
	i := 0
	for i < len(latencyBounds) && d.Milliseconds() > latencyBounds[i] {
		i++
	}
	s.latency[i].Add(1)
}

func (s *stats) alert(severity string) {
	s.alerts.Add(1)
	for i, name := range []string{"low", "medium", "high", "critical"} {
		if name == severity {
			s.severities[i].Add(1)
		}
	}
}

// Status is what an engine is doing. Counts are since it was opened.
type Status struct {
	Running     bool              `json:"running"`
	Error       string            `json:"error,omitempty"`
	T0          time.Time         `json:"t0,omitzero"`
	Provisional bool              `json:"provisional"`
	Rules       int               `json:"rules"`
	Watermark   time.Time         `json:"watermark,omitzero"` // latest event time
	Folded      int64             `json:"folded"`             // offsets of the event log
	Remembered  int64             `json:"remembered"`
	End         int64             `json:"end"`
	Troubles    map[string]string `json:"troubles,omitempty"` // by source

	Records    int64            `json:"records"`
	Bytes      int64            `json:"bytes"`
	Rejected   int64            `json:"rejected"`
	Duplicates int64            `json:"duplicates"`
	Future     int64            `json:"future"`
	Hits       int64            `json:"hits"`
	Alerts     int64            `json:"alerts"`
	Withdrawn  int64            `json:"withdrawn"`
	Dropped    int64            `json:"dropped"`
	Severities map[string]int64 `json:"severities,omitempty"`

	// Rows counts what is remembered, by table, as of the last Expire; nil: before one.
	Rows map[string]int64 `json:"rows,omitempty"`

	FailedDeliveries int64   `json:"failed_deliveries"`
	FailedObjects    int64   `json:"failed_objects"`
	Commits          int64   `json:"commits"`
	CommitSeconds    float64 `json:"commit_seconds"`
	// Latency counts commits by their duration: the upper bounds in seconds, and how
	// many took no longer.
	Latency map[float64]uint64 `json:"-"`
}

// Status returns what the engine is doing.
func (e *Engine) Status() Status {
	s := &e.stats
	out := Status{
		Running: e.running.Load(), T0: e.T0(), Provisional: e.provisional.Load(), End: e.opt.Events.End(),
		Folded: e.foldedNow.Load(), Remembered: e.rememberedNow.Load(),
		Records: s.records.Load(), Bytes: s.bytes.Load(), Rejected: s.rejected.Load(), Duplicates: s.duplicates.Load(),
		Future: s.future.Load(), Hits: s.hits.Load(), Alerts: s.alerts.Load(), Withdrawn: s.withdrawn.Load(),
		Dropped: s.dropped.Load(), FailedDeliveries: s.failedDeliveries.Load(), FailedObjects: s.failedObjects.Load(),
		Commits: s.commits.Load(), CommitSeconds: float64(s.commitNanos.Load()) / 1e9,
		Troubles: map[string]string{}, Severities: map[string]int64{}, Latency: map[float64]uint64{},
	}
	if set := e.rules.Load(); set != nil {
		out.Rules = len(set.number)
	}
	if err := e.Err(); err != nil {
		out.Error = err.Error()
	}
	if t := e.watermark.Load(); t != 0 {
		out.Watermark = time.Unix(0, t).UTC()
	}
	e.troubles.Range(func(name, v any) bool {
		out.Troubles[name.(string)] = v.(trouble).text
		return true
	})
	for i, name := range []string{"low", "medium", "high", "critical"} {
		out.Severities[name] = s.severities[i].Load()
	}
	if rows := s.rows.Load(); rows != nil {
		out.Rows = map[string]int64{store.Findings.String(): rows.findings, store.Hits.String(): rows.hits}
	}
	sum := uint64(0)
	for i, bound := range latencyBounds {
		sum += uint64(s.latency[i].Load())
		out.Latency[float64(bound)/1000] = sum
	}
	return out
}
