package parquet

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/debutsec/debut/cloudtrail"
	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/store"
	"github.com/debutsec/debut/kql"
	"github.com/debutsec/debut/query"
)

func compile(t testing.TB, cat *ecs.Catalogue, src string) query.Expr {
	t.Helper()
	n, err := kql.Parse(src)
	if err != nil {
		t.Fatal(err)
	}
	x, diags := kql.Compile(n, cat)
	if x == nil {
		t.Fatal(diags)
	}
	return x
}

// write writes records as a segment.
func write(t testing.TB, cat *ecs.Catalogue, records []store.Record, group int) ([]byte, Info) {
	t.Helper()
	var buf bytes.Buffer
	w := NewWriter(&buf, NewColumns(cat), "")
	w.most = group
	for i := range records {
		if err := w.Write(&Row{Record: records[i], Ingested: int64(i) * 1000, Event: event(t, cat, &records[i])}); err != nil {
			t.Fatal(err)
		}
	}
	info, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	return buf.Bytes(), info
}

func event(t testing.TB, cat *ecs.Catalogue, r *store.Record) ecs.Event {
	t.Helper()
	if r.Kind == store.KindDocument {
		ev, err := ecs.ParseJSON(cat, r.Raw)
		if err != nil {
			t.Fatal(err)
		}
		return ev
	}
	var rec cloudtrail.Record
	if _, err := rec.Parse(r.Raw); err != nil {
		t.Fatalf("%s: %v", r.Raw, err)
	}
	ev := cloudtrail.NewEvent(cat, nil)
	ev.Reset(&rec)
	return ev
}

// selected reads all rows of a file that may match, and are in the span.
func selected(f *File, from, to int64, x query.Expr) (out []store.Record, sure []bool, err error) {
	for g := range f.Groups() {
		s, err := f.Select(g, from, to, x)
		if err != nil {
			return nil, nil, err
		}
		texts, err := f.Texts(g)
		if err != nil {
			return nil, nil, err
		}
		for i, row := range s.Rows {
			text, err := texts.At(row)
			if err != nil {
				return nil, nil, errors.Join(err)
			}
			out = append(out, store.Record{Kind: text.Kind, Time: s.Times[i], ID: s.IDs[i], Raw: bytes.Clone(text.Raw)})
			sure = append(sure, s.Sure[i])
		}
		texts.Close()
	}
	return out, sure, nil
}

// genRecords draws sorted records with few different values, some of them unusual.
func genRecords(t *rapid.T) []store.Record {
	n := rapid.IntRange(1, 60).Draw(t, "records")
	out := make([]store.Record, n)
	words := rapid.SampledFrom([]string{`"a"`, `"b"`, `"Send"`, `null`, `["a","b"]`, `"\u00e9"`, `"` + string(bytes.Repeat([]byte("x"), 1500)) + `"`, "\"\xff\"", `7`})
	for i := range out {
		at := time.Unix(1736150400+rapid.Int64Range(0, 20).Draw(t, "second"), rapid.SampledFrom([]int64{0, 0, 999, 1001}).Draw(t, "nanos")).UTC()
		if rapid.IntRange(0, 9).Draw(t, "kind") == 0 {
			out[i] = store.Record{Kind: store.KindDocument, Raw: fmt.Appendf(nil, `{"@timestamp":"%s","event":{"action":"doc%d","provider":%s}}`,
				at.Format(time.RFC3339Nano), i, `"a"`)}
		} else {
			out[i] = store.Record{Kind: store.KindRecord, Raw: fmt.Appendf(nil, `{"eventTime":"%s","eventName":%s,"eventSource":%s,"eventID":"e%d","awsRegion":%s,"sourceIPAddress":"198.18.0.%d"}`,
				at.Format(time.RFC3339), words.Draw(t, "action"), words.Draw(t, "source"), i, words.Draw(t, "region"), i%3)}
		}
		out[i].Time, out[i].ID = at.UnixNano(), ecs.HashContent(out[i].Raw)
	}
	slices.SortFunc(out, func(a, b store.Record) int {
		return cmp.Or(cmp.Compare(a.Time, b.Time), bytes.Compare(a.ID[:], b.ID[:]))
	})
	return out
}

// What is written is read; what the columns say about a query agrees with the events.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	cat := ecs.NewCatalogue()
	queries := []query.Expr{nil}
	for _, src := range []string{
		`event.action: a`, `event.action: "Send" and cloud.region: b`, `not event.action: *`, `cloud.region: (a or b)`,
		`event.action: S* or event.provider: a`, `event.id: e3`, `event.id: e3 and event.action: a`, `source.ip: 198.18.0.0/31`,
		`user.name: x`, `not source.geo.country_iso_code: DE`, `event.action: x*`, `event.action: b and not cloud.region: a`, `a`,
		`event.action: doc*`, `event.id: nothing`, `source.address: 198.18.0.2`, `event.provider > "a"`,
	} {
		queries = append(queries, compile(t, cat, src))
	}
	rapid.Check(t, func(rt *rapid.T) {
		records := genRecords(rt)
		b, info := write(t, cat, records, rapid.SampledFrom([]int{7, 100}).Draw(rt, "group"))
		f, err := Open(bytes.NewReader(b), info.Bytes, info.Sums)
		if err != nil {
			rt.Fatal(err)
		}
		from := rapid.Int64Range(records[0].Time-1, records[len(records)-1].Time+1).Draw(rt, "from")
		to := from + rapid.Int64Range(0, 20e9).Draw(rt, "span")
		x := rapid.SampledFrom(queries).Draw(rt, "query")
		got, sure, err := selected(f, from, to, x)
		if err != nil {
			rt.Fatal(err)
		}
		next := 0
		for i := range records {
			r := &records[i]
			match := x == nil || x.Match(event(t, cat, r))
			in := r.Time >= from && r.Time < to
			have := next < len(got) && got[next].ID == r.ID
			switch {
			case have && !in:
				rt.Fatalf("row %d is not in the span", i)
			case !have && in && match:
				rt.Fatalf("row %d matches and was left out: %s", i, r.Raw)
			case have && sure[next] && !match:
				rt.Fatalf("row %d is said to match for sure: %s", i, r.Raw)
			case have:
				if g := got[next]; g.Time != r.Time || g.Kind != r.Kind || !bytes.Equal(g.Raw, r.Raw) {
					rt.Fatalf("row %d: %v, want %v", i, g, *r)
				}
				next++
			}
		}
		if next != len(got) {
			rt.Fatalf("%d rows more", len(got)-next)
		}
	})
}

// A byte changed anywhere is an error or is not looked at, and never another result.
func TestDamage(t *testing.T) {
	t.Parallel()
	cat := ecs.NewCatalogue()
	list := make([]store.Record, 2000)
	for i := range list {
		list[i] = store.Record{Kind: store.KindRecord, Time: int64(i), ID: ecs.ID{byte(i)}, Raw: fmt.Appendf(nil, `{"eventTime":"2025-01-06T00:00:00Z","eventID":"%x-%d"}`, i*i*i, i)}
	}
	whole, info := write(t, cat, list, 300)
	x := compile(t, cat, `event.id: 1000-*`)
	rapid.Check(t, func(rt *rapid.T) {
		b := bytes.Clone(whole)
		at := rapid.IntRange(0, len(b)-1).Draw(rt, "at")
		b[at] ^= byte(rapid.IntRange(1, 255).Draw(rt, "bits"))
		f, err := Open(bytes.NewReader(b), info.Bytes, info.Sums)
		if err == nil {
			_, _, err = selected(f, 0, 1<<62, x)
		}
		if err == nil {
			_, _, err = selected(f, 0, 1<<62, nil)
		}
		if err == nil || !errors.Is(err, store.ErrDamaged) {
			rt.Fatalf("byte %d of %d changed: error %v", at, len(b), err)
		}
		cut := rapid.IntRange(0, len(b)-1).Draw(rt, "cut")
		if _, err := Open(bytes.NewReader(whole[:cut]), info.Bytes, info.Sums); !errors.Is(err, store.ErrDamaged) {
			rt.Fatalf("cut at %d: error %v", cut, err)
		}
	})
}

// Without the sums, which another program may have lost, nothing panics either.
func TestDamageWithoutSums(t *testing.T) {
	t.Parallel()
	cat := ecs.NewCatalogue()
	list := make([]store.Record, 500)
	for i := range list {
		list[i] = store.Record{Kind: store.KindRecord, Time: int64(i), Raw: fmt.Appendf(nil, `{"eventTime":"2025-01-06T00:00:00Z","eventID":"%d"}`, i)}
	}
	whole, info := write(t, cat, list, 300)
	rapid.Check(t, func(rt *rapid.T) {
		b := bytes.Clone(whole)
		for range rapid.IntRange(1, 4).Draw(rt, "changes") {
			at := len(b) - 1 - rapid.IntRange(0, min(len(b)-1, 12_000)).Draw(rt, "at") // most in the footer
			b[at] = rapid.Byte().Draw(rt, "byte")
		}
		var s summer
		s.w = &bytes.Buffer{}
		_, _ = s.Write(b)
		f, err := Open(bytes.NewReader(b), info.Bytes, s.all())
		if err == nil {
			_, _, err = selected(f, 0, 1<<62, nil)
		}
		if err != nil && !errors.Is(err, store.ErrDamaged) && !errors.Is(err, store.ErrFormat) {
			rt.Fatal(err)
		}
	})
}

func TestUnsortedRows(t *testing.T) {
	t.Parallel()
	cat := ecs.NewCatalogue()
	w := NewWriter(&bytes.Buffer{}, NewColumns(cat), "")
	r := store.Record{Kind: store.KindRecord, Time: 5, Raw: []byte(`{"eventTime":"2025-01-06T00:00:00Z"}`)}
	ev := event(t, cat, &r)
	if err := w.Write(&Row{Record: r, Event: ev}); err != nil {
		t.Fatal(err)
	}
	r.Time = 4
	if err := w.Write(&Row{Record: r, Event: ev}); err == nil {
		t.Error("a row before the last was taken")
	}
	if _, err := w.Close(); err == nil {
		t.Error("the file was ended after an error")
	}
}
