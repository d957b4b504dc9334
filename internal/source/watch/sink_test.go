package watch_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/debutsec/debut/cloudtrail"
	"github.com/debutsec/debut/internal/source"
	"github.com/debutsec/debut/internal/source/watch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A sink is a store that outlives the sources that deliver to it.
type sink struct {
	mu        sync.Mutex
	objects   map[source.Object]bool
	positions map[string]string
	events    map[string]int // how often each was read
	names     []string       // of deliveries, in order
	keys      map[string]string
	failed    map[source.Object]string
	trouble   string
	problems  []string
	err       error         // of every outcome
	left      int           // operations until it dies, if positive
	died      chan struct{} // closed then
	arrived   chan string   // if not nil, gets the ids of events
}

var errDead = errors.New("the sink is dead")

func newSink() *sink {
	return &sink{
		objects: map[source.Object]bool{}, positions: map[string]string{}, events: map[string]int{},
		failed: map[source.Object]string{}, keys: map[string]string{},
	}
}

// step counts an operation; false: the sink is dead.
func (s *sink) step() bool {
	if s.left < 0 {
		return false
	}
	if s.left > 0 {
		if s.left--; s.left == 0 {
			s.left = -1
			close(s.died)
			return false
		}
	}
	return true
}

// die has the sink die after so many operations.
func (s *sink) die(after int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left, s.died = after, make(chan struct{})
}

func (s *sink) revive() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left, s.died = 0, nil
}

func (s *sink) Deliver(ctx context.Context, d source.Delivery) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.step() {
		d.Done(source.Outcome{Err: context.Canceled})
		return nil
	}
	out := source.Outcome{Err: s.err}
	if s.err == nil {
		out = s.read(ctx, d)
	}
	if !s.step() { // it was stored, and nobody is told
		out = source.Outcome{Err: context.Canceled}
	}
	d.Done(out)
	return nil
}

func (s *sink) read(ctx context.Context, d source.Delivery) source.Outcome {
	if s.objects[*d.Object] {
		return source.Outcome{Seen: true}
	}
	rc, err := d.Open(ctx)
	if err != nil {
		return source.Outcome{Err: err}
	}
	defer func() { _ = rc.Close() }()
	var ids []string
	var problems []string
	in := &keepError{r: rc}
	var dec cloudtrail.Decoder
	var out source.Outcome
	out.Summary, out.Err = dec.Decode(ctx, d.Name, in, cloudtrail.Visitor{
		Record: func(r *cloudtrail.Record) error {
			ids = append(ids, strings.Clone(r.Text(cloudtrail.EventID)))
			return nil
		},
		Problem: func(p cloudtrail.Problem) error {
			problems = append(problems, p.Code)
			return nil
		},
	})
	if out.Err == nil {
		out.Err = in.err
	}
	if out.Err != nil {
		return out
	}
	s.names = append(s.names, d.Name)
	s.objects[*d.Object] = true
	delete(s.failed, *d.Object)
	if d.Key != nil {
		s.keys[d.Name] = d.Key.Account + " " + d.Key.Region
	}
	s.problems = append(s.problems, problems...)
	for _, id := range ids {
		s.events[id]++
		if s.arrived != nil {
			s.arrived <- id
		}
	}
	return out
}

type keepError struct {
	r   interface{ Read([]byte) (int, error) }
	err error
}

func (k *keepError) Read(p []byte) (int, error) {
	n, err := k.r.Read(p)
	if err != nil && err.Error() != "EOF" {
		k.err = err
	}
	return n, err
}

func (s *sink) Has(_ context.Context, o source.Object) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.step() {
		return false, errDead
	}
	return s.objects[o], nil
}

func (s *sink) Expect(context.Context, []source.Expected) error { return nil }

func (s *sink) Fail(_ context.Context, o source.Object, _ *cloudtrail.Key, reason string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.step() {
		return errDead
	}
	s.failed[o] = reason
	return nil
}

func (s *sink) Position(_ context.Context, src, name string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.step() {
		return nil, errDead
	}
	if v, ok := s.positions[src+"\x00"+name]; ok {
		return []byte(v), nil
	}
	return nil, nil
}

func (s *sink) SetPositions(_ context.Context, src string, values map[string][]byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.step() {
		return errDead
	}
	for name, value := range values {
		s.positions[src+"\x00"+name] = string(value)
	}
	return nil
}

func (s *sink) Trouble(_ string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trouble = ""
	if err != nil {
		s.trouble = err.Error()
	}
}

// got returns the events that were read, "id×n" for those that were read n times.
func (s *sink) got() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := []string{}
	for id, n := range s.events {
		if n > 1 {
			id = fmt.Sprintf("%s×%d", id, n)
		}
		out = append(out, id)
	}
	sort.Strings(out)
	return out
}

func (s *sink) deliveries() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.names)
}

func (s *sink) troubled() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.trouble
}

// damage returns the codes of what was wrong in what was read.
func (s *sink) damage() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.problems)
}

func (s *sink) failures() map[source.Object]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.failed)
}

func (s *sink) key(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys[name]
}

// refuse makes every outcome an error.
func (s *sink) refuse(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// A folder is a folder under watch, in a bubble of synctest: time passes when the test
// says so.
type folder struct {
	t    *testing.T
	dir  string
	sink *sink
	opt  watch.Options

	cancel context.CancelFunc
	ended  chan error
}

// inFolder runs f beside a source that reads an empty folder.
func inFolder(t *testing.T, opt watch.Options, f func(*folder)) {
	t.Helper()
	dir := t.TempDir()
	if path, err := filepath.EvalSymlinks(dir); err == nil {
		dir = path
	}
	synctest.Test(t, func(t *testing.T) {
		opt.Dir, opt.Now = filepath.Join(dir, "in"), time.Now
		if err := os.Mkdir(opt.Dir, 0o700); err != nil {
			t.Fatal(err)
		}
		w := &folder{t: t, dir: opt.Dir, sink: newSink(), opt: opt.WithoutHints()}
		w.start()
		defer w.stop()
		f(w)
	})
}

func (w *folder) start() {
	s, err := watch.New(w.opt)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel, w.ended = cancel, make(chan error, 1)
	go func() { w.ended <- s.Run(ctx, w.sink) }()
	synctest.Wait()
}

func (w *folder) stop() {
	w.cancel()
	if err := <-w.ended; err != nil {
		w.t.Error(err)
	}
}

func (w *folder) restart() {
	w.stop()
	w.start()
}

// pass lets time pass.
func (w *folder) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (w *folder) path(name string) string { return filepath.Join(w.dir, filepath.FromSlash(name)) }

func (w *folder) write(name, text string) {
	w.t.Helper()
	if err := os.MkdirAll(filepath.Dir(w.path(name)), 0o700); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(w.path(name), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *folder) add(name, text string) {
	w.t.Helper()
	f, err := os.OpenFile(w.path(name), os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		w.t.Fatal(err)
	}
	_, err = f.WriteString(text)
	if err := errors.Join(err, f.Close()); err != nil {
		w.t.Fatal(err)
	}
}

func (w *folder) rename(from, to string) {
	w.t.Helper()
	if err := os.MkdirAll(filepath.Dir(w.path(to)), 0o700); err != nil {
		w.t.Fatal(err)
	}
	if err := os.Rename(w.path(from), w.path(to)); err != nil {
		w.t.Fatal(err)
	}
}

// want checks which events were read.
func (w *folder) want(when string, ids ...string) {
	w.t.Helper()
	if got := w.sink.got(); !slices.Equal(got, ids) && len(got)+len(ids) > 0 {
		w.t.Errorf("%s: got %v, want %v", when, got, ids)
	}
}

// record is a CloudTrail record with that id, without a line end.
func record(id string) string {
	return fmt.Sprintf(`{"eventVersion":"1.08","eventTime":"2026-01-31T08:00:00Z","eventSource":"ssm.amazonaws.com","eventName":"SendCommand","eventID":%q}`, id)
}

// lines are records, a line each.
func lines(ids ...string) string {
	var b strings.Builder
	for _, id := range ids {
		b.WriteString(record(id) + "\n")
	}
	return b.String()
}

// object is a log object as CloudTrail writes it.
func object(ids ...string) string {
	list := make([]string, len(ids))
	for i, id := range ids {
		list[i] = record(id)
	}
	return `{"Records":[` + strings.Join(list, ",") + `]}`
}
