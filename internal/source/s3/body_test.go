package s3

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// However a body breaks, what is read is the object.
func TestBodyGoesOn(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		content := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(rt, "content")
		cuts := rapid.SliceOfN(rapid.SampledFrom([]int64{-1, 0, 0, 1, 7, 50, stall}), 0, 20).Draw(rt, "cuts")
		piece := rapid.IntRange(1, 64).Draw(rt, "piece")
		var failure string
		synctest.Test(t, func(t *testing.T) { failure = bodyGoesOn(t, content, cuts, piece) })
		if failure != "" {
			rt.Fatal(failure)
		}
	})
}

func bodyGoesOn(t *testing.T, content []byte, cuts []int64, piece int) string {
	b := newFakeBucket()
	b.put("k", content)
	inVain := 0
	b.cut = func(string, int64) int64 {
		if len(cuts) == 0 || inVain == maxResumes-1 {
			return -1
		}
		n := cuts[0]
		cuts = cuts[1:]
		if inVain++; n > 0 && n != stall {
			inVain = 0
		}
		return n
	}
	s := newSource(testOptions(), b, nil)
	var ended error
	r, i, err := s.openBody(t.Context(), "k", "", func(err error) { ended = err })
	if err != nil {
		return err.Error()
	}
	defer func() { _ = r.Close() }()
	got, err := io.ReadAll(readerFunc(func(p []byte) (int, error) { return r.Read(p[:min(piece, len(p))]) }))
	if err != nil || !bytes.Equal(got, content) || i.etag != b.objects["k"].etag() {
		return fmt.Sprintf("read %d of %d bytes: %v", len(got), len(content), err)
	}
	if !errors.Is(ended, io.EOF) {
		return fmt.Sprintf("the end was not told: %v", ended)
	}
	return ""
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestBodyFails(t *testing.T) {
	t.Parallel()
	read := func(t *testing.T, b *fakeBucket, during func()) error {
		t.Helper()
		s := newSource(testOptions(), b, nil)
		r, _, err := s.openBody(t.Context(), "k", "", func(error) {})
		if err != nil {
			return err
		}
		defer func() { _ = r.Close() }()
		if during != nil {
			during()
		}
		_, err = io.ReadAll(r)
		return err
	}
	for name, f := range map[string]struct {
		set    func(*fakeBucket) func()
		want   string
		within time.Duration
	}{
		"gone": {func(b *fakeBucket) func() { b.remove("k"); return nil }, "it is not in the bucket", 0},
		"denied": {func(b *fakeBucket) func() {
			b.fault = func(string, string) error { return errDenied }
			return nil
		}, "access denied", 0},
		"always broken": {func(b *fakeBucket) func() {
			b.cut = func(string, int64) int64 { return 0 }
			return nil
		}, "read s3://trail/k at byte 0: connection reset by peer", 10 * time.Second},
		"always still": {func(b *fakeBucket) func() {
			b.cut = func(string, int64) int64 { return stall }
			return nil
		}, "no data came for too long", 7 * time.Minute},
		"replaced": {func(b *fakeBucket) func() {
			b.cut = func(string, int64) int64 { return 2 }
			return func() { b.put("k", []byte("another thing")) }
		}, "it was replaced while it was read", time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newFakeBucket()
				b.put("k", []byte("content"))
				during := f.set(b)
				began := time.Now()
				err := read(t, b, during)
				if err == nil || !strings.Contains(err.Error(), f.want) {
					t.Errorf("got %v, want %q", err, f.want)
				}
				if took := time.Since(began); took > f.within {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}
