package push_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/debutsec/debut/internal/source/push"
)

func fixed() time.Time { return time.Date(2026, 1, 31, 8, 0, 0, 0, time.UTC) }

type bulkReply struct {
	Errors bool  `json:"errors"`
	Took   int64 `json:"took"`
	Items  []map[string]struct {
		Index  string `json:"_index"`
		ID     string `json:"_id"`
		Status int    `json:"status"`
		Error  struct{ Type, Reason string }
	} `json:"items"`
}

func readReply(t interface{ Fatalf(string, ...any) }, text []byte) bulkReply {
	var r bulkReply
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatalf("the answer is not JSON: %v\n%s", err, text)
	}
	return r
}

// However documents are parted into requests, each is acknowledged exactly if it was
// taken, in the order of its request, and what was taken arrives as it is.
func TestEveryItemIsAcknowledgedAsItWasTaken(t *testing.T) {
	t.Parallel()
	type doc struct {
		text string
		ids  []string // of its events; none: it cannot be used
	}
	rapid.Check(t, func(rt *rapid.T) {
		next := 0
		id := func() string {
			next++
			return strconv.Itoa(next)
		}
		quoted := func(s string) string {
			text, _ := json.Marshal(s)
			return string(text)
		}
		kinds := []func() doc{
			func() doc { i := id(); return doc{record(i), []string{i}} },
			func() doc { i := id(); return doc{document(i), []string{i}} },
			func() doc {
				i := id()
				return doc{`{"@timestamp":"2026-01-31T08:00:00Z","message":` + quoted(record(i)) + `}`, []string{i}}
			},
			func() doc { i := id(); return doc{`{"event":{"original":` + quoted(record(i)) + `}}`, []string{i}} },
			func() doc {
				i, j := id(), id()
				return doc{`{"Records":[` + record(i) + `,` + record(j) + `]}`, []string{i, j}}
			},
			func() doc { i := id(); return doc{`{"Records":[{"x":1},` + record(i) + `]}`, []string{i}} },
			func() doc { return doc{`{"x":1}`, nil} },
			func() doc { return doc{`{"x":`, nil} },
			func() doc { return doc{`"text"`, nil} },
			func() doc { return doc{``, nil} },
			func() doc { return doc{`{"Records":[`, nil} },
			func() doc { return doc{`{"@timestamp":"x","event":{"action":"a"}}`, nil} },
			func() doc { return doc{`{"message":"{\"eventVersion\":"}`, nil} },
			func() doc { return doc{record(id()) + record(id()), nil} },
			func() doc { return doc{`]}`, nil} },
		}
		docs := make([]doc, rapid.IntRange(1, 40).Draw(rt, "documents"))
		for i := range docs {
			docs[i] = rapid.SampledFrom(kinds).Draw(rt, "kind")()
		}
		to := newSink()
		s := start(t, push.Options{Now: fixed}, to)
		var taken []string
		for at := 0; at < len(docs); {
			n := rapid.IntRange(1, len(docs)-at).Draw(rt, "part")
			var body strings.Builder
			for i, d := range docs[at : at+n] {
				op := rapid.SampledFrom([]string{"index", "create"}).Draw(rt, "op")
				fmt.Fprintf(&body, "{%q:{\"_id\":\"%d\"}}\n%s\n", op, i, d.text)
			}
			text := body.String()
			if rapid.Bool().Draw(rt, "gzip") {
				text = gzipped(t, text)
			}
			w := do(s, http.MethodPost, "/i/_bulk", text)
			if w.Code != 200 {
				rt.Fatalf("got %d %s", w.Code, w.Body)
			}
			reply := readReply(rt, w.Body.Bytes())
			if len(reply.Items) != n {
				rt.Fatalf("%d answers for %d items", len(reply.Items), n)
			}
			failed := false
			for i, d := range docs[at : at+n] {
				for op, it := range reply.Items[i] {
					if it.ID != strconv.Itoa(i) || it.Index != "i" {
						rt.Fatalf("answer %d is for %s of %s", i, it.ID, it.Index)
					}
					if ok := it.Status == 201; ok != (d.ids != nil) || ok != (it.Error.Type == "") {
						rt.Fatalf("%s of %s was answered %+v", op, d.text, it)
					}
				}
				failed = failed || d.ids == nil
				taken = append(taken, d.ids...)
			}
			if reply.Errors != failed {
				rt.Fatalf("errors is %v: %s", reply.Errors, w.Body)
			}
			at += n
		}
		sort.Strings(taken)
		if diff := cmp.Diff(taken, to.got()); diff != "" && len(taken) > 0 {
			rt.Fatalf("events (-acknowledged +arrived):\n%s", diff)
		}
		if st := s.Stats().Endpoints["bulk"]; st.Records+st.Documents != int64(len(taken)) {
			rt.Fatalf("stats: %+v, taken %d", st, len(taken))
		}
	})
}

func TestBulkLimits(t *testing.T) {
	t.Parallel()
	s := start(t, push.Options{Now: fixed, MaxItems: 2, MaxBody: 1 << 20}, newSink())
	action := func(meta string) string { return `{"index":{` + meta + "}}\n" + record("a") + "\n" }
	for name, test := range map[string]struct {
		body   string
		status int
		want   string
	}{
		"as many items as allowed": {strings.Repeat(action(""), 2), 200, `"status":201`},
		"too many items":           {strings.Repeat(action(""), 3), 413, `"type":"too-large"`},
		"too large a body":         {strings.Repeat(" ", 1<<20) + "\n", 413, ""},
		"a bomb":                   {gzipped(t, strings.Repeat(" ", 10<<20)), 413, ""},
		"damaged compression":      {gzipped(t, action(""))[:50], 400, "bad-compression"},
		"a huge action":            {action(`"routing":"` + strings.Repeat("x", 64<<10) + `"`), 400, "at most 65536 bytes"},
		"a deep action":            {strings.Repeat(`{"index":`, 5000) + "\n{}\n", 400, "one JSON object"},
		"a long index":             {action(`"_index":"` + strings.Repeat("é", 200) + `"`), 200, "invalid_index_name_exception"},
		"a long id":                {action(`"_id":"` + strings.Repeat("x", 513) + `"`), 200, "longer than 512"},
		"a deep document":          {"{\"index\":{}}\n" + strings.Repeat(`{"a":`, 100_000) + "\n", 200, "document_parsing_exception"},
		"lines with CR":            {strings.ReplaceAll(action(""), "\n", "\r\n"), 200, `"status":201`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := do(s, http.MethodPost, "/_bulk", test.body)
			if w.Code != test.status || !strings.Contains(w.Body.String(), test.want) || !json.Valid(w.Body.Bytes()) {
				t.Errorf("got %d %s, want %d and %s in it", w.Code, w.Body, test.status, test.want)
			}
		})
	}
}

// FuzzBulk holds every answer to a second, plain reading of the request: either it is
// refused whole and nothing of it arrives, or there is one answer for each action, and
// exactly what is answered with 201 arrives.
func FuzzBulk(f *testing.F) {
	f.Add([]byte("{\"index\":{}}\n" + record("a") + "\n"))
	f.Add([]byte("{\"create\":{\"_id\":\"1\",\"_index\":\"x\"}}\n" + document("a") + "\n\n{\"delete\":{\"_id\":2}}\n{\"update\":{}}\n{}\n"))
	f.Add([]byte("{\"index\":{}}\n{\"message\":\"" + strings.ReplaceAll(record("a"), `"`, `\"`) + "\"}\r\n"))
	f.Add([]byte("{\"index\":{}}\n{\"messageType\":\"CONTROL_MESSAGE\"}\n"))
	f.Add([]byte("{\"index\":{}}\n"))
	to := newSink()
	s := start(f, push.Options{Now: fixed, MaxBody: 1 << 20}, to)
	f.Fuzz(func(t *testing.T, body []byte) {
		if bytes.HasPrefix(body, []byte{0x1f, 0x8b}) || bytes.HasPrefix(body, []byte{0x28, 0xb5}) {
			t.Skip("compressed: the reference reads plain text")
		}
		to.mu.Lock()
		to.events = nil
		to.mu.Unlock()
		w := do(s, http.MethodPost, "/_bulk", string(body))
		ops, ok := plainBulk(body)
		switch {
		case w.Code != 200 && w.Code != 400:
			t.Fatalf("got %d %s", w.Code, w.Body)
		case ok != (w.Code == 200):
			t.Fatalf("got %d %s; the reference says %v", w.Code, w.Body, ok)
		case !ok:
			if got := to.got(); len(got) > 0 {
				t.Fatalf("refused, and all the same %d events arrived", len(got))
			}
			return
		}
		reply := readReply(t, w.Body.Bytes())
		if len(reply.Items) != len(ops) {
			t.Fatalf("%d answers for %d actions: %s", len(reply.Items), len(ops), w.Body)
		}
		taken := 0
		for i, it := range reply.Items {
			answer, ok := it[ops[i]]
			if !ok || len(it) != 1 {
				t.Fatalf("action %d is %s and was answered %v", i, ops[i], it)
			}
			if answer.Status == 201 {
				taken++
			}
		}
		if got := len(to.got()); taken == 0 && got > 0 {
			t.Fatalf("nothing was acknowledged, %d events arrived", got)
		} else if got < taken && !bytes.Contains(body, []byte("CONTROL")) && !bytes.Contains(body, []byte("digest")) {
			t.Fatalf("%d acknowledged, %d events arrived", taken, got)
		}
	})
}

// plainBulk is a slow, obvious reading of a bulk request: the names of its actions.
func plainBulk(body []byte) (ops []string, ok bool) {
	if len(bytes.TrimSpace(body)) == 0 || body[len(body)-1] != '\n' {
		return nil, false
	}
	in := bufio.NewScanner(bytes.NewReader(body))
	in.Buffer(nil, 2<<20)
	for in.Scan() {
		line := strings.TrimSpace(in.Text())
		if line == "" {
			continue
		}
		var action map[string]json.RawMessage
		if json.Unmarshal([]byte(line), &action) != nil || len(action) != 1 || members(line) != 1 {
			return nil, false
		}
		for op, meta := range action {
			if meta[0] != '{' || op != "index" && op != "create" && op != "update" && op != "delete" {
				return nil, false
			}
			if op != "delete" && !in.Scan() {
				return nil, false
			}
			ops = append(ops, op)
		}
	}
	return ops, true
}

// members counts the members of an object, equal names too.
func members(object string) (n int) {
	d := json.NewDecoder(strings.NewReader(object))
	_, _ = d.Token()
	for d.More() {
		var value json.RawMessage
		if _, err := d.Token(); err != nil || d.Decode(&value) != nil {
			return -1
		}
		n++
	}
	return n
}
