//go:build unix

package cloudtrail_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/debutsec/debut/cloudtrail"
)

// BenchmarkDecode reads records out of compressed log objects, and only
// decompresses the same ones with klauspost's reader, in turn. It reports the share of
// the latter's time that all of Decode takes, and what a record costs.
func BenchmarkDecode(b *testing.B) {
	objects := func(count, records int) (list [][]byte) {
		for range count {
			list = append(list, gzipped(b, logObject(records)))
		}
		return list
	}
	b.Run("generated", func(b *testing.B) { compareDecode(b, objects(10, 500)) })
	b.Run("tiny", func(b *testing.B) { compareDecode(b, objects(500, 5)) })
	b.Run("trail", func(b *testing.B) {
		var list [][]byte
		err := filepath.WalkDir("../../shared/data/cloudtrail/invictus", func(path string, _ fs.DirEntry, err error) error {
			if err != nil || filepath.Ext(path) != ".gz" {
				return err
			}
			object, err := os.ReadFile(path)
			list = append(list, object)
			return err
		})
		if err != nil {
			b.Skipf("no trail to read: %v", err)
		}
		compareDecode(b, list)
	})
}

func compareDecode(b *testing.B, objects [][]byte) {
	b.Helper()
	var decoder cloudtrail.Decoder
	var inflater gzip.Reader
	var records, size int64
	var ours, theirs time.Duration
	compressed := 0
	for _, object := range objects {
		compressed += len(object)
	}
	v := cloudtrail.Visitor{
		Record:  func(*cloudtrail.Record) error { return nil },
		Problem: func(p cloudtrail.Problem) error { return errors.New(p.Message) },
	}
	buf := make([]byte, 256<<10)
	for b.Loop() {
		records, size = 0, 0
		start := cpuTime(b)
		for _, object := range objects {
			sum, err := decoder.Decode(b.Context(), "benchmark", bytes.NewReader(object), v)
			if err != nil {
				b.Fatal(err)
			}
			records += sum.Records
			size += sum.Bytes
		}
		middle := cpuTime(b)
		for _, object := range objects {
			err := inflater.Reset(bytes.NewReader(object))
			for err == nil {
				_, err = inflater.Read(buf)
			}
			if !errors.Is(err, io.EOF) {
				b.Fatal(err)
			}
		}
		ours += middle - start
		theirs += cpuTime(b) - middle
	}
	n := float64(b.N)
	b.ReportMetric(float64(ours)/float64(theirs), "of-klauspost")
	b.ReportMetric(float64(ours.Nanoseconds())/n/float64(records), "ns/record")
	b.ReportMetric(float64(size)*n/1e6/ours.Seconds(), "MB/s")
	b.ReportMetric(float64(size)*n/1e6/theirs.Seconds(), "klauspost-MB/s")
	b.ReportMetric(float64(size)/float64(compressed), "compression")
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
