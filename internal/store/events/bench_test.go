//go:build unix

package events

import (
	"bytes"
	"cmp"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/debutsec/debut/cloudtrail"
	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/generate"
	"github.com/debutsec/debut/internal/store"
	"github.com/debutsec/debut/query"
)

// trail is a synthetic trail as frames: the records of one object each, in the order
// of their last records.
var trail = sync.OnceValue(func() [][]store.Record {
	dir, err := os.MkdirTemp("", "debut-bench-*")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	cfg := generate.Default(400_000, 7)
	cfg.RecordsPerObject = 500
	if _, err := generate.Run(context.Background(), cfg, dir, nil); err != nil {
		panic(err)
	}
	var out [][]store.Record
	var d cloudtrail.Decoder
	ev := cloudtrail.NewEvent(ecs.NewCatalogue(), nil)
	err = filepath.WalkDir(filepath.Join(dir, generate.PackedDir), func(path string, _ os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".json.gz") {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		var list []store.Record
		_, err = d.Decode(context.Background(), path, f, cloudtrail.Visitor{Record: func(r *cloudtrail.Record) error {
			ev.Reset(r)
			list = append(list, store.Record{Kind: store.KindRecord, Time: ev.Time().UnixNano(), ID: ev.ID(), Raw: bytes.Clone(r.Raw())})
			return nil
		}})
		out = append(out, list)
		return err
	})
	if err != nil {
		panic(err)
	}
	slices.SortFunc(out, func(a, b []store.Record) int { return cmp.Compare(a[len(a)-1].Time, b[len(b)-1].Time) })
	return out
})

func sizes(frames [][]store.Record) (records, raw int64) {
	for _, f := range frames {
		records += int64(len(f))
		for i := range f {
			raw += int64(len(f[i].Raw))
		}
	}
	return records, raw
}

func encodeAll(b *testing.B) (out []store.Encoded) {
	for _, f := range trail() {
		e, err := Encode(&store.Frame{Records: f})
		if err != nil {
			b.Fatal(err)
		}
		out = append(out, e)
	}
	return out
}

// cpu is the CPU time that the process has used, in seconds: on a busy machine it says
// more than the clock does.
func cpu() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return float64(u.Utime.Sec+u.Stime.Sec) + float64(u.Utime.Usec+u.Stime.Usec)/1e6
}

func BenchmarkEncode(b *testing.B) {
	n, raw := sizes(trail())
	size := 0
	for b.Loop() {
		size = 0
		for _, e := range encodeAll(b) {
			size += len(e)
		}
	}
	b.SetBytes(raw)
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(raw)/float64(size), "ratio")
}

// filled is a store with the trail in its log.
func filled(b *testing.B, opt Options) *Store {
	s, err := Open(opt)
	if err != nil {
		b.Fatal(err)
	}
	for chunk := range slices.Chunk(encodeAll(b), 16) {
		if _, err := s.Append(context.Background(), chunk); err != nil {
			b.Fatal(err)
		}
	}
	s.Folded(s.End())
	return s
}

func folderSize(b *testing.B, dir string) (n int64) {
	err := filepath.Walk(dir, func(_ string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() {
			n += info.Size()
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return n
}

func BenchmarkCompact(b *testing.B) {
	n, raw := sizes(trail())
	var disk int64
	var used float64
	for b.Loop() {
		b.StopTimer()
		dir := b.TempDir()
		s := filled(b, options(dir, &memDB{}))
		b.StartTimer()
		before := cpu()
		if err := s.Compact(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		used += cpu() - before
		disk = folderSize(b, dir)
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.SetBytes(raw)
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(n)*float64(b.N)/used, "events/cpu-s")
	b.ReportMetric(float64(raw)/float64(disk), "ratio")
}

func BenchmarkScan(b *testing.B) {
	s := filled(b, options(b.TempDir(), &memDB{}))
	if err := s.Compact(b.Context()); err != nil {
		b.Fatal(err)
	}
	n, _ := sizes(trail())
	for name, src := range map[string]string{
		"all": "", "rare action": "event.action: SendCommand", "absent id": "event.id: nothing",
		"principal": "debut.principal: *SecurityAudit*", "text": "aws.cloudtrail.request_parameters: *InstanceId*",
		"address": "source.ip: 198.18.7.0/24",
	} {
		b.Run(name, func(b *testing.B) {
			var x query.Expr
			if src != "" {
				x = expr(b, s, src)
			}
			hits := 0
			for b.Loop() {
				hits = 0
				for _, err := range s.Scan(b.Context(), store.Scan{Match: x}) {
					if err != nil {
						b.Fatal(err)
					}
					hits++
				}
			}
			b.ReportMetric(float64(hits), "hits")
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}
