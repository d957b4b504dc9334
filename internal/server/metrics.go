package server

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/debutsec/debut/internal/server/api"
)

// metrics tells Prometheus how the server is. No label comes from a log or a request:
// there are as many series as the configuration makes.
type metrics struct {
	s        *Server
	requests *prometheus.CounterVec
	latency  *prometheus.HistogramVec
	handler  http.Handler
}

func newMetrics(s *Server) *metrics {
	m := &metrics{
		s: s,
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "debut_http_requests_total", Help: "Requests by route and status.",
		}, []string{"route", "code"}),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "debut_http_request_duration_seconds", Help: "How long requests took.", Buckets: []float64{.001, .005, .02, .1, .5, 2, 10, 60},
		}, []string{"route"}),
	}
	reg := prometheus.NewRegistry()
	reg.MustRegister(m.requests, m.latency, statusCollector{s}, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, c := range s.o.Collectors {
		reg.MustRegister(c)
	}
	m.handler = promhttp.HandlerFor(reg, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: 4})
	return m
}

func (s *Server) serveMetrics(w http.ResponseWriter, r *http.Request) error {
	s.metrics.handler.ServeHTTP(w, r)
	return nil
}

// count counts requests and their time.
func (m *metrics) count(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := &recorder{ResponseWriter: w, code: http.StatusOK}
		begin := m.s.o.Now()
		defer func() {
			route := m.route(r)
			m.requests.WithLabelValues(route, strconv.Itoa(rec.code)).Inc()
			m.latency.WithLabelValues(route).Observe(m.s.o.Now().Sub(begin).Seconds())
		}()
		next.ServeHTTP(rec, r)
	})
}

// route names the route of a request. Paths that are not the API's have one name.
func (m *metrics) route(r *http.Request) string {
	_, pattern := m.s.mux.Handler(r)
	if pattern == "" || pattern == "/" {
		if m.s.o.Push != nil {
			return "push"
		}
		return "other"
	}
	return pattern
}

// A recorder remembers the status of an answer.
type recorder struct {
	http.ResponseWriter

	code int
}

// WriteHeader implements http.ResponseWriter.
func (r *recorder) WriteHeader(code int) {
	r.code = code
	r.ResponseWriter.WriteHeader(code)
}

// Unwrap is for http.ResponseController.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// A statusCollector makes metrics of the status when they are asked for.
type statusCollector struct{ s *Server }

type statusMetric struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	each func(st *api.Status, now time.Time, put func(v float64, labels ...string))
}

func metric(name, help string, kind prometheus.ValueType, labels []string, each func(st *api.Status, now time.Time, put func(float64, ...string))) statusMetric {
	return statusMetric{prometheus.NewDesc("debut_"+name, help, labels, nil), kind, each}
}

func bySource(value func(src *api.SourceStatus) float64) func(*api.Status, time.Time, func(float64, ...string)) {
	return func(st *api.Status, _ time.Time, put func(float64, ...string)) {
		for i := range st.Sources {
			put(value(&st.Sources[i]), st.Sources[i].Name)
		}
	}
}

func one(value func(st *api.Status, now time.Time) float64) func(*api.Status, time.Time, func(float64, ...string)) {
	return func(st *api.Status, now time.Time, put func(float64, ...string)) { put(value(st, now)) }
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

var statusMetrics = []statusMetric{ //nolint:gochecknoglobals // a constant table
	metric("ready", "1 if the server can do its work.", prometheus.GaugeValue, nil,
		one(func(st *api.Status, _ time.Time) float64 { return truth(st.Ready) })),
	metric("source_lag_seconds", "Time from the newest committed record of a source until now.", prometheus.GaugeValue, []string{"source"},
		bySource(func(src *api.SourceStatus) float64 { return src.Lag })),
	metric("source_trouble", "1 while a source cannot work.", prometheus.GaugeValue, []string{"source"},
		bySource(func(src *api.SourceStatus) float64 { return truth(src.Trouble != "") })),
	metric("source_objects_total", "Objects that a source has read.", prometheus.CounterValue, []string{"source"},
		bySource(func(src *api.SourceStatus) float64 { return float64(src.Objects) })),
	metric("source_records_total", "Records that a source has delivered.", prometheus.CounterValue, []string{"source"},
		bySource(func(src *api.SourceStatus) float64 { return float64(src.Records) })),
	metric("source_bytes_total", "Bytes of records that a source has delivered.", prometheus.CounterValue, []string{"source"},
		bySource(func(src *api.SourceStatus) float64 { return float64(src.Bytes) })),
	metric("source_rejected_total", "Parts of inputs that could not be used.", prometheus.CounterValue, []string{"source"},
		bySource(func(src *api.SourceStatus) float64 { return float64(src.Rejected) })),
	metric("source_failed_objects_total", "Objects that could not be read.", prometheus.CounterValue, []string{"source"},
		bySource(func(src *api.SourceStatus) float64 { return float64(src.Failed) })),
	metric("source_parked_messages", "Messages that could not be dealt with and that are kept.", prometheus.GaugeValue, []string{"source"},
		bySource(func(src *api.SourceStatus) float64 { return float64(src.Parked) })),
	metric("hits_total", "Events that the query of a rule matched.", prometheus.CounterValue, nil,
		one(func(st *api.Status, _ time.Time) float64 { return float64(st.Hits) })),
	metric("rules", "Rules by whether they run.", prometheus.GaugeValue, []string{"status"},
		func(st *api.Status, _ time.Time, put func(float64, ...string)) {
			put(float64(st.Rules.Running), "running")
			put(float64(st.Rules.Rebuilding), "rebuilding")
			put(float64(st.Rules.Idle), "idle")
		}),
	metric("rules_kept", "Rules that go on as they were, since their file has an error.", prometheus.GaugeValue, nil,
		one(func(st *api.Status, _ time.Time) float64 { return float64(st.Rules.Kept) })),
	metric("rule_errors", "Errors in files of rules and exceptions.", prometheus.GaugeValue, nil,
		one(func(st *api.Status, _ time.Time) float64 { return float64(st.Rules.Wrong) })),
	metric("alerts", "Stored alerts.", prometheus.GaugeValue, []string{"severity", "status"},
		func(st *api.Status, _ time.Time, put func(float64, ...string)) {
			for _, a := range st.Alerts {
				put(float64(a.Count), a.Severity, a.Status)
			}
		}),
	metric("memory_rows", "Rows of what detectors remember.", prometheus.GaugeValue, []string{"table"},
		func(st *api.Status, _ time.Time, put func(float64, ...string)) {
			for table, n := range st.Memory.Rows {
				put(float64(n), table)
			}
		}),
	metric("memory_bytes", "Size on disk of the state, memory included.", prometheus.GaugeValue, nil,
		one(func(st *api.Status, _ time.Time) float64 { return float64(st.Memory.Bytes) })),
	metric("outbox_messages", "Messages that wait to be told.", prometheus.GaugeValue, nil,
		one(func(st *api.Status, _ time.Time) float64 { return float64(st.Outbox.Waiting) })),
	metric("outbox_oldest_seconds", "Age of the oldest message that waits.", prometheus.GaugeValue, nil,
		one(func(st *api.Status, now time.Time) float64 {
			if st.Outbox.Oldest.IsZero() {
				return 0
			}
			return now.Sub(st.Outbox.Oldest).Seconds()
		})),
	metric("outbox_dead_messages", "Messages that were given up.", prometheus.GaugeValue, nil,
		one(func(st *api.Status, _ time.Time) float64 { return float64(st.Outbox.Dead) })),
	metric("log_end_bytes", "Offset behind the last frame of the event log.", prometheus.CounterValue, nil,
		one(func(st *api.Status, _ time.Time) float64 { return float64(st.Log.End) })),
	metric("log_folded_bytes", "Offset up to which the log has been turned into memory and alerts.", prometheus.CounterValue, nil,
		one(func(st *api.Status, _ time.Time) float64 { return float64(st.Log.Folded) })),
	metric("log_compacted_bytes", "Offset up to which the log has been turned into segments.", prometheus.CounterValue, nil,
		one(func(st *api.Status, _ time.Time) float64 { return float64(st.Log.Compacted) })),
	metric("segments", "Parquet segments in use.", prometheus.GaugeValue, nil,
		one(func(st *api.Status, _ time.Time) float64 { return float64(st.Log.Segments) })),
	metric("triage_total", "Investigations of alerts, by what came of them.", prometheus.CounterValue, []string{"result"},
		func(st *api.Status, _ time.Time, put func(float64, ...string)) {
			put(float64(st.Triage.Kept), "kept")
			put(float64(st.Triage.Count-st.Triage.Kept-st.Triage.Failed), "same")
			put(float64(st.Triage.Failed), "failed")
		}),
	metric("triage_due_alerts", "Alerts that wait to be investigated.", prometheus.GaugeValue, nil,
		one(func(st *api.Status, _ time.Time) float64 { return float64(st.Triage.Due) })),
	metric("triage_oldest_seconds", "For how long the first of them has waited.", prometheus.GaugeValue, nil,
		one(func(st *api.Status, now time.Time) float64 {
			if st.Triage.Oldest.IsZero() {
				return 0
			}
			return max(0, now.Sub(st.Triage.Oldest).Seconds())
		})),
	metric("segment_bytes", "Size of the segments.", prometheus.GaugeValue, nil,
		one(func(st *api.Status, _ time.Time) float64 { return float64(st.Log.SegmentBytes) })),
}

var commitLatency = prometheus.NewDesc( //nolint:gochecknoglobals // a constant
	"debut_commit_duration_seconds", "How long the transactions took that moved alerts, memory and positions.", nil, nil,
)

var triageLatency = prometheus.NewDesc( //nolint:gochecknoglobals // a constant
	"debut_triage_duration_seconds", "How long investigations of alerts took.", nil, nil,
)

// Describe implements prometheus.Collector.
func (c statusCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- commitLatency
	ch <- triageLatency
	for _, m := range statusMetrics {
		ch <- m.desc
	}
}

// Collect implements prometheus.Collector. Without a daemon there is nothing to tell.
func (c statusCollector) Collect(ch chan<- prometheus.Metric) {
	if c.s.o.Daemon == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), bodyTimeout)
	defer cancel()
	st, err := c.s.statusNow(ctx)
	if err != nil {
		c.s.log.Error("collect metrics", "error", err)
		return
	}
	now := c.s.o.Now()
	ch <- prometheus.MustNewConstHistogram(commitLatency, uint64(max(0, st.Commits.Count)), st.Commits.Seconds, st.Commits.Latency)
	ch <- prometheus.MustNewConstHistogram(triageLatency, uint64(max(0, st.Triage.Count)), st.Triage.Seconds, st.Triage.Latency)
	for _, m := range statusMetrics {
		m.each(&st, now, func(v float64, labels ...string) {
			ch <- prometheus.MustNewConstMetric(m.desc, m.kind, v, labels...)
		})
	}
}
