package events

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/gob"
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"io/fs"
	"iter"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/store"
)

func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "rapid.checks" })
	if !given { // each check works on files
		_ = flag.Set("rapid.checks", "20")
	}
	goleak.VerifyTestMain(m)
}

// memDB is a store.DB in memory. Like a real one it outlives the event store.
type memDB struct {
	mu     sync.Mutex
	tables [store.NumTables]map[string][]byte
	fail   error // of the next updates
}

func (db *memDB) View(_ context.Context, f func(store.Tx) error) error {
	db.mu.Lock()
	defer db.mu.Unlock()
	return f(&memTx{db: db})
}

func (db *memDB) Update(_ context.Context, f func(store.Tx) error) error {
	db.mu.Lock()
	defer db.mu.Unlock()
	var before [store.NumTables]map[string][]byte
	for i, t := range db.tables {
		before[i] = maps.Clone(t)
	}
	err := f(&memTx{db: db, write: true})
	if err == nil {
		err = db.fail
	}
	if err != nil {
		db.tables = before
	}
	return err
}

func (db *memDB) Close() error { return nil }

type memTx struct {
	db    *memDB
	write bool
}

func (tx *memTx) Get(t store.Table, key []byte) ([]byte, error) {
	return bytes.Clone(tx.db.tables[t][string(key)]), nil
}

func (tx *memTx) Put(t store.Table, key, value []byte) error {
	if !tx.write {
		return store.ErrReadOnly
	}
	if tx.db.tables[t] == nil {
		tx.db.tables[t] = map[string][]byte{}
	}
	tx.db.tables[t][string(key)] = bytes.Clone(value)
	return nil
}

func (tx *memTx) Delete(t store.Table, key []byte) error {
	if !tx.write {
		return store.ErrReadOnly
	}
	delete(tx.db.tables[t], string(key))
	return nil
}

func (tx *memTx) Range(t store.Table, from, to []byte) iter.Seq2[store.Pair, error] {
	m := maps.Clone(tx.db.tables[t])
	return func(yield func(store.Pair, error) bool) {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			if k >= string(from) && (to == nil || k < string(to)) && !yield(store.Pair{Key: []byte(k), Value: bytes.Clone(m[k])}, nil) {
				return
			}
		}
	}
}

func (tx *memTx) Reverse(store.Table, []byte, []byte) iter.Seq2[store.Pair, error] {
	panic("not needed")
}

// start is the time of the first record of tests.
var start = time.Date(2025, 1, 6, 8, 0, 0, 0, time.UTC)

// record makes a record whose event is the nth.
func record(n int, t time.Time, extra string) store.Record {
	id := fmt.Sprintf("00000000-0000-4000-8000-%012d", n)
	raw := fmt.Sprintf(`{"eventVersion":"1.11","userIdentity":{"type":"IAMUser","arn":"arn:aws:iam::111122223333:user/u%d",`+
		`"accountId":"111122223333","userName":"u%d"},"eventTime":"%s","eventSource":"ssm.amazonaws.com","eventName":"Action%d",`+
		`"awsRegion":"eu-west-1","sourceIPAddress":"198.18.0.%d","eventID":"%s","recipientAccountId":"111122223333"%s}`,
		n%7, n%7, t.Format(time.RFC3339), n%5, n%250, id, extra)
	return store.Record{Kind: store.KindRecord, Time: t.UnixNano(), ID: ecs.HashID("111122223333", id), Raw: []byte(raw)}
}

func records(from, n int) []store.Record {
	list := make([]store.Record, n)
	for i := range list {
		list[i] = record(from+i, start.Add(time.Duration(from+i)*time.Second), "")
	}
	return list
}

func encode(t testing.TB, records ...store.Record) store.Encoded {
	t.Helper()
	e, err := Encode(&store.Frame{Meta: []byte("from a test"), Records: records})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// logLines takes what a store tells.
type logLines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *logLines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func options(dir string, db store.DB) Options {
	return Options{Dir: dir, DB: db, Now: func() time.Time { return start.Add(24 * time.Hour) }}
}

func open(t testing.TB, opt Options) *Store {
	t.Helper()
	s, err := Open(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func add(t testing.TB, s *Store, frames ...store.Encoded) []int64 {
	t.Helper()
	ends, err := s.Append(t.Context(), frames)
	if err != nil {
		t.Fatal(err)
	}
	return ends
}

// scanned returns the text of all events of a scan.
func scanned(t testing.TB, s *Store, q store.Scan) []string {
	t.Helper()
	out := []string{}
	for e, err := range s.Scan(t.Context(), q) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(e.Raw))
	}
	return out
}

// replayed returns the text of all records of the log.
func replayed(t testing.TB, s *Store, from int64) []string {
	t.Helper()
	out := []string{}
	for f, err := range s.Replay(t.Context(), from) {
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range f.Records {
			out = append(out, string(r.Raw))
		}
	}
	return out
}

func texts(records []store.Record) []string {
	out := []string{}
	for _, r := range records {
		out = append(out, string(r.Raw))
	}
	return out
}

// byKey sorts records as a scan yields them.
func byKey(list []store.Record) []store.Record {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b store.Record) int { return compareKeys(a.Time, &a.ID, b.Time, &b.ID) })
	return list
}

var errInjected = errors.New("injected")

// calmDisk is a disk without syncs: tests that only ask for the result are faster.
type calmDisk struct{ osDisk }

type calmFile struct{ file }

func (calmFile) Sync() error          { return nil }
func (calmDisk) SyncDir(string) error { return nil }
func (d calmDisk) Create(name string) (file, error) {
	f, err := d.osDisk.Create(name)
	return calmFile{f}, err
}

func (d calmDisk) Open(name string, reads bool) (file, error) {
	f, err := d.osDisk.Open(name, reads)
	return calmFile{f}, err
}

// resum corrects the checksum of a log file's header.
func resum(b []byte) []byte {
	binary.LittleEndian.PutUint32(b[24:], crc32.Checksum(b[:24], castagnoli))
	return b
}

// fileDB is a memDB that survives its process: each update replaces a file. (Not of JSON:
// keys are no text.)
type fileDB struct {
	memDB

	path string
}

func openFileDB(dir string) (*fileDB, error) {
	db := &fileDB{path: filepath.Join(dir, "db")}
	b, err := os.ReadFile(db.path)
	if errors.Is(err, fs.ErrNotExist) {
		return db, nil
	}
	if err != nil {
		return nil, err
	}
	return db, gob.NewDecoder(bytes.NewReader(b)).Decode(&db.tables)
}

func (db *fileDB) Update(ctx context.Context, f func(store.Tx) error) error {
	if err := db.memDB.Update(ctx, f); err != nil {
		return err
	}
	var b bytes.Buffer
	err := gob.NewEncoder(&b).Encode(db.tables)
	if err == nil {
		err = os.WriteFile(db.path+".new", b.Bytes(), 0o600)
	}
	if err != nil {
		return err
	}
	return os.Rename(db.path+".new", db.path)
}
