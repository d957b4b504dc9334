package events

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/store"
)

func TestFrameRoundTrip(t *testing.T) {
	t.Parallel()
	var d decoder
	rapid.Check(t, func(t *rapid.T) {
		f := store.Frame{Meta: rapid.SliceOf(rapid.Byte()).Draw(t, "meta"), Records: []store.Record{}}
		for range rapid.IntRange(0, 20).Draw(t, "records") {
			f.Records = append(f.Records, store.Record{
				Kind: rapid.Byte().Draw(t, "kind"), Time: rapid.Int64().Draw(t, "time"),
				ID: ecs.ID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id")), Raw: rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "raw"),
			})
		}
		e, err := Encode(&f)
		if err != nil {
			t.Fatal(err)
		}
		if !whole(e) {
			t.Fatal("not whole")
		}
		at := rapid.Int64Range(0, 1<<50).Draw(t, "offset")
		stamp(e, at, 7)
		h, ok := parseHeader(e, at)
		if _, elsewhere := parseHeader(e, at+1); !ok || elsewhere || h.stored != 7 {
			t.Fatalf("header %+v, ok %v; at another place %v", h, ok, elsewhere)
		}
		got, err := d.decode(&h, e[frameHeader:])
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(f, got, cmpopts.EquateEmpty()); diff != "" {
			t.Fatal(diff)
		}
	})
}

// The keys of a frame are those of the whole frame, however large it is and whatever
// stands before them.
func TestFrameKeys(t *testing.T) {
	t.Parallel()
	var whole, keys decoder
	for _, size := range []int{0, 100, manyBlocks / 100, manyBlocks / 20} {
		for _, meta := range []int{0, 900, 1100, 300_000} {
			f := store.Frame{Meta: bytes.Repeat([]byte("m"), meta), Records: records(0, 100)}
			for i := range f.Records {
				f.Records[i].Raw = append(f.Records[i].Raw, bytes.Repeat([]byte{'a', byte(i)}, (size+i)/2)...)
			}
			e, err := Encode(&f)
			if err != nil {
				t.Fatal(err)
			}
			stamp(e, 0, 7)
			h, _ := parseHeader(e, 0)
			want, err := whole.decode(&h, e[frameHeader:])
			if err != nil {
				t.Fatal(err)
			}
			got, err := keys.keys(&h, e[frameHeader:])
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Records) != len(want.Records) {
				t.Fatalf("%d records, want %d", len(got.Records), len(want.Records))
			}
			for i, r := range got.Records {
				w := want.Records[i]
				if n := uint64(len(w.Raw)); keys.sizes[i] != n || r.Kind != w.Kind || r.Time != w.Time || r.ID != w.ID {
					t.Fatalf("texts of %d, meta of %d: record %d is %+v with %d bytes, want %+v with %d", size, meta, i, r, keys.sizes[i], w, n)
				}
			}
			e[len(e)-1] ^= 1
			if _, err := keys.keys(&h, e[frameHeader:]); !errors.Is(err, store.ErrDamaged) {
				t.Errorf("a changed byte: error %v", err)
			}
		}
	}
}

// Bytes that nobody wrote are an error or a frame that can be written; nothing else.
func FuzzPayload(f *testing.F) {
	for _, list := range [][]store.Record{nil, records(0, 1), records(0, 3)} {
		f.Add(appendPayload(nil, &store.Frame{Meta: []byte("m"), Records: list}), len(list))
	}
	f.Fuzz(func(t *testing.T, b []byte, count int) {
		if count < 0 || count > len(b)/minRecord {
			return // the header was checked
		}
		var d decoder
		frame, err := d.parse(b, count)
		if err != nil {
			if !errors.Is(err, store.ErrDamaged) {
				t.Error(err)
			}
			return
		}
		if len(frame.Records) != count {
			t.Errorf("%d records, want %d", len(frame.Records), count)
		}
		again, err := (&decoder{}).parse(appendPayload(nil, &frame), count)
		if err != nil || !bytes.Equal(again.Meta, frame.Meta) || !slices.EqualFunc(again.Records, frame.Records, func(a, b store.Record) bool {
			return a.Kind == b.Kind && a.Time == b.Time && a.ID == b.ID && bytes.Equal(a.Raw, b.Raw)
		}) {
			t.Errorf("another frame after writing it: %v, error %v", again, err)
		}
	})
}

// A log file of any bytes is walked to its end; what is yielded has its checksum.
func FuzzWalk(f *testing.F) {
	e, err := Encode(&store.Frame{Records: records(0, 2)})
	if err != nil {
		f.Fatal(err)
	}
	stamp(e, 0, 1)
	f.Add([]byte(e))
	f.Add(append([]byte("\xf7dbf garbage"), e...))
	f.Fuzz(func(t *testing.T, b []byte) {
		file := append(appendFileHeader(nil, 0), b...)
		told := int64(0)
		w := walker{file: bytes.NewReader(file), end: int64(len(b)), damaged: func(from, to int64, _ error) { told += to - from }}
		var d decoder
		for {
			h, at, err := w.next()
			if err != nil {
				break
			}
			told += w.pos - at
			if p, err := w.payload(&h, at); err == nil {
				_, _ = d.decode(&h, p)
			}
		}
		if told != int64(len(b)) {
			t.Errorf("%d of %d bytes are accounted for", told, len(b))
		}
	})
}
