package generate_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/generate"
)

// record is what a check reads of a record.
type record struct {
	EventTime    time.Time `json:"eventTime"`
	EventID      string    `json:"eventID"`
	EventSource  string    `json:"eventSource"`
	EventName    string    `json:"eventName"`
	ErrorCode    string    `json:"errorCode"`
	UserIdentity struct {
		Type           string `json:"type"`
		ARN            string `json:"arn"`
		AccountID      string `json:"accountId"`
		InvokedBy      string `json:"invokedBy"`
		SessionContext struct {
			SessionIssuer struct {
				ARN string `json:"arn"`
			} `json:"sessionIssuer"`
		} `json:"sessionContext"`
	} `json:"userIdentity"`
	ReadOnly         bool            `json:"readOnly"`
	ResponseElements json.RawMessage `json:"responseElements"`
	Recipient        string          `json:"recipientAccountId"`

	raw    json.RawMessage
	object int // where it stands
}

// principal is the stable principal.
func (r *record) principal() string {
	id := &r.UserIdentity
	return ecs.Principal(ecs.Identity{
		Type: id.Type, ARN: id.ARN, IssuerARN: id.SessionContext.SessionIssuer.ARN, Account: id.AccountID, InvokedBy: id.InvokedBy,
	})
}

// object is one object of a trail.
type object struct {
	key     string
	gz, raw int
	records []record
}

// trail makes a trail in a folder of the test's own.
func trail(tb testing.TB, cfg generate.Config) (string, generate.Summary) {
	tb.Helper()
	dir := filepath.Join(tb.TempDir(), "trail")
	sum, err := generate.Run(context.Background(), cfg, dir, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return dir, sum
}

// readObjects reads all objects of a trail, in the order of their names, and gives each to see.
func readObjects(tb testing.TB, dir string, see func(object)) {
	tb.Helper()
	n := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == generate.SideDir:
			return fs.SkipDir
		case d.IsDir(), strings.Contains(path, "CloudTrail-Digest"):
			return nil
		}
		gz, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		raw := inflate(tb, gz)
		var file struct{ Records []json.RawMessage }
		if err := json.Unmarshal(raw, &file); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		o := object{key: strings.TrimPrefix(filepath.ToSlash(path), filepath.ToSlash(dir)+"/"), gz: len(gz), raw: len(raw)}
		for _, raw := range file.Records {
			r := record{raw: raw, object: n}
			if err := json.Unmarshal(raw, &r); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			o.records = append(o.records, r)
		}
		n++
		see(o)
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
}

func inflate(tb testing.TB, gz []byte) []byte {
	tb.Helper()
	z, err := gzip.NewReader(bytes.NewReader(gz))
	if err != nil {
		tb.Fatal(err)
	}
	raw, err := io.ReadAll(z)
	if err != nil {
		tb.Fatal(err)
	}
	return raw
}

func readLines[T any](tb testing.TB, path string) []T {
	tb.Helper()
	f, err := os.Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	var lines []T
	for scan := bufio.NewScanner(f); scan.Scan(); {
		var line T
		d := json.NewDecoder(bytes.NewReader(scan.Bytes()))
		d.DisallowUnknownFields()
		if err := d.Decode(&line); err != nil {
			tb.Fatalf("%s: %v: %s", path, err, scan.Bytes())
		}
		lines = append(lines, line)
	}
	return lines
}

// sight is what a detector knows of a record.
type sight struct {
	At                             time.Time
	ID                             string
	Principal, ARN, Source, Action string
}

// replay is the slow, obvious reference: records in order of time, and when each key was
// last seen. It gives the records that a detector must alert on.
func replay(sights []sight, window time.Duration, key func(*sight) (string, bool)) []sight {
	last := map[string]time.Time{}
	var found []sight
	for i := range sights {
		s := &sights[i]
		k, ok := key(s)
		if !ok {
			continue
		}
		if before, known := last[k]; !known || s.At.Sub(before) > window {
			found = append(found, *s)
		}
		last[k] = s.At
	}
	return found
}

// planned gives the records that the truth says must alert in a check.
func planned(tb testing.TB, truth []generate.Verdict, check string) []sight {
	tb.Helper()
	var alerts []sight
	for i := range truth {
		if v := &truth[i]; v.Check == check && v.Alert {
			alerts = append(alerts, sight{parse(tb, v.EventTime), v.EventID, v.Principal, v.ARN, v.Provider, v.Action})
		}
	}
	return alerts
}

// checkTruth replays a trail against its truth.
func checkTruth(tb testing.TB, dir string, sum *generate.Summary) {
	tb.Helper()
	texts := map[string]string{}
	same := func(s string) string { // one copy of each text
		if _, ok := texts[s]; !ok {
			texts[s] = s
		}
		return texts[s]
	}
	var all, succeeded []sight
	readObjects(tb, dir, func(o object) {
		for i := range o.records {
			r := &o.records[i]
			s := sight{r.EventTime, r.EventID, same(r.principal()), same(r.UserIdentity.ARN), same(r.EventSource), same(r.EventName)}
			all = append(all, s)
			if r.ErrorCode == "" {
				succeeded = append(succeeded, s)
			}
		}
	})
	for _, list := range [][]sight{all, succeeded} {
		slices.SortFunc(list, func(a, b sight) int {
			if c := a.At.Compare(b.At); c != 0 {
				return c
			}
			return strings.Compare(a.ID, b.ID)
		})
	}
	truth := readLines[generate.Verdict](tb, sum.Truth)

	pairs := replay(all, sum.Config.Window, func(s *sight) (string, bool) {
		return s.Principal + " " + s.Source + " " + s.Action, true
	})
	if diff := cmp.Diff(planned(tb, truth, generate.CheckPairs), pairs); diff != "" {
		tb.Errorf("pairs: planned (-), replayed (+):\n%s", diff)
	}
	commands := replay(succeeded, 7*24*time.Hour, func(s *sight) (string, bool) {
		return s.ARN, s.ARN != "" && s.Source == "ssm.amazonaws.com" && s.Action == "SendCommand" &&
			!strings.Contains(s.ARN, "AWSServiceRoleForAmazonSSM/StateManagerService")
	})
	if diff := cmp.Diff(planned(tb, truth, generate.CheckSendCommand), commands); diff != "" {
		tb.Errorf("SendCommand: planned (-), replayed (+):\n%s", diff)
	}
	if len(pairs) == 0 || len(commands) == 0 {
		tb.Errorf("%d first sights of pairs and %d of SendCommand: nothing was checked", len(pairs), len(commands))
	}
	checkNamed(tb, truth, all)
	tb.Logf("%d records: %d alerts on pairs, %d on SendCommand, as planned in %d verdicts", len(all), len(pairs), len(commands), len(truth))
}

// checkNamed checks that each verdict names a record that is there, as it is.
func checkNamed(tb testing.TB, truth []generate.Verdict, all []sight) {
	tb.Helper()
	byID := map[string]*sight{}
	for i := range truth {
		byID[truth[i].EventID] = nil
	}
	for i := range all {
		if _, wanted := byID[all[i].ID]; wanted {
			byID[all[i].ID] = &all[i]
		}
	}
	for i := range truth {
		v := &truth[i]
		s := byID[v.EventID]
		if s == nil || *s != (sight{parse(tb, v.EventTime), v.EventID, v.Principal, v.ARN, v.Provider, v.Action}) {
			tb.Errorf("the truth says %+v, the trail %+v", *v, s)
		}
	}
}

func TestTruth(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*generate.Config){
		"default": func(c *generate.Config) { c.RecordsPerObject = 1000 }, // fewer files to make
		"slots":   func(c *generate.Config) { c.Records = 8000 },
		"long": func(c *generate.Config) {
			c.Records, c.Days, c.Accounts, c.Seed, c.RecordsPerObject = 20_000, 17, 3, 7, 500
		},
		"many": func(c *generate.Config) {
			c.Records, c.Accounts, c.Days, c.Overlay, c.Seed, c.RecordsPerObject = 20_000, 12, 2, 5, 3, 100
			c.Duplicates = generate.Duplicates{SecondTrail: 0.5, Repeat: 0.05, Redelivery: 0.05}
		},
		"idle": func(c *generate.Config) { c.Records, c.ServiceShare, c.RecordsPerObject = 20_000, 0.85, 100 },
		"data": func(c *generate.Config) { c.Records, c.DataShare, c.RecordsPerObject = 30_000, 0.69, 100 },
		"tiny": func(c *generate.Config) { c.Records = 1 },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := generate.Default(100_000, 42)
			cfg.Workers = 2
			change(&cfg)
			dir, sum := trail(t, cfg)
			checkTruth(t, dir, &sum)
		})
	}
}

// DEBUT_TRUTH=1000000 go test -run TestTruthLarge ./internal/generate.
func TestTruthLarge(t *testing.T) {
	t.Parallel()
	text := os.Getenv("DEBUT_TRUTH")
	if text == "" {
		t.Skip("set DEBUT_TRUTH to a number of records, such as 1000000")
	}
	var n int64
	if _, err := fmt.Sscan(text, &n); err != nil {
		t.Fatal(err)
	}
	cfg := generate.Default(n, 42)
	cfg.Workers, cfg.RecordsPerObject = 2, 1000
	dir, sum := trail(t, cfg)
	checkTruth(t, dir, &sum)
}
