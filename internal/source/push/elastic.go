package push

import (
	"bufio"
	"cmp"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// object is a JSON object that is written once.
type object = map[string]any

// bulkAnswer writes what became of each item, in the order of the request. Errors comes
// first: some clients look no further.
func (c *call) bulkAnswer(items []item, took int64) {
	failed := false
	for i := range items {
		failed = failed || items[i].kind != ""
	}
	c.w.Header().Set("Content-Type", "application/json")
	c.w.WriteHeader(http.StatusOK)
	w := bufio.NewWriterSize(c.w, 32<<10)
	line := append([]byte(`{"errors":`), strconv.FormatBool(failed)...)
	line = append(strconv.AppendInt(append(line, `,"took":`...), max(took, 0), 10), `,"items":[`...)
	for i := range items {
		if i > 0 {
			line = append(line, ',')
		}
		line = items[i].appendTo(line)
		_, _ = w.Write(line) // an error stays with w: the client has gone
		line = line[:0]
	}
	_, _ = w.WriteString("]}\n")
	_ = w.Flush()
}

func (it *item) appendTo(b []byte) []byte {
	b = append(appendString(append(b, '{'), it.op), `:{"_index":`...)
	b = append(appendString(b, cmp.Or(it.index, defaultIndex)), `,"_id":`...)
	b = appendString(b, it.id)
	if it.kind == "" {
		b = append(b, `,"_version":1,"result":"created","_shards":{"total":1,"successful":1,"failed":0},"_seq_no":0,"_primary_term":1`...)
	}
	b = strconv.AppendInt(append(b, `,"status":`...), int64(it.status), 10)
	if it.kind != "" {
		b = append(appendString(append(b, `,"error":{"type":`...), it.kind), `,"reason":`...)
		b = append(appendString(b, it.reason), '}')
	}
	return append(b, `}}`...)
}

// defaultIndex is the name that is answered for a document that was sent to none.
const defaultIndex = "debut"

func appendString(b []byte, s string) []byte {
	out, err := jsontext.AppendQuote(b, strings.ToValidUTF8(s, "�"))
	if err != nil { // only of broken UTF-8
		return append(b, `""`...)
	}
	return out
}

// elasticError answers an error as Elasticsearch does.
func (c *call) elasticError(f *failure) {
	kind := f.code
	switch f.status {
	case http.StatusUnauthorized, http.StatusForbidden:
		kind = "security_exception"
	case http.StatusTooManyRequests:
		kind = "es_rejected_execution_exception"
	}
	cause := object{"type": kind, "reason": f.message}
	c.answer(f.status, object{
		"error":  object{"root_cause": []object{cause}, "type": kind, "reason": f.message},
		"status": f.status,
	})
}

// handshake answers what clients of Elasticsearch ask and set up before they send
// anything. Templates, policies, pipelines, aliases and indices are nowhere, and may be
// put: nothing of it is kept, because nothing here depends on it.
func (c *call) handshake(path []string) error {
	get := c.r.Method == http.MethodGet || c.r.Method == http.MethodHead
	if len(path) == 0 {
		if !get {
			return c.method(http.MethodGet, http.MethodHead)
		}
		c.answer(http.StatusOK, c.info())
		return nil
	}
	if answer := c.known(path); answer != nil {
		if !get {
			return c.method(http.MethodGet, http.MethodHead)
		}
		c.answer(http.StatusOK, answer)
		return nil
	}
	if !kept(path) {
		return c.unknown()
	}
	switch c.r.Method {
	case http.MethodGet, http.MethodHead:
		return &failure{http.StatusNotFound, "resource_not_found_exception", "there is no such thing here, and none is needed", 0}
	case http.MethodPut, http.MethodPost:
		if err := c.discard(); err != nil {
			return err
		}
		answer := object{"acknowledged": true}
		if !strings.HasPrefix(path[0], "_") {
			answer["shards_acknowledged"], answer["index"] = true, path[0]
		}
		c.answer(http.StatusOK, answer)
		return nil
	}
	return c.unknown()
}

// maxSetup bounds what a client may put that is not kept: templates have a megabyte.
const maxSetup = 16 << 20

// discard reads a body to its end, or the client would find the connection closed
// before it has sent all.
func (c *call) discard() error {
	control := http.NewResponseController(c.w)
	_ = control.SetReadDeadline(c.s.opt.Now().Add(c.s.opt.BodyTimeout)) // not supported in tests
	_, err := io.Copy(io.Discard, counter{http.MaxBytesReader(c.w, c.r.Body, maxSetup), &c.read})
	if err != nil {
		return readFailure(err)
	}
	_ = control.SetReadDeadline(noDeadline)
	return nil
}

// kept reports whether a path is of something that clients look for, and put if it is
// not there.
func kept(path []string) bool {
	switch path[0] {
	case "_index_template", "_template", "_component_template", "_alias", "_data_stream":
		return true
	case "_ilm":
		return len(path) > 1 && path[1] == "policy"
	case "_ingest":
		return len(path) > 1 && path[1] == "pipeline"
	}
	index := !strings.HasPrefix(path[0], "_")
	return index && (len(path) == 1 || path[1] == "_alias")
}

func (c *call) unknown() error {
	return &failure{
		http.StatusBadRequest, illegalArgument,
		"no handler found for uri [" + c.r.URL.EscapedPath() + "] and method [" + c.r.Method + "]: this is Debut, which takes documents by _bulk only", 0,
	}
}

// info is what GET / says of a cluster.
func (c *call) info() any {
	return object{
		"name": clusterName, "cluster_name": clusterName, "cluster_uuid": clusterID,
		"version": object{
			"number": c.s.opt.Elasticsearch, "build_flavor": "default", "build_type": "tar", "build_hash": strings.Repeat("0", 40),
			"build_date": "2025-01-01T00:00:00.000000000Z", "build_snapshot": false, "lucene_version": "9.12.0",
			"minimum_wire_compatibility_version": "7.17.0", "minimum_index_compatibility_version": "7.0.0",
		},
		"tagline": "You Know, for Search",
	}
}

const (
	clusterName = "debut"
	clusterID   = "ZGVidXQtZGVidXQtZGVidQ" // 22 letters, as clusters have
	nodeID      = "ZGVidXQtbm9kZS1kZWJ1dA"
)

// known answers for the paths at which a client learns of the cluster; nil for others.
func (c *call) known(path []string) any {
	switch strings.Join(path, "/") {
	case "_license":
		return object{"license": object{
			"status": "active", "uid": "00000000-0000-0000-0000-000000000000", "type": "basic", "mode": "basic",
			"issue_date": "2025-01-01T00:00:00.000Z", "issue_date_in_millis": 1735689600000, "max_nodes": 1000,
			"issued_to": clusterName, "issuer": clusterName, "start_date_in_millis": -1,
		}}
	case "_xpack":
		return object{
			"license":  object{"uid": "00000000-0000-0000-0000-000000000000", "type": "basic", "mode": "basic", "status": "active"},
			"features": object{"ilm": object{"available": false, "enabled": false}, "security": object{"available": true, "enabled": true}},
			"tagline":  "You know, for X",
		}
	case "_cluster/health", "_cat/health":
		return object{
			"cluster_name": clusterName, "status": "green", "timed_out": false, "number_of_nodes": 1, "number_of_data_nodes": 1,
			"active_primary_shards": 1, "active_shards": 1, "relocating_shards": 0, "initializing_shards": 0, "unassigned_shards": 0,
			"delayed_unassigned_shards": 0, "number_of_pending_tasks": 0, "number_of_in_flight_fetch": 0,
			"task_max_waiting_in_queue_millis": 0, "active_shards_percent_as_number": 100,
		}
	case "_nodes", "_nodes/http", "_nodes/_local", "_nodes/_all/http", "_nodes/_local/http":
		return c.nodes()
	}
	return nil
}

// nodes names one node, at the address at which the client has found it.
func (c *call) nodes() any {
	address := c.r.Host
	if _, _, err := net.SplitHostPort(address); err != nil {
		port := "80"
		if c.r.TLS != nil {
			port = "443"
		}
		address = net.JoinHostPort(strings.Trim(address, "[]"), port)
	}
	host, _, _ := net.SplitHostPort(address)
	return object{
		"_nodes":       object{"total": 1, "successful": 1, "failed": 0},
		"cluster_name": clusterName,
		"nodes": object{nodeID: object{
			"name": clusterName, "host": host, "ip": host, "version": c.s.opt.Elasticsearch, "build_flavor": "default", "build_type": "tar",
			"build_hash": strings.Repeat("0", 40), "roles": []string{"data", "ingest", "master"},
			"http": object{"bound_address": []string{address}, "publish_address": address, "max_content_length_in_bytes": c.s.opt.MaxBody},
		}},
	}
}
