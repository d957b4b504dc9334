//go:build unix

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/debutsec/debut/cloudtrail"
	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/enrich"
	"github.com/debutsec/debut/internal/store"
	"github.com/debutsec/debut/internal/store/events"
	"github.com/debutsec/debut/internal/store/sqlite"
	"github.com/debutsec/debut/kql"
	"github.com/debutsec/debut/query"
)

const (
	// storePasses is how often the trail is stored, each time as five later days.
	storePasses = 6
	// inLog is how many objects of the last pass are not made segments of.
	inLog = 5
)

// A question is what is asked of a store of events, as the triage of an alert asks it.
type question struct {
	name string
	kql  string // empty: sums by hour are asked for
	days int
	sums store.RollupQuery
}

// stored returns the folder of a store with thirty days of a generated trail.
func (b *bench) stored(ctx context.Context, cat *ecs.Catalogue) (string, error) {
	dir := filepath.Join(b.dir, "stored")
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	trail, err := b.generate(ctx, "month", b.records/storePasses, "--days", "5")
	if err != nil {
		return "", err
	}
	return dir, b.fill(ctx, dir, trail, cat)
}

// withStore opens the store for a while, and says what is in it.
func (b *bench) withStore(ctx context.Context, dir string, cat *ecs.Catalogue, do func(*sqlite.DB, *events.Store) error) error {
	db, s, err := openStore(ctx, dir, cat)
	if err != nil {
		return err
	}
	return errors.Join(do(db, s), s.Close(), db.Close())
}

func (b *bench) tellStore(s *events.Store) {
	st := s.Stats()
	b.printf("\nstore: %d events in %d segments, %d MB, and %d MB of sums by hour; %d in the log\n\n", st.SegmentRows, st.Segments, st.SegmentBytes/1e6, st.RollupBytes/1e6, st.LogRecords)
}

// questions measures what an alert's triage asks of thirty days of stored events.
func (b *bench) questions(ctx context.Context) error {
	cat := ecs.NewCatalogue()
	dir, err := b.stored(ctx, cat)
	if err != nil {
		return err
	}
	return b.withStore(ctx, dir, cat, func(_ *sqlite.DB, s *events.Store) error { return b.ask(ctx, s, cat) })
}

func (b *bench) ask(ctx context.Context, s *events.Store, cat *ecs.Catalogue) error {
	b.tellStore(s)
	last := s.Stats().Last
	list, err := triageQuestions(ctx, s, cat, last)
	if err != nil {
		return err
	}
	b.printf("| question | rows | median ms | CPU ms |\n|---|--:|--:|--:|\n")
	for _, q := range list {
		var took []time.Duration
		var rows int
		var used time.Duration
		for range b.rounds + 1 {
			began, before := time.Now(), cpuUsed() //nolint:forbidigo // it measures
			if rows, err = q.ask(ctx, s, cat, last); err != nil {
				return fmt.Errorf("%s: %w", q.name, err)
			}
			took, used = append(took, time.Since(began)), cpuUsed()-before
		}
		took = took[1:]
		slices.Sort(took)
		b.printf("| %s | %d | %.1f | %.1f |\n", q.name, rows, took[len(took)/2].Seconds()*1e3, used.Seconds()*1e3)
	}
	return nil
}

// fill makes a store of a trail, again and again as other, later events.
func (b *bench) fill(ctx context.Context, dir, trail string, cat *ecs.Catalogue) (err error) {
	list, err := bodies(trail, math.MaxInt)
	if err != nil {
		return err
	}
	db, s, err := openStore(ctx, dir, cat)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close(), db.Close()) }()
	var d cloudtrail.Decoder
	var buf []byte
	ev := cloudtrail.NewEvent(cat, nil)
	for n := range storePasses {
		for i := range list {
			buf = list[i].pass(n, buf)
			var records []store.Record
			if _, err := d.Decode(ctx, trail, bytes.NewReader(buf), cloudtrail.Visitor{Record: func(r *cloudtrail.Record) error {
				ev.Reset(r)
				records = append(records, store.Record{Kind: store.KindRecord, Time: ev.Time().UnixNano(), ID: ev.ID(), Raw: bytes.Clone(r.Raw())})
				return nil
			}}); err != nil {
				return err
			}
			e, err := events.Encode(&store.Frame{Records: records})
			if err != nil {
				return err
			}
			if _, err := s.Append(ctx, []store.Encoded{e}); err != nil {
				return err
			}
			s.Folded(s.End())
			// The last objects stay in the log, as those of the last hour do.
			if left := len(list) - 1 - i; i%100 == 99 || left == 0 && n < storePasses-1 || left == inLog && n == storePasses-1 {
				if err := s.Compact(ctx); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func openStore(ctx context.Context, dir string, cat *ecs.Catalogue) (*sqlite.DB, *events.Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, err
	}
	db, err := sqlite.Open(ctx, dir, sqlite.Options{Program: "bench"})
	if err != nil {
		return nil, nil, err
	}
	agents, err := enrich.New(enrich.Options{}) // there is nothing to close without databases
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	s, err := events.Open(events.Options{Dir: dir, DB: db, Catalogue: cat, Enricher: agents, Now: time.Now}) //nolint:contextcheck,forbidigo // it opens a store; it measures
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return db, s, nil
}

// triageQuestions asks about the caller of a stored SendCommand.
func triageQuestions(ctx context.Context, s *events.Store, cat *ecs.Catalogue, last time.Time) ([]question, error) {
	match, err := compile(cat, "event.action: SendCommand and user.name: * and aws.cloudtrail.user_identity.access_key_id: *")
	if err != nil {
		return nil, err
	}
	value := map[string]string{}
	for e, err := range s.Scan(ctx, store.Scan{To: last.Add(-36 * time.Hour), Match: match, Descending: true, Limit: 1}) {
		if err != nil {
			return nil, err
		}
		for _, name := range []string{
			"user.name", "debut.principal", "aws.cloudtrail.user_identity.arn", "source.ip",
			"aws.cloudtrail.user_identity.access_key_id", "event.id", "cloud.account.id",
		} {
			if v := e.Event.Values(cat.Resolve(name)); len(v) > 0 {
				value[name] = v[0]
			}
		}
	}
	if len(value) == 0 {
		return nil, errors.New("the trail has no SendCommand")
	}
	from := last.AddDate(0, 0, -30)
	list := []question{
		{name: "sums, 30 days, a principal", sums: store.RollupQuery{From: from, To: last, Principal: value["debut.principal"]}},
		{name: "sums, 30 days, an account", sums: store.RollupQuery{From: from, To: last, Account: value["cloud.account.id"]}},
		{name: "sums, 30 days, an action", sums: store.RollupQuery{From: from, To: last, Provider: "ssm.amazonaws.com", Action: "SendCommand"}},
		{name: "sums, 29 days, all", sums: store.RollupQuery{From: from, To: last.AddDate(0, 0, -1)}},
		{name: "sums, 30 days, nobody", sums: store.RollupQuery{From: from, To: last, Principal: "arn:aws:iam::111122223333:user/nobody"}},
	}
	for _, name := range []string{
		"user.name", "debut.principal", "aws.cloudtrail.user_identity.arn", "source.ip", "aws.cloudtrail.user_identity.access_key_id", "event.id",
	} {
		for _, days := range []int{1, 30} {
			list = append(list, question{name: fmt.Sprintf("events, %d days, `%s`", days, name), kql: fmt.Sprintf("%s: %q", name, value[name]), days: days})
		}
	}
	return append(list, question{name: "events, 30 days, an absent `event.id`", kql: `event.id: "00000000-0000-4000-8000-000000000000"`, days: 30}), nil
}

func compile(cat *ecs.Catalogue, src string) (query.Expr, error) {
	x, found := kql.CompileText(src, cat)
	if x == nil {
		return nil, found
	}
	return x, nil
}

// ask returns how many rows the answer has, at most ten thousand events. A day is 25
// hours, two days before the last event.
func (q *question) ask(ctx context.Context, s *events.Store, cat *ecs.Catalogue, last time.Time) (rows int, err error) {
	if q.kql == "" {
		for _, err := range s.Rollups(ctx, q.sums) {
			if err != nil {
				return rows, err
			}
			rows++
		}
		return rows, nil
	}
	match, err := compile(cat, q.kql)
	if err != nil {
		return 0, err
	}
	scan := store.Scan{Match: match, Descending: true, Limit: 10_000, From: last.AddDate(0, 0, -q.days), To: last.Add(1)}
	if q.days == 1 {
		scan.To = last.Add(-24 * time.Hour)
		scan.From = scan.To.Add(-25 * time.Hour)
	}
	for _, err := range s.Scan(ctx, scan) {
		if err != nil {
			return rows, err
		}
		rows++
	}
	return rows, nil
}
