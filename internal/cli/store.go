package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strconv"
	"time"

	"github.com/debutsec/debut/internal/daemon"
	"github.com/debutsec/debut/internal/report"
	"github.com/debutsec/debut/internal/store"
	"github.com/debutsec/debut/internal/store/events"
	"github.com/debutsec/debut/internal/store/sqlite"
)

// StoreCmd groups what there is to do with a data folder.
type StoreCmd struct {
	Check   StoreCheckCmd   `cmd:"" help:"Read everything that is stored and check it."`
	Stats   StoreStatsCmd   `cmd:"" help:"Show what is stored, and how much room it takes."`
	Compact StoreCompactCmd `cmd:"" help:"Compact the store now, while no server has it open."`
}

// dataFlag says where the store is that a command opens by itself.
type dataFlag struct {
	configFlag

	Data string `placeholder:"DIR" help:"Data folder, in place of the configuration's. A server may have it open."`
}

// folder is the data folder.
func (f dataFlag) folder(env *Env) (string, error) {
	if f.Data != "" {
		return f.Data, nil
	}
	cfg, err := f.load(env)
	if err != nil {
		return "", err
	}
	return cfg.DataDir, nil
}

// StoreCheckCmd checks a store.
type StoreCheckCmd struct{ dataFlag }

// Help is shown below the flags.
func (*StoreCheckCmd) Help() string {
	return `Reads every file and compares every checksum, parses every record and looks whether it is the one
that stands there. A server may have the store open; it reads as much as a disk gives.

Exit codes: 0 everything is as it was written, 1 something is damaged, 2 wrong usage.`
}

// Run implements the command.
func (c *StoreCheckCmd) Run(env *Env) (err error) {
	s, db, closeStore, err := openEvents(env, c.dataFlag, true, events.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeStore()) }()
	problems := 0
	if err := db.Check(env.Context); err != nil {
		if !errors.Is(err, store.ErrDamaged) {
			return err
		}
		problems++
		env.say("%s\n", report.Safe(err.Error()))
	}
	found, err := s.Check(env.Context)
	if err != nil {
		return fmt.Errorf("check the events: %w", err)
	}
	for _, p := range found.Problems {
		problems++
		text := p.Err.Error()
		if errors.Is(p.Err, fs.ErrNotExist) {
			text = "it is missing"
		}
		env.say("%s: %s\n", report.Safe(p.File), report.Safe(text))
	}
	text := fmt.Sprintf("checked  %s with %s; %s of the log with %s; the database\n",
		plural(int64(found.Segments), "segment", "segments"), plural(found.Rows, "event", "events"),
		plural(found.Frames, "frame", "frames"), plural(found.Records, "event", "events"))
	if err := write(env, []byte(text)); err != nil {
		return err
	}
	if problems > 0 {
		return &ExitError{
			Code: ExitFailed, Err: fmt.Errorf("%s found", plural(int64(problems), "problem", "problems")),
			Hint: "what is damaged is left out of searches, the rest is served; restore the named files from a backup, or read their days again with 'debut backfill'",
		}
	}
	return nil
}

// StoreStatsCmd shows what is in a store.
type StoreStatsCmd struct {
	dataFlag
	formatFlag
}

// storeStats is what the command prints as JSON.
type storeStats struct {
	Segments  int       `json:"segments"`
	Log       int       `json:"logFiles"`
	First     time.Time `json:"first,omitzero"` // time of an event
	Last      time.Time `json:"last,omitzero"`
	End       int64     `json:"end"` // offsets of the log
	Compacted int64     `json:"compacted"`
	Events    struct {
		Segments int64 `json:"segments"`
		Log      int64 `json:"log"`
	} `json:"events"`
	Bytes struct {
		Segments       int64 `json:"segments"`
		SegmentRecords int64 `json:"segmentRecords"` // of the records in them
		Sums           int64 `json:"sums"`
		Log            int64 `json:"log"`
		LogRecords     int64 `json:"logRecords"`
		Database       int64 `json:"database"`
	} `json:"bytes"`
	Tables map[string]int64 `json:"tables"` // rows
}

func newStoreStats(e *events.Stats, db *sqlite.Stats) *storeStats {
	st := &storeStats{Segments: e.Segments, Log: e.LogFiles, First: e.First, Last: e.Last, End: e.End, Compacted: e.Compacted}
	st.Events.Segments, st.Events.Log = e.SegmentRows, e.LogRecords
	st.Bytes.Segments, st.Bytes.SegmentRecords, st.Bytes.Sums = e.SegmentBytes, e.SegmentRaw, e.RollupBytes
	st.Bytes.Log, st.Bytes.LogRecords, st.Bytes.Database = e.LogBytes, e.LogRaw, db.Bytes
	st.Tables = make(map[string]int64, len(db.Tables))
	for _, t := range db.Tables {
		st.Tables[t.Name] = t.Rows
	}
	return st
}

// Run implements the command.
func (c *StoreStatsCmd) Run(env *Env) (err error) {
	s, db, closeStore, err := openEvents(env, c.dataFlag, true, events.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeStore()) }()
	e := s.Stats()
	d, err := db.Stats(env.Context)
	if err != nil {
		return fmt.Errorf("count what is in the database: %w", err)
	}
	if c.Format == "json" {
		return writeJSON(env, newStoreStats(&e, &d))
	}
	b, err := storeTable(env, &e, &d)
	if err != nil {
		return err
	}
	return write(env, b)
}

// storeTable is the statistics for people.
func storeTable(env *Env, e *events.Stats, d *sqlite.Stats) ([]byte, error) {
	rows := [][]string{
		{"", "FILES", "EVENTS", "BYTES", "OF RECORDS"},
		{"segments", strconv.Itoa(e.Segments), countText(e.SegmentRows), sizeText(e.SegmentBytes), sizeText(e.SegmentRaw)},
		{"sums by hour", "", "", sizeText(e.RollupBytes), ""},
		{"log", strconv.Itoa(e.LogFiles), countText(e.LogRecords), sizeText(e.LogBytes), sizeText(e.LogRaw)},
		{"database", "", "", sizeText(d.Bytes), ""},
	}
	var b bytes.Buffer
	if err := report.Columns(&b, rows, tableOptions(env)); err != nil {
		return nil, err
	}
	if !e.First.IsZero() {
		fmt.Fprintf(&b, "\nevents from %s to %s\n", e.First.Format(time.RFC3339), e.Last.Format(time.RFC3339))
	}
	if e.SegmentBytes > 0 {
		fmt.Fprintf(&b, "a segment takes 1/%.1f of its records\n", float64(e.SegmentRaw)/float64(e.SegmentBytes))
	}
	fmt.Fprintf(&b, "\n")
	tables := [][]string{{"TABLE", "ROWS", "BYTES"}}
	for _, t := range d.Tables {
		if t.Rows > 0 {
			tables = append(tables, []string{t.Name, countText(t.Rows), sizeText(t.Bytes)})
		}
	}
	if err := report.Columns(&b, tables, tableOptions(env)); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func countText(n int64) string { return strconv.FormatInt(n, 10) }

// sizeText is a number of bytes for people.
func sizeText(n int64) string {
	units := []string{"B", "kB", "MB", "GB", "TB"}
	v, i := float64(n), 0
	for v >= 999.5 && i < len(units)-1 {
		v, i = v/1000, i+1
	}
	if i == 0 || v >= 99.5 {
		return fmt.Sprintf("%.0f %s", v, units[i])
	}
	return fmt.Sprintf("%.1f %s", v, units[i])
}

// StoreCompactCmd compacts a store.
type StoreCompactCmd struct{ dataFlag }

// Help is shown below the flags.
func (*StoreCompactCmd) Help() string {
	return `Makes segments of the event log and merges small ones, as a server does by itself. Addresses are looked up
in the databases of the configuration (rules.geoip); with --data in none, unless --config is given too. What
was looked up before stays.`
}

// databases are those of the configuration. A folder that is named need not be its.
func (c *StoreCompactCmd) databases(env *Env) ([]string, error) {
	if c.Data != "" && c.Config == "" {
		return nil, nil
	}
	cfg, err := c.load(env)
	if err != nil {
		return nil, err
	}
	return cfg.Rules.GeoIP, nil
}

// Run implements the command.
func (c *StoreCompactCmd) Run(env *Env) (err error) {
	geoip, err := c.databases(env)
	if err != nil {
		return err
	}
	enricher, err := newEnricher(geoip) // the sums by hour tell user agents apart by their class
	if err != nil {
		return err
	}
	defer closeEnricher(env, enricher)
	s, db, closeStore, err := openEvents(env, c.dataFlag, false, events.Options{
		Enricher: enricher, Places: daemon.Places(geoip), Log: slog.New(slog.NewTextHandler(env.Stderr, nil)),
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeStore()) }()
	before := s.Stats()
	var folded int64
	if err := db.View(env.Context, func(tx store.Tx) error {
		_, err := store.Fact(tx, store.FactFolded, &folded)
		return err
	}); err != nil {
		return fmt.Errorf("read up to where the log is evaluated: %w", err)
	}
	s.Folded(folded)
	if err := s.Compact(env.Context); err != nil {
		return fmt.Errorf("compact the events: %w", err)
	}
	free := db.Size()
	if err := db.Compact(env.Context); err != nil {
		return fmt.Errorf("compact the database: %w", err)
	}
	after := s.Stats()
	text := fmt.Sprintf("events    %s in %s of %s and %s of the log; before, %s and %s of the log\ndatabase  %s; before, %s\n",
		plural(after.SegmentRows, "event", "events"), plural(int64(after.Segments), "segment", "segments"), sizeText(after.SegmentBytes), sizeText(after.LogBytes),
		sizeText(before.SegmentBytes), sizeText(before.LogBytes), sizeText(db.Size()), sizeText(free))
	if folded < after.End {
		env.say("the last events of the log are not evaluated yet: their log stays until 'debut serve' has done that\n")
	}
	return write(env, []byte(text))
}
