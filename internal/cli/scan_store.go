package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/debutsec/debut/internal/alert"
	"github.com/debutsec/debut/internal/enrich"
	"github.com/debutsec/debut/internal/pipeline"
	"github.com/debutsec/debut/internal/store"
	"github.com/debutsec/debut/internal/store/events"
	"github.com/debutsec/debut/internal/store/sqlite"
)

// A scanStore is the data folder that a scan fills, to investigate its alerts or to keep
// it. It is made under another name and gets its own when it is whole.
type scanStore struct {
	dir, keep string // keep: where it goes; empty: nowhere, it is removed
	env       *Env
	db        *sqlite.DB
	events    *events.Store
	catalogue catalogue

	mu      sync.Mutex // guards what follows, and appending
	batches map[int]*scanBatch
	hours   map[scanHour]int64
	end     int64
}

type scanHour struct {
	account, region string
	hour            int64
}

// A scanBatch is what one worker has read and not written yet.
type scanBatch struct {
	frame store.Frame
	raw   []byte
	ends  []int // of the records in raw
	hours map[scanHour]*int64
}

// Bounds of a frame, and of the hours that a hostile input can name.
const (
	scanFrame    = 4 << 20
	scanRecords  = 8192
	maxScanHours = 1_000_000
)

func newScanStore(env *Env, keep string, rules *ruleSet, enricher *enrich.Enricher) (_ *scanStore, err error) {
	s := &scanStore{keep: keep, env: env, catalogue: rules.catalogue, batches: map[int]*scanBatch{}, hours: map[scanHour]int64{}}
	parent := os.TempDir()
	if keep != "" {
		if list, err := os.ReadDir(keep); err == nil && len(list) > 0 || err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, &ExitError{
				Code: ExitUsage, Err: cmp.Or(err, fmt.Errorf("--store %s: there is something in it already", keep)),
				Hint: "name a folder that is empty or not there yet: a scan makes a store and adds to none",
			}
		}
		parent = filepath.Dir(filepath.Clean(keep))
	}
	if s.dir, err = os.MkdirTemp(parent, ".debut-scan-*"); err != nil { // made with 0700
		return nil, &ExitError{Code: ExitUsage, Err: fmt.Errorf("make a folder for the store: %w", err), Hint: "is " + parent + " there and writable?"}
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if s.db, err = sqlite.Open(env.Context, s.dir, sqlite.Options{Program: "debut " + version}); err != nil {
		return nil, fmt.Errorf("make the store: %w", err)
	}
	if s.events, err = events.Open(events.Options{
		Dir: s.dir, DB: s.db, Catalogue: rules.catalogue, Enricher: enricher, Now: env.Now,
		Log: slog.New(slog.NewTextHandler(env.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}); err != nil {
		return nil, fmt.Errorf("make the event store: %w", err)
	}
	return s, nil
}

// close lets go of the store and removes the folder, unless it was kept.
func (s *scanStore) close() error {
	err := s.release()
	if s.dir != "" {
		err = errors.Join(err, os.RemoveAll(s.dir))
		s.dir = ""
	}
	return err
}

func (s *scanStore) release() error {
	var err error
	if s.events != nil {
		err = errors.Join(err, s.events.Close())
		s.events = nil
	}
	if s.db != nil {
		err = errors.Join(err, s.db.Close())
		s.db = nil
	}
	return err
}

// commit gives the folder its name.
func (s *scanStore) commit() error {
	if s.keep == "" {
		return s.close()
	}
	if err := s.release(); err != nil {
		return fmt.Errorf("close the store: %w", err)
	}
	_ = os.Remove(s.keep) // if it is there it is empty; what is wrong is told by the next step
	if err := os.Rename(s.dir, s.keep); err != nil {
		return fmt.Errorf("keep the store: %w", err)
	}
	s.dir = ""
	return nil
}

// each takes an event of a worker.
func (s *scanStore) each(worker int, e *pipeline.Each) error {
	s.mu.Lock()
	b := s.batches[worker]
	if b == nil {
		b = &scanBatch{hours: map[scanHour]*int64{}}
		s.batches[worker] = b
	}
	s.mu.Unlock()
	kind := byte(store.KindRecord)
	if e.Document {
		kind = store.KindDocument
	}
	b.raw = append(b.raw, e.Raw...)
	b.ends = append(b.ends, len(b.raw))
	b.frame.Records = append(b.frame.Records, store.Record{Kind: kind, Time: e.Time, ID: e.ID})
	h := scanHour{e.Account, e.Region, floorHour(e.Time)}
	n := b.hours[h]
	if n == nil { // the texts end with the event; a map takes those of the last key that is assigned
		n = new(int64)
		b.hours[scanHour{strings.Clone(h.account), strings.Clone(h.region), h.hour}] = n
	}
	*n++
	if len(b.raw) < scanFrame && len(b.ends) < scanRecords {
		return nil
	}
	return s.write(b)
}

func floorHour(t int64) int64 { return time.Unix(0, t).UTC().Truncate(time.Hour).Unix() }

// write appends what a worker has read.
func (s *scanStore) write(b *scanBatch) error {
	if len(b.ends) == 0 {
		return nil
	}
	from := 0
	for i, end := range b.ends {
		b.frame.Records[i].Raw = b.raw[from:end:end]
		from = end
	}
	b.frame.Meta = []byte(`{"source":"scan"}`)
	encoded, err := events.Encode(&b.frame)
	if err != nil {
		return fmt.Errorf("store what was read: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	ends, err := s.events.Append(s.env.Context, []store.Encoded{encoded})
	if err != nil {
		return fmt.Errorf("store what was read: %w", err)
	}
	s.end = ends[0]
	for h, n := range b.hours {
		if _, ok := s.hours[h]; ok || len(s.hours) < maxScanHours {
			s.hours[h] += *n
		}
	}
	clear(b.hours)
	b.frame.Records, b.raw, b.ends = b.frame.Records[:0], b.raw[:0], b.ends[:0]
	return nil
}

// fill ends the reading: the rest of the events, the ledger and the alerts are stored.
func (s *scanStore) fill(ctx context.Context, result *pipeline.Result, now time.Time) error {
	for _, b := range s.batches {
		if err := s.write(b); err != nil {
			return err
		}
	}
	err := s.db.Update(ctx, func(tx store.Tx) error {
		err := cmp.Or(store.PutFact(tx, store.FactCreated, now.UTC()), store.PutFact(tx, store.FactStart, now.UTC()),
			store.PutFact(tx, store.FactFolded, s.end), store.PutFact(tx, store.FactRemembered, s.end))
		for h, n := range s.hours {
			err = cmp.Or(err, store.AddHour(tx, &store.Hour{Account: h.account, Region: h.region, Hour: time.Unix(h.hour, 0).UTC(), Records: n}))
		}
		for _, h := range result.FailedHours() {
			err = cmp.Or(err, store.AddHour(tx, &store.Hour{Account: h.Account, Region: h.Region, Hour: h.Hour, Failed: 1}))
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("store what was read: %w", err)
	}
	if err := s.alerts(ctx, result, now); err != nil {
		return err
	}
	s.events.Folded(s.end)
	if err := s.events.Compact(ctx); err != nil {
		return fmt.Errorf("compact the stored events: %w", err)
	}
	return nil
}

// scanAlerts is how many alerts are stored in one transaction.
const scanAlerts = 500

// alerts stores the alerts.
func (s *scanStore) alerts(ctx context.Context, result *pipeline.Result, now time.Time) error {
	type row struct {
		alert *store.Alert
		doc   *store.AlertDocument
	}
	var batch []row
	flush := func() error {
		err := s.db.Update(ctx, func(tx store.Tx) error {
			for _, r := range batch {
				if err := cmp.Or(store.PutAlertDocument(tx, r.alert.Handle, r.doc), store.PutAlert(tx, r.alert)); err != nil {
					return err
				}
			}
			return nil
		})
		batch = batch[:0]
		if err != nil {
			return fmt.Errorf("store the alerts: %w", err)
		}
		return nil
	}
	zone := newZone(s.catalogue)
	for f, err := range result.Found() { //nolint:contextcheck // temporary files; ctx is asked at every commit
		if err != nil {
			return fmt.Errorf("read the findings: %w", err)
		}
		a := alert.New(f.Rule, &f.Signal, f.Event, f.Coverage, f.Cold)
		account, region := zone.of(f.Event)
		doc := &store.AlertDocument{Document: a.Document(now).AppendJSON(nil), Kind: store.KindRecord, Raw: slices.Clone(f.Raw)}
		if f.Document {
			doc.Kind = store.KindDocument
		}
		if batch = append(batch, row{storedAlert(a, &f, account, region, now.UTC()), doc}); len(batch) == scanAlerts {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// storedAlert is the row of an alert of a scan.
func storedAlert(a *alert.Alert, f *pipeline.Found, account, region string, now time.Time) *store.Alert {
	words := a.Summary()
	return &store.Alert{
		Handle: store.NewHandle(a.UUID, 0), UUID: a.UUID, RuleID: a.Rule.ID, RuleName: a.Name, Type: string(a.Rule.Type),
		Severity: a.Severity, RiskScore: a.RiskScore, Time: a.Time, Last: a.Last, Previous: a.Previous, Created: now, Updated: now,
		Principal: a.Principal, Account: account, Region: region, Who: words.Who, What: words.What, Where: words.Where,
		Status: store.Open, Withheld: a.Withheld, Cold: a.Cold, BuildingBlock: a.Rule.BuildingBlock,
		Count: f.Count, Distinct: f.Signal.Distinct, Suppressed: f.Suppressed, SuppressedEnd: f.SuppressedEnd,
		PrincipalID: f.Principal, Group: f.Group, EventID: f.ID, Content: f.Content, Conflict: f.Conflict,
	}
}
