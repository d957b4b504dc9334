package parquet

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/debutsec/debut/cloudtrail"
	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/generate"
	"github.com/debutsec/debut/internal/store"
)

// trail is the records of a synthetic trail, sorted.
var trail = sync.OnceValue(func() []store.Record {
	dir, err := os.MkdirTemp("", "debut-bench-*")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	return readTrail(dir)
})

func readTrail(dir string) []store.Record {
	cfg := generate.Default(200_000, 7)
	cfg.RecordsPerObject = 5000
	if _, err := generate.Run(context.Background(), cfg, dir, nil); err != nil {
		panic(err)
	}
	var out []store.Record
	var d cloudtrail.Decoder
	ev := cloudtrail.NewEvent(ecs.NewCatalogue(), nil)
	err := filepath.WalkDir(filepath.Join(dir, generate.PackedDir), func(path string, _ os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".json.gz") {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		_, err = d.Decode(context.Background(), path, f, cloudtrail.Visitor{Record: func(r *cloudtrail.Record) error {
			ev.Reset(r)
			out = append(out, store.Record{Kind: store.KindRecord, Time: ev.Time().UnixNano(), ID: ev.ID(), Raw: bytes.Clone(r.Raw())})
			return nil
		}})
		return err
	})
	if err != nil {
		panic(err)
	}
	slices.SortFunc(out, func(a, b store.Record) int {
		return cmp.Or(cmp.Compare(a.Time, b.Time), bytes.Compare(a.ID[:], b.ID[:]))
	})
	return out
}

func BenchmarkWrite(b *testing.B) {
	list := trail()
	cat := ecs.NewCatalogue()
	cols := NewColumns(cat)
	ev := cloudtrail.NewEvent(cat, nil)
	var rec cloudtrail.Record
	var info Info
	b.ResetTimer()
	for range b.N {
		w := NewWriter(io.Discard, cols, "")
		for i := range list {
			if _, err := rec.Parse(list[i].Raw); err != nil {
				b.Fatal(err)
			}
			ev.Reset(&rec)
			if err := w.Write(&Row{Record: list[i], Ingested: list[i].Time, Event: ev}); err != nil {
				b.Fatal(err)
			}
		}
		var err error
		if info, err = w.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(info.Raw)
	b.ReportMetric(float64(info.Rows)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(info.Raw)/float64(info.Bytes), "ratio")
}
