//go:build unix

package inflate_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	kgzip "github.com/klauspost/compress/gzip"

	"github.com/debutsec/debut/internal/inflate"
)

// trail reads the log objects of a real trail, compressed as they were delivered.
func trail(b *testing.B) (objects [][]byte) {
	b.Helper()
	root := "../../../shared/data/cloudtrail/invictus"
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".gz" {
			return err
		}
		object, err := os.ReadFile(path)
		objects = append(objects, object)
		return err
	})
	if err != nil {
		b.Skipf("no trail to read: %v", err)
	}
	return objects
}

// BenchmarkInflate decompresses a trail with three decompressors in turn, each
// into a window of 256 KiB, and reports their MB/s and the share of klauspost's time
// that ours takes.
func BenchmarkInflate(b *testing.B) {
	objects := trail(b)
	var records []byte
	for _, object := range objects {
		r, err := gzip.NewReader(bytes.NewReader(object))
		if err != nil {
			b.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			b.Fatal(err)
		}
		records = append(records, text...)
	}
	var small [][]byte
	for part := range slices.Chunk(records, 8<<10) { // as most objects of a quiet account
		small = append(small, compress(b, part, gzip.DefaultCompression, false))
	}
	b.Run("objects", func(b *testing.B) { compare(b, objects) })
	b.Run("small", func(b *testing.B) { compare(b, small) })
	b.Run("one", func(b *testing.B) { compare(b, [][]byte{compress(b, records, gzip.DefaultCompression, false)}) })
}

func compare(b *testing.B, objects [][]byte) {
	b.Helper()
	window := make([]byte, 256<<10)
	var d inflate.Decoder
	ours := func(object []byte) (size int) {
		out := window[:0]
		for {
			was := len(out)
			var n int
			var err error
			out, n, err = d.Append(out, object)
			size += len(out) - was
			if errors.Is(err, io.EOF) {
				return size
			}
			if !errors.Is(err, io.ErrShortBuffer) {
				b.Fatal(err)
			}
			object = object[n:]
			out = append(out[:0], out[len(out)-inflate.Window:]...)
		}
	}
	k, std := new(kgzip.Reader), new(gzip.Reader)
	stream := func(r io.Reader, err error) (size int) {
		for err == nil {
			var n int
			n, err = r.Read(window)
			size += n
		}
		if !errors.Is(err, io.EOF) {
			b.Fatal(err)
		}
		return size
	}
	readers := []struct {
		name string
		run  func(object []byte) int
		time time.Duration
	}{
		{name: "ours", run: ours},
		{name: "klauspost", run: func(o []byte) int { err := k.Reset(bytes.NewReader(o)); return stream(k, err) }},
		{name: "std", run: func(o []byte) int { err := std.Reset(bytes.NewReader(o)); return stream(std, err) }},
	}
	size := 0
	for b.Loop() {
		for i := range readers {
			start := cpuTime(b)
			size = 0
			for _, object := range objects {
				size += readers[i].run(object)
			}
			readers[i].time += cpuTime(b) - start
		}
	}
	for _, r := range readers {
		b.ReportMetric(float64(size)*float64(b.N)/1e6/r.time.Seconds(), r.name+"-MB/s")
	}
	b.ReportMetric(float64(readers[0].time)/float64(readers[1].time), "of-klauspost")
	b.ReportMetric(0, "ns/op")
}

// cpuTime returns the time that the process has been running on a processor: unlike a
// clock, it does not count what others took from it.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
