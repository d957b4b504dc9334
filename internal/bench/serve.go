//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/debutsec/debut/detect"
	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/serve"
	"github.com/debutsec/debut/internal/source"
	"github.com/debutsec/debut/internal/store"
	"github.com/debutsec/debut/internal/store/events"
	"github.com/debutsec/debut/internal/store/sqlite"
	"github.com/debutsec/debut/query"
	"github.com/debutsec/debut/rule"
	"github.com/debutsec/debut/rules"
)

// A daemon is an engine on a disk.
type daemon struct {
	dir    string
	db     *sqlite.DB
	events *events.Store
	engine *serve.Engine
	stop   context.CancelFunc
	done   chan error
}

func startDaemon(ctx context.Context, dir string, cat *ecs.Catalogue, list []serve.Rule) (*daemon, error) {
	d := &daemon{dir: dir, done: make(chan error, 1)}
	var err error
	if d.db, err = sqlite.Open(ctx, dir, sqlite.Options{Program: "bench"}); err != nil {
		return nil, err
	}
	d.events, err = events.Open(events.Options{ //nolint:contextcheck // it opens a store; there is nothing to wait for
		Dir: dir, DB: d.db, Catalogue: cat, Now: time.Now, SealAfter: time.Minute, //nolint:forbidigo // it measures
		Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return nil, err
	}
	d.engine, err = serve.Open(ctx, serve.Options{
		DB: d.db, Events: d.events, Encode: events.Encode, Rules: list, Catalogue: cat, Now: time.Now, //nolint:forbidigo // it measures
		Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return nil, err
	}
	ctx, d.stop = context.WithCancel(ctx)
	go func() { d.done <- d.engine.Run(ctx) }()
	return d, nil
}

func (d *daemon) close() error {
	d.stop()
	err := <-d.done
	if e := d.events.Close(); err == nil {
		err = e
	}
	if e := d.db.Close(); err == nil {
		err = e
	}
	return err
}

// allRules are those of the folder that run, or the shipped ones.
func (b *bench) allRules(cat *ecs.Catalogue) ([]serve.Rule, error) {
	sources := []rule.Source{{FS: rules.FS, Path: "aws", Name: "shipped"}}
	if b.rules != "" {
		sources = []rule.Source{{FS: os.DirFS(b.rules), Path: ".", Name: b.rules}}
	}
	set, err := rule.LoadSources(sources...)
	if err != nil {
		return nil, err
	}
	list, _, err := serve.RulesOf(set, cat, "", func(*rule.Rule) bool { return true })
	return list, err
}

// body is an object of the trail, unpacked, and where in it the parts stand that make
// its events other events.
type body struct {
	text    []byte
	ids     []int // of the first digit of each eventID
	times   []int // of the first digit of each eventTime
	records int
}

func newBody(text []byte) body {
	o := body{text: text}
	find := func(name string) (at []int) {
		for i := 0; ; {
			n := bytes.Index(text[i:], []byte(name))
			if n < 0 {
				return at
			}
			i += n + len(name)
			at = append(at, i)
		}
	}
	o.ids, o.times = find(`"eventID":"`), find(`"eventTime":"`)
	o.records = len(o.ids)
	return o
}

// pass returns the body as of another pass over the trail: every event is another one,
// and a later one.
func (o *body) pass(n int, dst []byte) []byte {
	dst = append(dst[:0], o.text...)
	if n == 0 {
		return dst
	}
	id := fmt.Sprintf("%08x", n)
	for _, at := range o.ids {
		copy(dst[at:], id)
	}
	const day = len(time.DateOnly)
	last, moved := "", "" // days: an object has one or two
	for _, at := range o.times {
		if text := o.text[at : at+day]; string(text) != last {
			last = string(text)
			moved = last
			if t, err := time.Parse(time.DateOnly, last); err == nil {
				moved = t.AddDate(0, 0, 5*n).Format(time.DateOnly)
			}
		}
		copy(dst[at:], moved)
	}
	return dst
}

// maxBodies bounds the part of a trail that is held in memory.
const maxBodies = 200 << 20

// bodies reads the objects of a trail in the order of their delivery, several in one
// so that they are of the size of a busy account's, and about so many bytes in all.
func bodies(root string, most int) (out []body, err error) {
	var paths []string
	if err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(path, ".json.gz") && strings.Contains(path, "/CloudTrail/") {
			paths = append(paths, path)
		}
		return err
	}); err != nil {
		return nil, err
	}
	slices.SortFunc(paths, func(a, b string) int { return strings.Compare(delivered(a), delivered(b)) })
	var text []byte
	size := 0
	for i, p := range paths {
		if size > most { // enough to be told again and again
			break
		}
		f, err := os.Open(p)
		if err != nil {
			return nil, err
		}
		zr, err := gzip.NewReader(f)
		if err == nil {
			var part []byte
			part, err = io.ReadAll(zr)
			text = append(append(text, part...), '\n')
		}
		_ = f.Close() // only read from
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p, err)
		}
		if len(text) > 2<<20 || i == len(paths)-1 {
			out = append(out, newBody(bytes.Clone(text)))
			size += len(text)
			text = text[:0]
		}
	}
	return out, nil
}

// delivered is the time in an object's name.
func delivered(path string) string {
	parts := strings.Split(filepath.Base(path), "_")
	return parts[min(3, len(parts)-1)]
}

// ingest measures what the daemon takes in, what that takes on disk, and how long a
// record is on its way.
func (b *bench) ingest(ctx context.Context) error {
	trail, err := b.generate(ctx, "trail", b.records)
	if err != nil {
		return err
	}
	list, err := bodies(trail, maxBodies)
	if err != nil {
		return err
	}
	cat := ecs.NewCatalogue()
	run, err := b.allRules(cat)
	if err != nil {
		return err
	}
	dir := filepath.Join(b.dir, "serve")
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	d, err := startDaemon(ctx, dir, cat, run)
	if err != nil {
		return err
	}
	fed := make(chan struct{})
	var background sync.WaitGroup
	background.Go(func() { // as the daemon does it: a compaction that was begun is ended
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				if d.events.Waiting() {
					_ = d.events.Compact(ctx) // an error shows at the end
				}
			case <-fed:
				return
			}
		}
	})
	began, used := time.Now(), cpuUsed() //nolint:forbidigo // it measures
	raw, records, err := feed(ctx, d.engine, list, b.seconds, b.rate)
	elapsed, cpu := time.Since(began), cpuUsed()-used
	compacting := time.Now() //nolint:forbidigo // it measures
	close(fed)
	background.Wait()
	if err != nil {
		return err
	}
	if err := d.events.Compact(ctx); err != nil {
		return err
	}
	rest, all := time.Since(compacting), cpuUsed()-used
	st := d.engine.Status()
	b.printf("\nserve: ingest, %d rules, events stored, compaction included\n\n", len(run))
	b.printf("%d records (%.1f GB of JSON) taken in %s, all compacted %s later: %.0f records/s taken, %.0f/s with everything done (bar 50,000); %.2f cores, %.1f µs of CPU for each record; %d alerts; %d commits of %.0f ms on average\n",
		records, float64(raw)/1e9, elapsed.Round(time.Second), rest.Round(time.Second), float64(records)/elapsed.Seconds(),
		float64(records)/(elapsed+rest).Seconds(), cpu.Seconds()/elapsed.Seconds(), all.Seconds()*1e6/float64(max(records, 1)),
		st.Alerts, st.Commits, 1000*st.CommitSeconds/float64(max(st.Commits, 1)))
	if err := b.latency(ctx, d, list); err != nil {
		return err
	}
	memory := peakMemory()
	if err := d.close(); err != nil {
		return err
	}
	// What the engine has folded by now, the log need not keep.
	if err := b.compactClosed(ctx, dir, cat); err != nil {
		return err
	}
	segments, state := folderSize(filepath.Join(dir, "segments"))+folderSize(filepath.Join(dir, "log")), int64(0)
	for _, name := range []string{"state.db", "state.db-wal"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil {
			state += info.Size()
		}
	}
	b.printf("events on disk: %d MB, 1/%.1f of the raw JSON (bar 1/6); memory, alerts and the rest: %d MB; memory of the process %d MB\n",
		segments/1_000_000, float64(raw)/float64(segments), state/1_000_000, memory/1_000_000)
	return os.RemoveAll(dir)
}

// compactClosed compacts what a daemon that has ended left.
func (b *bench) compactClosed(ctx context.Context, dir string, cat *ecs.Catalogue) error {
	d, err := startDaemon(ctx, dir, cat, nil)
	if err != nil {
		return err
	}
	return errors.Join(d.events.Compact(ctx), d.close())
}

// feed delivers the trail, again and again as other events, for a while.
func feed(ctx context.Context, e *serve.Engine, list []body, d time.Duration, rate int) (raw, records int64, err error) {
	began := time.Now() //nolint:forbidigo // it measures
	end := began.Add(d)
	var wg sync.WaitGroup
	var mu sync.Mutex
	buffers := sync.Pool{New: func() any { return new([]byte) }}
	for n := 0; time.Now().Before(end); n++ { //nolint:forbidigo // it measures
		for i := range list {
			if time.Now().After(end) { //nolint:forbidigo // it measures
				break
			}
			// No faster than the rate, if there is one.
			if ahead := time.Duration(float64(records)/float64(rate)*1e9) - time.Since(began); rate > 0 && ahead > 0 {
				time.Sleep(ahead)
			}
			buf := buffers.Get().(*[]byte)
			*buf = list[i].pass(n, *buf)
			raw, records = raw+int64(len(*buf)), records+int64(list[i].records)
			wg.Add(1)
			name := fmt.Sprintf("bench/%d/%d", n, i)
			if derr := e.Deliver(ctx, source.Delivery{
				Source: "bench", Name: name, Object: &source.Object{Name: name, Version: "1"}, Arrived: time.Now(), //nolint:forbidigo // it measures
				Open: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(*buf)), nil },
				Done: func(o source.Outcome) {
					if o.Err != nil {
						mu.Lock()
						err = o.Err
						mu.Unlock()
					}
					buffers.Put(buf)
					wg.Done()
				},
			}); derr != nil {
				return raw, records, derr
			}
		}
	}
	wg.Wait()
	return raw, records, err
}

// latency measures how long a record is on its way to a committed alert, at a rate
// that a large organisation has: 2,000 records a second, in objects of a hundred.
func (b *bench) latency(ctx context.Context, d *daemon, list []body) error {
	const each = 100
	var took []time.Duration
	var mu sync.Mutex
	var wg sync.WaitGroup
	var failed error
	tick := time.NewTicker(time.Second * each / 2000)
	defer tick.Stop()
	var buf []byte
	n := 0
	for i := 0; n < 400 && i < len(list); i++ {
		buf = list[i].pass(1<<20, buf)
		for part := range slices.Chunk(bytes.Split(buf, []byte("\n")), 1) {
			text := bytes.Clone(part[0])
			if len(text) == 0 || n >= 400 {
				continue
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return ctx.Err()
			}
			n++
			wg.Add(1)
			name, began := fmt.Sprintf("latency/%d", n), time.Now() //nolint:forbidigo // it measures
			if err := d.engine.Deliver(ctx, source.Delivery{
				Source: "bench", Name: name, Object: &source.Object{Name: name, Version: "1"}, Arrived: began,
				Open: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(text)), nil },
				Done: func(o source.Outcome) {
					mu.Lock()
					took = append(took, time.Since(began))
					if o.Err != nil {
						failed = o.Err
					}
					mu.Unlock()
					wg.Done()
				},
			}); err != nil {
				return err
			}
		}
	}
	wg.Wait()
	if failed != nil || len(took) == 0 {
		return fmt.Errorf("latency: %d deliveries: %w", len(took), failed)
	}
	slices.Sort(took)
	at := func(q float64) time.Duration { return took[int(q*float64(len(took)-1))].Round(100 * time.Microsecond) }
	b.printf("arrival to stored alert, %d objects, 20 a second: median %s, p99 %s, longest %s (bar: p99 < 1 s)\n", len(took), at(0.5), at(0.99), at(1))
	return nil
}

// knownCombinations measures a hit of a combination that is known, with few and with
// many others known, in batches of a thousand, warm.
func (b *bench) knownCombinations(ctx context.Context) error {
	b.printf("\nserve: a hit of a known combination, batches of 1,000\n\n| known | µs per hit |\n|--:|--:|\n")
	var first float64
	for _, n := range []int{10_000, b.known} {
		took, err := b.knownHits(ctx, n)
		if err != nil {
			return err
		}
		each := took.Seconds() * 1e6
		note := ""
		if first == 0 {
			first = each
		} else {
			note = fmt.Sprintf(" (%.2f ×; bar 1.5)", each/first)
		}
		b.printf("| %d | %.1f%s |\n", n, each, note)
	}
	return nil
}

func (b *bench) knownHits(ctx context.Context, n int) (time.Duration, error) {
	dir := filepath.Join(b.dir, fmt.Sprintf("known-%d", n))
	if err := os.RemoveAll(dir); err != nil {
		return 0, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // a temporary folder
	cat := ecs.NewCatalogue()
	anything, err := query.Equal(cat.Resolve("event.action"), "SendCommand")
	if err != nil {
		return 0, err
	}
	one := serve.Rule{Fingerprint: "bench", Input: detect.Input{Query: anything, Rule: &rule.Rule{
		ID: "bench", Name: "bench", Type: rule.NewTerms, NewTermsFields: []string{"user.name"}, HistoryWindowStart: "now-30d",
		Severity: "low", MaxSignals: 100, Interval: 5 * time.Minute,
	}}}
	d, err := startDaemon(ctx, dir, cat, []serve.Rule{one})
	if err != nil {
		return 0, err
	}
	base := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	groups, err := d.engine.GroupOf("bench", func(i int) []string { return []string{fmt.Sprintf("user-%d", i)} })
	if err != nil {
		return 0, err
	}
	// The memory is written as the engine writes it, but in the order of its keys: that
	// takes minutes less.
	keys := make([]ecs.ID, n)
	for i := range keys {
		keys[i] = groups.Key(i)
	}
	slices.SortFunc(keys, func(a, b ecs.ID) int { return bytes.Compare(a[:], b[:]) })
	for from := 0; from < n; from += 50_000 {
		if err := d.db.Update(ctx, func(tx store.Tx) error {
			for i := from; i < min(from+50_000, n); i++ {
				f := store.Finding{Learned: true}
				f.Rule, f.Group = groups.Number, keys[i]
				f.Time, f.Last = base.UnixNano(), base.UnixNano()
				binary.BigEndian.PutUint64(f.ID[:], uint64(i)+1)
				if err := store.PutFinding(tx, &f); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return 0, err
		}
	}
	const batch, batches = 1000, 60
	var took time.Duration
	for round := range batches {
		var text bytes.Buffer
		for i := range batch {
			who := (i*2654435761 + round*40503) % n
			fmt.Fprintf(&text, `{"eventVersion":"1.11","userIdentity":{"type":"IAMUser","userName":"user-%d","accountId":"111122223333"},"eventTime":%q,`+
				`"eventSource":"ssm.amazonaws.com","eventName":"SendCommand","awsRegion":"eu-west-1","eventID":"%08x-%08x","recipientAccountId":"111122223333"}`+"\n",
				who, base.Add(time.Duration(round+1)*time.Hour).Format(time.RFC3339), round, i)
		}
		done := make(chan source.Outcome, 1)
		name, began := fmt.Sprintf("known/%d", round), time.Now() //nolint:forbidigo // it measures
		if err := d.engine.Deliver(ctx, source.Delivery{
			Source: "bench", Name: name, Object: &source.Object{Name: name, Version: "1"}, Arrived: began,
			Open: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(text.Bytes())), nil },
			Done: func(o source.Outcome) { done <- o },
		}); err != nil {
			return 0, err
		}
		if o := <-done; o.Err != nil {
			return 0, o.Err
		}
		if round >= batches/3 { // the first ones warm the caches
			took += time.Since(began)
		}
	}
	if a := d.engine.Status().Alerts; a > 0 {
		return 0, fmt.Errorf("%d alerts: the combinations were not known", a)
	}
	return took / (batch * (batches - batches/3)), d.close()
}

func folderSize(dir string) (n int64) {
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			if info, err := d.Info(); err == nil {
				n += info.Size()
			}
		}
		return nil
	})
	return n
}

func cpuUsed() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func peakMemory() int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return u.Maxrss << 10
}
