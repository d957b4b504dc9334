package generate_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/debutsec/debut/cloudtrail"
	"github.com/debutsec/debut/internal/generate"
	"github.com/debutsec/debut/internal/source/files"
)

// tree gives the hash of every file of a folder.
func tree(tb testing.TB, dir string) map[string]string {
	tb.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		sum := sha256.Sum256(b)
		all[strings.TrimPrefix(path, dir)] = hex.EncodeToString(sum[:])
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return all
}

func TestWorkersChangeNothing(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*generate.Config){
		"slots":  func(*generate.Config) {},
		"packed": func(c *generate.Config) { c.RecordsPerObject = 50 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := generate.Default(4000, 9)
			cfg.Accounts, cfg.Days, cfg.Digests, cfg.DataShare = 5, 1, true, 0.2
			change(&cfg)
			cfg.Workers = 1
			one, _ := trail(t, cfg)
			cfg.Workers = 7
			seven, _ := trail(t, cfg)
			if diff := cmp.Diff(tree(t, one), tree(t, seven)); diff != "" {
				t.Errorf("one worker (-), seven (+):\n%s", diff)
			}
			cfg.Seed++
			other, _ := trail(t, cfg)
			a, b := tree(t, one), tree(t, other)
			for path := range a {
				if _, same := b[path]; same && strings.HasSuffix(path, ".gz") {
					t.Errorf("%s is there with another seed too", path)
				}
			}
		})
	}
}

// TestPackingKeepsRecords checks that the same records lie in large objects as in slots.
func TestPackingKeepsRecords(t *testing.T) {
	t.Parallel()
	records := func(perObject int) []string {
		cfg := generate.Default(1500, 5)
		cfg.Accounts, cfg.RecordsPerObject, cfg.DataShare = 2, perObject, 0.1
		cfg.Duplicates = generate.Duplicates{SecondTrail: 0.5, Repeat: 0.01}
		dir, sum := trail(t, cfg)
		var all []string
		readObjects(t, dir, func(o object) {
			ids := map[string]bool{}
			for i := range o.records {
				all = append(all, string(o.records[i].raw))
				if ids[o.records[i].EventID] {
					t.Errorf("%s holds %s twice", o.key, o.records[i].EventID)
				}
				ids[o.records[i].EventID] = true
			}
			if perObject > 0 && len(o.records) > perObject {
				t.Fatalf("%s holds %d records", o.key, len(o.records))
			}
			if _, ok := cloudtrail.ParseKey(o.key); ok == (perObject > 0) {
				t.Errorf("%s: a name like CloudTrail's, by whose day objects are left out: %t", o.key, ok)
			}
		})
		if int64(len(all)) != sum.Records {
			t.Errorf("%d records were counted, %d are there", sum.Records, len(all))
		}
		slices.Sort(all)
		return all
	}
	slots := records(0)
	for _, n := range []int{1, 7, 1000} {
		if !slices.Equal(slots, records(n)) {
			t.Errorf("with %d in an object the records are others", n)
		}
	}
}

// TestDuplicates checks that copies are the same bytes in another object, and counted.
func TestDuplicates(t *testing.T) {
	t.Parallel()
	cfg := generate.Default(3000, 11)
	cfg.Accounts = 4
	cfg.Duplicates = generate.Duplicates{SecondTrail: 0.25, Repeat: 0.01, Redelivery: 0.2}
	dir, sum := trail(t, cfg)
	type first struct {
		raw    string
		object int
	}
	seen := map[string]first{}
	var again int64
	byAccount := map[string]int{}
	readObjects(t, dir, func(o object) {
		for i := range o.records {
			r := &o.records[i]
			f, ok := seen[r.EventID]
			switch {
			case !ok:
				seen[r.EventID] = first{string(r.raw), r.object}
			case f.raw != string(r.raw):
				t.Errorf("two records with eventID %s differ", r.EventID)
			case f.object == r.object:
				t.Errorf("%s holds %s twice", o.key, r.EventID)
			default:
				again++
				byAccount[r.Recipient]++
			}
		}
	})
	if again != sum.Duplicates || again == 0 {
		t.Errorf("%d duplicates were counted, %d are there", sum.Duplicates, again)
	}
	if len(byAccount) != 4 {
		t.Errorf("duplicates in %d accounts, want all four", len(byAccount))
	}
	lines := readLines[arrivalLine](t, filepath.Join(dir, generate.SideDir, generate.ArrivalsFile))
	if n := int64(len(lines)); n < sum.Objects*11/10 || n > sum.Objects*13/10 {
		t.Errorf("%d arrivals of %d objects, a fifth of which come twice", n, sum.Objects)
	}
}

// keyOrder is how CloudTrail orders a record's members.
var keyOrder = strings.Fields(`eventVersion userIdentity eventTime eventSource eventName awsRegion sourceIPAddress userAgent errorCode
	errorMessage requestParameters responseElements additionalEventData requestID eventID readOnly resources eventType managementEvent
	recipientAccountId sharedEventID eventCategory tlsDetails`)

// TestRecords checks every record's JSON, its members' names and order, and that the
// trail's own reader takes it without a remark.
func TestRecords(t *testing.T) {
	t.Parallel()
	cfg := generate.Default(6000, 3)
	cfg.DataShare, cfg.Overlay = 0.1, 3
	dir, sum := trail(t, cfg)
	rank := map[string]int{}
	for i, k := range keyOrder {
		rank[k] = i
	}
	have := map[string]bool{}
	readObjects(t, dir, func(o object) {
		for i := range o.records {
			keys := members(t, o.records[i].raw)
			for j, k := range keys {
				have[k] = true
				if _, known := rank[k]; !known || j > 0 && rank[keys[j-1]] >= rank[k] {
					t.Fatalf("members of %s are not in order: %v", o.records[i].EventID, keys)
				}
			}
		}
	})
	if len(have) != len(keyOrder) {
		t.Errorf("only %v were written", have)
	}
	var dec cloudtrail.Decoder
	dec.Strict = true
	var n int64
	err := filepath.WalkDir(filepath.Join(dir, "AWSLogs"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		_, err = dec.Decode(context.Background(), path, f, cloudtrail.Visitor{
			Record:  func(*cloudtrail.Record) error { n++; return nil },
			Problem: func(p cloudtrail.Problem) error { t.Errorf("%s: %s", p.Input, p.Message); return nil },
		})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if n != sum.Records {
		t.Errorf("%d records were read, %d were written", n, sum.Records)
	}
}

// members gives the names of an object's members in order. A name that stands twice in
// any object below fails the test.
func members(tb testing.TB, raw []byte) []string {
	tb.Helper()
	d := json.NewDecoder(bytes.NewReader(raw))
	var walk func() []string
	walk = func() []string {
		token, err := d.Token()
		if err != nil {
			tb.Fatal(err)
		}
		var names []string
		switch token {
		case json.Delim('{'):
			for d.More() {
				name, err := d.Token()
				if err != nil {
					tb.Fatal(err)
				}
				if slices.Contains(names, name.(string)) {
					tb.Fatalf("%s twice in %s", name, raw)
				}
				names = append(names, name.(string))
				walk()
			}
		case json.Delim('['):
			for d.More() {
				walk()
			}
		default:
			return nil
		}
		if _, err := d.Token(); err != nil {
			tb.Fatal(err)
		}
		return names
	}
	return walk()
}

// TestScannable checks that a scan of the folder reads the objects and nothing else.
func TestScannable(t *testing.T) {
	t.Parallel()
	cfg := generate.Default(3000, 1)
	cfg.Digests = true
	dir, sum := trail(t, cfg)
	walk := files.New(files.Options{})
	var n int64
	for o, err := range walk.Objects(context.Background(), []string{dir}) {
		if err != nil {
			t.Fatal(err)
		}
		key, ok := cloudtrail.ParseKey(o.Name)
		if !ok || key.Kind != "CloudTrail" || !strings.HasPrefix(key.Org, "o-") {
			t.Errorf("%s is not named as an object of an organisation's trail", o.Name)
		}
		n++
	}
	if n != sum.Objects {
		t.Errorf("%d objects were found, %d written", n, sum.Objects)
	}
	if got := walk.Skipped()[files.Hidden]; got != 1 {
		t.Errorf("%d hidden entries, want 1", got)
	}
	if got := walk.Skipped()[files.Digest]; got == 0 {
		t.Error("no digest files were met")
	}
}

func TestArrivals(t *testing.T) {
	t.Parallel()
	for _, perObject := range []int{0, 200} {
		cfg := generate.Default(6000, 2)
		cfg.Accounts, cfg.RecordsPerObject = 5, perObject
		cfg.Duplicates = generate.Duplicates{SecondTrail: 0.2, Redelivery: 0.01}
		dir, sum := trail(t, cfg)
		lines := readLines[arrivalLine](t, filepath.Join(dir, generate.SideDir, generate.ArrivalsFile))
		if !slices.IsSortedFunc(lines, func(a, b arrivalLine) int { return a.Arrival.Compare(b.Arrival) }) {
			t.Error("arrivals are not in order")
		}
		counts := generate.Counts{Duplicates: sum.Duplicates}
		announced := map[string]bool{}
		for _, l := range lines {
			if announced[l.Key] {
				continue
			}
			announced[l.Key] = true
			counts.Objects++
			gz, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(l.Key)))
			if err != nil {
				t.Fatal(err)
			}
			hash := sha256.Sum256(gz)
			if len(gz) != l.Bytes || hex.EncodeToString(hash[:]) != l.SHA256 {
				t.Errorf("%s is not what the arrivals say", l.Key)
			}
			counts.Records, counts.Raw, counts.Bytes = counts.Records+int64(l.Records), counts.Raw+int64(l.Raw), counts.Bytes+int64(l.Bytes)
		}
		if diff := cmp.Diff(sum.Counts, counts); diff != "" {
			t.Errorf("summary (-), arrivals (+):\n%s", diff)
		}
		if perObject == 0 {
			checkTruthArrivals(t, dir, &sum, lines)
		}
	}
}

// checkTruthArrivals checks that a verdict's arrival is that of the first object with
// its record.
func checkTruthArrivals(t *testing.T, dir string, sum *generate.Summary, lines []arrivalLine) {
	t.Helper()
	byKey, byID := map[string]time.Time{}, map[string]time.Time{}
	for _, l := range slices.Backward(lines) {
		byKey[l.Key] = l.Arrival
	}
	readObjects(t, dir, func(o object) {
		for i := range o.records {
			id := o.records[i].EventID
			if at, known := byID[id]; !known || byKey[o.key].Before(at) {
				byID[id] = byKey[o.key]
			}
		}
	})
	for _, v := range readLines[generate.Verdict](t, sum.Truth) {
		if at := byID[v.EventID]; !at.Equal(parse(t, v.Arrival)) {
			t.Errorf("%s arrives at %s, the truth says %s", v.EventID, at, v.Arrival)
		}
	}
}

// digest is what the test reads of a digest file.
type digest struct {
	DigestStartTime, DigestEndTime, DigestS3Object, PreviousDigestS3Object, PreviousDigestHashValue string
	PreviousDigestSignature, DigestPublicKeyFingerprint                                             string
	LogFiles                                                                                        []struct{ S3Object, HashValue string }
}

func TestDigests(t *testing.T) {
	t.Parallel()
	cfg := generate.Default(5000, 2)
	cfg.Accounts, cfg.Digests = 2, true
	dir, sum := trail(t, cfg)
	signatures := map[string]string{}
	for _, l := range readLines[struct{ Arrival, Key, Signature string }](t, filepath.Join(dir, generate.SideDir, generate.DigestsFile)) {
		signatures[l.Key] = l.Signature
	}
	fingerprint, public := publicKey(t, dir)
	chains := map[string][]digest{} // by account and region
	hashes := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.Contains(path, "CloudTrail-Digest") {
			return err
		}
		gz, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		raw := inflate(t, gz)
		var one digest
		if err := json.Unmarshal(raw, &one); err != nil {
			return err
		}
		if !strings.HasSuffix(filepath.ToSlash(path), one.DigestS3Object) {
			t.Errorf("%s says it is %s", path, one.DigestS3Object)
		}
		key, ok := cloudtrail.ParseKey(path)
		if !ok || !key.Digest() {
			t.Errorf("%s is not named as a digest", path)
		}
		hash := sha256.Sum256(raw)
		hashes[one.DigestS3Object] = hex.EncodeToString(hash[:])
		before := one.PreviousDigestSignature
		if before == "" {
			before = "null"
		}
		sig, err := hex.DecodeString(signatures[one.DigestS3Object])
		if err != nil {
			return err
		}
		signed := sha256.Sum256(fmt.Appendf(nil, "%s\ndebut-generated-trail/%s\n%x\n%s", one.DigestEndTime, one.DigestS3Object, hash, before))
		if err := rsa.VerifyPKCS1v15(public, crypto.SHA256, signed[:], sig); err != nil || one.DigestPublicKeyFingerprint != fingerprint {
			t.Errorf("signature of %s: %v", path, err)
		}
		chains[key.Account+key.Region] = append(chains[key.Account+key.Region], one)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(chains) != 4 {
		t.Errorf("%d chains, want one for each of two accounts and two regions", len(chains))
	}
	var objects int64
	for _, chain := range chains {
		slices.SortFunc(chain, func(a, b digest) int { return strings.Compare(a.DigestStartTime, b.DigestStartTime) })
		if want := sum.Config.Days*24 + 1; len(chain) != want {
			t.Errorf("%d digests, want %d", len(chain), want)
		}
		var before digest
		for _, d := range chain {
			if d.PreviousDigestS3Object != before.DigestS3Object || d.PreviousDigestHashValue != hashes[before.DigestS3Object] ||
				d.PreviousDigestSignature != signatures[before.DigestS3Object] ||
				before.DigestEndTime != "" && d.DigestStartTime != before.DigestEndTime {
				t.Errorf("%s does not follow %s", d.DigestS3Object, before.DigestS3Object)
			}
			for _, l := range d.LogFiles {
				objects++
				gz, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(l.S3Object)))
				if err != nil {
					t.Fatal(err)
				}
				hash := sha256.Sum256(inflate(t, gz))
				if hex.EncodeToString(hash[:]) != l.HashValue {
					t.Errorf("%s has another hash than %s says", l.S3Object, d.DigestS3Object)
				}
			}
			before = d
		}
	}
	if objects != sum.Objects {
		t.Errorf("digests name %d objects, %d were written", objects, sum.Objects)
	}
}

// publicKey reads the key that digests are checked with.
func publicKey(t *testing.T, dir string) (string, *rsa.PublicKey) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, generate.SideDir, generate.KeysFile))
	if err != nil {
		t.Fatal(err)
	}
	var list struct {
		PublicKeyList []struct {
			Value       []byte
			Fingerprint string
		}
	}
	if err := json.Unmarshal(b, &list); err != nil || len(list.PublicKeyList) != 1 {
		t.Fatalf("%v, %v", list, err)
	}
	key, err := x509.ParsePKCS1PublicKey(list.PublicKeyList[0].Value)
	if err != nil {
		t.Fatal(err)
	}
	return list.PublicKeyList[0].Fingerprint, key
}

func TestFolderMustBeEmpty(t *testing.T) {
	t.Parallel()
	dir, _ := trail(t, generate.Default(100, 1))
	again := func() string {
		_, err := generate.Run(context.Background(), generate.Default(100, 1), dir, nil)
		if !errors.Is(err, generate.ErrNotEmpty) {
			t.Fatalf("got %v, want ErrNotEmpty", err)
		}
		return err.Error()
	}
	if got := again(); !strings.Contains(got, "holds a generated trail") {
		t.Error(got)
	}
	if err := os.Remove(filepath.Join(dir, generate.SideDir, generate.ParamsFile)); err != nil {
		t.Fatal(err)
	}
	if got := again(); !strings.Contains(got, "not finished") {
		t.Error(got)
	}
	if err := os.RemoveAll(filepath.Join(dir, generate.SideDir)); err != nil {
		t.Fatal(err)
	}
	if got := again(); !strings.Contains(got, "choose another one") {
		t.Error(got)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := generate.Run(context.Background(), generate.Default(100, 1), file, nil); err == nil {
		t.Error("a file was taken for a folder")
	}
}

func TestInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	dir := filepath.Join(t.TempDir(), "trail")
	_, err := generate.Run(ctx, generate.Default(20_000, 1), dir, func(c generate.Counts) {
		if c.Objects == 50 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, generate.SideDir, generate.ParamsFile)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an interrupted run wrote its parameters: %v", err)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*generate.Config){
		"0 records":          func(c *generate.Config) { c.Records = 0 },
		"-1 days":            func(c *generate.Config) { c.Days = -1 },
		"100000 accounts":    func(c *generate.Config) { c.Accounts = 100_000 },
		"a window of 1h":     func(c *generate.Config) { c.Window = time.Hour },
		"a window of 6h0m0.": func(c *generate.Config) { c.Window = 6*time.Hour + time.Millisecond },
		"data events":        func(c *generate.Config) { c.DataShare = 1 },
		"in an object":       func(c *generate.Config) { c.RecordsPerObject = -1 },
		"duplicates":         func(c *generate.Config) { c.Duplicates.Repeat = 2 },
		"whole second":       func(c *generate.Config) { c.Start = time.Unix(0, 1) },
	} {
		cfg := generate.Default(100, 1)
		change(&cfg)
		dir := filepath.Join(t.TempDir(), "trail")
		_, err := generate.Run(context.Background(), cfg, dir, nil)
		if !errors.Is(err, generate.ErrConfig) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v", name, err)
		}
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: the folder was made", name)
		}
	}
}
