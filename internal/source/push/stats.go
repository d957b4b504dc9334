package push

import (
	"net/http"
	"sync/atomic"
)

// An endpoint is one way in.
type endpoint uint8

const (
	records endpoint = iota
	bulk
	firehose
	eventBridge
	handshake // what Elasticsearch's clients ask beside bulk
	numEndpoints
)

var endpointNames = [numEndpoints]string{"records", "bulk", "firehose", "eventbridge", "handshake"} //nolint:gochecknoglobals // a constant table

// Stats are counts since the start, and what is under way.
type Stats struct {
	Endpoints map[string]EndpointStats // records, bulk, firehose, eventbridge, handshake
	Pending   int64                    // bytes of bodies in memory
	Limit     int64                    // MaxPending
	Open      int                      // bodies that the sink has, not durable yet
}

// EndpointStats are the counts of one way in. What is Busy, Refused, Unauthorized or
// Failed was answered with an error.
type EndpointStats struct {
	Requests     int64
	Bytes        int64 // of bodies, as they were read
	Records      int64 // durable
	Documents    int64 // durable
	Rejected     int64 // parts of bodies that could not be used
	Busy         int64 // 429: too much at a time
	Refused      int64 // other 4xx
	Unauthorized int64 // 401 and 403
	Failed       int64 // 5xx
}

type counters struct {
	requests, bytes, records, documents, rejected, busy, refused, unauthorized, failed atomic.Int64
}

// fail counts an answer that is an error.
func (c *counters) fail(status int) {
	switch {
	case status == http.StatusTooManyRequests:
		c.busy.Add(1)
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		c.unauthorized.Add(1)
	case status >= http.StatusInternalServerError:
		c.failed.Add(1)
	default:
		c.refused.Add(1)
	}
}

// Stats returns the counts. It is safe for concurrent use.
func (s *Source) Stats() Stats {
	out := Stats{Endpoints: make(map[string]EndpointStats, numEndpoints), Pending: s.budget.pending(), Limit: s.opt.MaxPending}
	for i := range s.counts {
		c := &s.counts[i]
		out.Endpoints[endpointNames[i]] = EndpointStats{
			Requests: c.requests.Load(), Bytes: c.bytes.Load(), Records: c.records.Load(), Documents: c.documents.Load(),
			Rejected: c.rejected.Load(), Busy: c.busy.Load(), Refused: c.refused.Load(), Unauthorized: c.unauthorized.Load(), Failed: c.failed.Load(),
		}
	}
	s.mu.Lock()
	out.Open = s.open
	s.mu.Unlock()
	return out
}
