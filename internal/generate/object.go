package generate

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/klauspost/compress/gzip"
)

// Objects are compressed with the level that real ones are closest to. Those over
// largeObject bytes, of which there are many only when records are packed, compress ten
// times in any case and are made with a faster one: compression is most of the work.
const (
	gzipLevel   = 6
	largeLevel  = 2
	largeObject = 256 << 10
)

// An objects writer renders, compresses and writes the objects of one account.
type objects struct {
	a         *account
	dir, org  string
	render    *renderer
	raw       []byte
	gz        bytes.Buffer
	zip, fast *gzip.Writer
	made      map[string]bool // folders; emptied now and then
	arrivals  *arrivals
	digests   []*digester // by region; nil without digests
	count     func(Counts)
}

func newObjects(a *account, dir, org string, arrivals *arrivals, count func(Counts)) (*objects, error) {
	zip, err := gzip.NewWriterLevel(nil, gzipLevel)
	if err != nil {
		return nil, err
	}
	fast, err := gzip.NewWriterLevel(nil, largeLevel)
	if err != nil {
		return nil, err
	}
	return &objects{a: a, dir: dir, org: org, render: newRenderer(a), zip: zip, fast: fast, made: map[string]bool{}, arrivals: arrivals, count: count}, nil
}

// write makes the object of a batch.
func (o *objects) write(b *batch) error {
	first, last := b.events[0].t, b.events[0].t
	o.raw = append(o.raw[:0], `{"Records":[`...)
	for i := range b.events {
		if i > 0 {
			o.raw = append(o.raw, ',')
		}
		ev := &b.events[i]
		first, last = min(first, ev.t), max(last, ev.t)
		o.raw = o.render.append(o.raw, ev)
	}
	o.raw = append(o.raw, `]}`...)
	key := o.key(b)
	if err := o.store(key, o.raw); err != nil {
		return err
	}
	c := Counts{Records: int64(len(b.events)), Objects: 1, Raw: int64(len(o.raw)), Bytes: int64(o.gz.Len())}
	for i := range b.events {
		if b.events[i].copied || b.lane.trail() > 0 {
			c.Duplicates++
		}
	}
	o.count(c)
	line := o.arrivals.object(key, len(b.events), len(o.raw), o.gz.Bytes())
	o.arrivals.add(b.arrival, line)
	again := stream(under(hash(o.a.cfg.Seed, forObject, o.a.addr, uint64(b.lane), uint64(b.window)), uint64(b.part)+1))
	if again.chance(o.a.cfg.Duplicates.Redelivery) {
		o.arrivals.add(b.arrival+int64(again.exponential(60)*float64(second)), line)
	}
	if o.digests != nil {
		o.digests[b.lane.region()].add(key, o.raw, b.arrival, first, last)
	}
	return nil
}

// PackedDir is the folder of packed objects. What is in one can be of many days, so its
// name must not look like CloudTrail's: who reads a trail leaves objects out by the day
// in their names.
const PackedDir = "packed"

// key is the object's name: by its window, as CloudTrail does it.
func (o *objects) key(b *batch) string {
	at := o.a.cfg.at(b.window * slot)
	region := o.a.regions[b.lane.region()]
	s := stream(under(hash(o.a.cfg.Seed, forName, o.a.addr, uint64(b.lane), uint64(b.window)), uint64(b.part)))
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	if o.a.cfg.RecordsPerObject > 0 {
		return fmt.Sprintf("%s/%s/%s/%s_%s_%s_%s.json.gz", PackedDir, o.a.id, region, o.a.id, region,
			at.Format("20060102T1504Z"), text(&s, 16, alphabet))
	}
	return fmt.Sprintf("AWSLogs/%s/%s/CloudTrail/%s/%s/%s_CloudTrail_%s_%s_%s.json.gz", o.org, o.a.id, region,
		at.Format("2006/01/02"), o.a.id, region, at.Format("20060102T1504Z"), text(&s, 16, alphabet))
}

// store compresses and writes an object. The compressed bytes are valid until the next
// call.
func (o *objects) store(key string, raw []byte) error {
	o.gz.Reset()
	zip := o.zip
	if len(raw) > largeObject {
		zip = o.fast
	}
	zip.Reset(&o.gz)
	if _, err := zip.Write(raw); err != nil {
		return err
	}
	if err := zip.Close(); err != nil {
		return err
	}
	path := filepath.Join(o.dir, filepath.FromSlash(key))
	if folder := filepath.Dir(path); !o.made[folder] {
		if len(o.made) > 64 {
			clear(o.made)
		}
		if err := os.MkdirAll(folder, 0o755); err != nil { //nolint:gosec // a trail is made to be read
			return explain(err)
		}
		o.made[folder] = true
	}
	if err := os.WriteFile(path, o.gz.Bytes(), 0o644); err != nil { //nolint:gosec // a trail is made to be read
		return explain(err)
	}
	return nil
}

// arrivals collects the lines of arrivals.ndjson of one account. Objects come in the
// order in which their windows close, and arrive at most ten minutes after that, so that
// little has to be held.
type arrivals struct {
	cfg  *Config
	out  *lineWriter
	held [][]byte
}

// object renders a line without its beginning, the time.
func (w *arrivals) object(key string, records, raw int, gz []byte) []byte {
	sum := sha256.Sum256(gz)
	b := append([]byte(nil), `","key":"`...)
	b = append(append(b, key...), `","records":`...)
	b = strconv.AppendInt(b, int64(records), 10)
	b = strconv.AppendInt(append(b, `,"raw":`...), int64(raw), 10)
	b = strconv.AppendInt(append(b, `,"bytes":`...), int64(len(gz)), 10)
	b = append(b, `,"sha256":"`...)
	b = hex.AppendEncode(b, sum[:])
	return append(b, "\"}\n"...)
}

const arrivalStart = `{"arrival":"`

func (w *arrivals) add(at int64, line []byte) {
	b := make([]byte, 0, len(arrivalStart)+27+len(line))
	b = append(b, arrivalStart...)
	b = append(b, formatMicros(w.cfg.at(at))...)
	w.held = append(w.held, append(b, line...))
}

// flush writes all lines before a time.
func (w *arrivals) flush(before time.Time) error {
	limit := []byte(arrivalStart + formatMicros(before))
	sortLines(w.held)
	n := 0
	for n < len(w.held) && bytes.Compare(w.held[n], limit) < 0 {
		if err := w.out.write(w.held[n]); err != nil {
			return err
		}
		n++
	}
	w.held = w.held[:copy(w.held, w.held[n:])]
	return nil
}
