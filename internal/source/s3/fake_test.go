package s3

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/debutsec/debut/cloudtrail"
	"github.com/debutsec/debut/internal/source"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeBucket is S3 in memory. fault, if set, is asked before every request.
type fakeBucket struct {
	mu       sync.Mutex
	objects  map[string]fakeObject
	pageSize int
	fault    func(op, key string) error
	// cut, if set, says after how many bytes a body breaks; negative: it does not
	cut    func(key string, offset int64) int64
	stalls int
	// listed are the prefixes of the listings, in order
	listed []string
}

type fakeObject struct {
	content   []byte
	modified  time.Time
	signature string
}

func (o fakeObject) etag() string {
	sum := sha256.Sum256(o.content)
	return hex.EncodeToString(sum[:8])
}

func newFakeBucket() *fakeBucket { return &fakeBucket{objects: map[string]fakeObject{}, pageSize: 3} }

func (b *fakeBucket) put(key string, content []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.objects[key] = fakeObject{content: content, modified: time.Now()}
}

func (b *fakeBucket) remove(key string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.objects, key)
}

func (b *fakeBucket) setFault(f func(op, key string) error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fault = f
}

// slow makes the first listings stand still.
func (b *fakeBucket) slow() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stalls == 0 {
		return 0
	}
	b.stalls--
	return 24 * time.Hour
}

func (b *fakeBucket) ask(op, key string) error {
	b.mu.Lock()
	f := b.fault
	b.mu.Unlock()
	if f == nil {
		return nil
	}
	return f(op, key)
}

func (b *fakeBucket) list(ctx context.Context, q listing) (page, error) {
	if err := b.ask("list", q.prefix); err != nil {
		return page{}, err
	}
	if err := sleep(ctx, time.Millisecond+b.slow()); err != nil {
		return page{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.listed = append(b.listed, q.prefix)
	after := max(q.after, q.token)
	var p page
	seen := map[string]bool{}
	for _, key := range slices.Sorted(maps.Keys(b.objects)) {
		rest, ok := strings.CutPrefix(key, q.prefix)
		if !ok || key <= after {
			continue
		}
		if i := strings.Index(rest, "/"); q.delimiter != "" && i >= 0 {
			folder := q.prefix + rest[:i+1]
			if !seen[folder] && folder > after {
				seen[folder] = true
				p.folders = append(p.folders, folder)
			}
			continue
		}
		if len(p.objects) == b.pageSize {
			p.next = p.objects[len(p.objects)-1].key
			break
		}
		o := b.objects[key]
		p.objects = append(p.objects, info{key: key, etag: o.etag(), size: int64(len(o.content)), modified: o.modified})
	}
	return p, nil
}

func (b *fakeBucket) head(_ context.Context, key string) (info, error) {
	if err := b.ask("head", key); err != nil {
		return info{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	o, ok := b.objects[key]
	if !ok {
		return info{}, fmt.Errorf("head %s: %w", key, errGone)
	}
	return info{key: key, etag: o.etag(), size: int64(len(o.content)), modified: o.modified}, nil
}

func (b *fakeBucket) get(ctx context.Context, key, etag string, offset int64) (io.ReadCloser, info, error) {
	if err := b.ask("get", key); err != nil {
		return nil, info{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	o, ok := b.objects[key]
	switch {
	case !ok:
		return nil, info{}, fmt.Errorf("get %s: %w", key, errGone)
	case etag != "" && etag != o.etag():
		return nil, info{}, fmt.Errorf("get %s: %w", key, errChanged)
	}
	rest := o.content[min(offset, int64(len(o.content))):]
	i := info{key: key, etag: o.etag(), size: int64(len(rest)), modified: o.modified, signature: o.signature}
	var r io.Reader = bytes.NewReader(rest)
	if b.cut != nil {
		switch n := b.cut(key, offset); {
		case n == stall:
			r = stalled{ctx}
		case n >= 0 && n < int64(len(rest)):
			r = io.MultiReader(bytes.NewReader(rest[:n]), broken{})
		}
	}
	return io.NopCloser(r), i, nil
}

const stall = 1 << 40

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("connection reset by peer") }

type stalled struct{ ctx context.Context }

func (s stalled) Read([]byte) (int, error) { <-s.ctx.Done(); return 0, s.ctx.Err() }

// fakeQueue is SQS in memory.
type fakeQueue struct {
	visibility time.Duration
	mu         sync.Mutex
	messages   []*fakeMessage
	n          int
	fault      error
	changed    chan struct{} // closed when receivers should look again
}

type fakeMessage struct {
	message
	visible time.Time
}

func (q *fakeQueue) send(body string) string {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.n++
	m := &fakeMessage{message: message{id: fmt.Sprintf("m%d", q.n), body: body, sent: time.Now()}, visible: time.Now()}
	q.messages = append(q.messages, m)
	q.change()
	return m.id
}

func (q *fakeQueue) setFault(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.fault = err
}

func (q *fakeQueue) left() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.messages)
}

func (q *fakeQueue) take() ([]message, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.fault != nil {
		return nil, q.fault
	}
	var list []message
	for _, m := range q.messages {
		if len(list) < batchSize && !m.visible.After(time.Now()) {
			m.receives++
			m.receipt = fmt.Sprintf("%s/%d", m.id, m.receives)
			m.visible = time.Now().Add(q.visibility)
			list = append(list, m.message)
		}
	}
	return list, nil
}

func (q *fakeQueue) receive(ctx context.Context) ([]message, error) {
	for end := time.Now().Add(20 * time.Second); ; {
		list, err := q.take()
		if err != nil || len(list) > 0 || !time.Now().Before(end) {
			return list, err
		}
		changed, next := q.next(end)
		t := time.NewTimer(time.Until(next))
		select {
		case <-changed:
		case <-t.C:
		case <-ctx.Done():
		}
		if t.Stop(); ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
}

// next is when a message becomes visible, at most end, unless something changes before.
func (q *fakeQueue) next(end time.Time) (changed chan struct{}, next time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, m := range q.messages {
		if m.visible.Before(end) {
			end = m.visible
		}
	}
	if q.changed == nil {
		q.changed = make(chan struct{})
	}
	return q.changed, end
}

func (q *fakeQueue) change() {
	if q.changed != nil {
		close(q.changed)
		q.changed = nil
	}
}

func (q *fakeQueue) remove(_ context.Context, receipts []string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.fault != nil {
		return q.fault
	}
	q.messages = slices.DeleteFunc(q.messages, func(m *fakeMessage) bool { return slices.Contains(receipts, m.receipt) })
	return nil
}

func (q *fakeQueue) extend(_ context.Context, receipts []string, d time.Duration) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, m := range q.messages {
		if slices.Contains(receipts, m.receipt) {
			m.visible = time.Now().Add(d)
			q.change()
		}
	}
	return q.fault
}

// fakeSink reads what is delivered and commits it after a while.
type fakeSink struct {
	t      testing.TB
	delay  func() time.Duration // from delivery to Done
	refuse func(name string) error
	busy   chan struct{}

	mu        sync.Mutex
	wg        sync.WaitGroup
	content   map[string][][]byte // by name, what was read each time
	has       map[source.Object]bool
	reading   map[source.Object]bool
	expected  map[source.Object]source.Expected
	failed    map[source.Object]string
	positions map[string][]byte
	troubles  []string
}

var _ source.Sink = (*fakeSink)(nil)

func newFakeSink(t testing.TB) *fakeSink {
	return &fakeSink{
		t: t, delay: func() time.Duration { return 10 * time.Millisecond }, busy: make(chan struct{}, 4),
		content: map[string][][]byte{}, has: map[source.Object]bool{}, reading: map[source.Object]bool{},
		expected: map[source.Object]source.Expected{}, failed: map[source.Object]string{}, positions: map[string][]byte{},
	}
}

func (s *fakeSink) Deliver(ctx context.Context, d source.Delivery) error {
	select {
	case s.busy <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	again := s.has[*d.Object] || s.reading[*d.Object]
	s.reading[*d.Object] = true
	s.wg.Go(func() {
		defer func() { <-s.busy }()
		d.Done(s.read(ctx, d, again))
	})
	return nil
}

func (s *fakeSink) read(ctx context.Context, d source.Delivery, again bool) source.Outcome {
	if again {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.has[*d.Object] {
			return source.Outcome{Seen: true}
		}
		return source.Outcome{Err: errors.New("it is being read already")}
	}
	content, err := s.readAll(ctx, d)
	if err == nil {
		err = sleep(ctx, s.delay())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.reading, *d.Object)
	if err == nil && s.refuse != nil {
		err = s.refuse(d.Name)
	}
	if err != nil {
		return source.Outcome{Err: fmt.Errorf("commit: %v", err)} //nolint:errorlint // a sink need not wrap
	}
	s.content[d.Name] = append(s.content[d.Name], content)
	s.has[*d.Object] = true
	delete(s.failed, *d.Object)
	delete(s.failed, source.Object{Name: d.Object.Name})
	return source.Outcome{}
}

func (s *fakeSink) readAll(ctx context.Context, d source.Delivery) ([]byte, error) {
	r, err := d.Open(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }()
	return io.ReadAll(r)
}

func (s *fakeSink) Has(_ context.Context, o source.Object) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.has[o] || s.reading[o], nil
}

func (s *fakeSink) Expect(_ context.Context, list []source.Expected) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range list {
		s.expected[e.Object] = e
	}
	return nil
}

func (s *fakeSink) Fail(_ context.Context, o source.Object, _ *cloudtrail.Key, reason string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.has[o] {
		s.failed[o] = reason
	}
	return nil
}

func (s *fakeSink) Position(_ context.Context, _, name string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.positions[name], nil
}

func (s *fakeSink) SetPositions(_ context.Context, _ string, values map[string][]byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, value := range values {
		if value == nil {
			delete(s.positions, name)
			continue
		}
		s.positions[name] = slices.Clone(value)
	}
	return nil
}

func (s *fakeSink) Trouble(_ string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.troubles = append(s.troubles, fmt.Sprint(err))
}

// reasons are those of the failures, sorted, with the object's name before them.
func (s *fakeSink) reasons() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]string, 0, len(s.failed))
	for o, reason := range s.failed {
		list = append(list, o.Name+": "+reason)
	}
	slices.Sort(list)
	return list
}

func (s *fakeSink) expectation(o source.Object) (source.Expected, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.expected[o]
	return e, ok
}

// times is how often the object was made durable.
func (s *fakeSink) times(key string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.content["s3://trail/"+key])
}

func (s *fakeSink) lastTrouble() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.troubles) == 0 {
		return ""
	}
	return s.troubles[len(s.troubles)-1]
}

func zipped(content string) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte(content))
	_ = z.Close()
	return b.Bytes()
}

// keyAt names an object of an account's region delivered at a time.
func keyAt(account string, at time.Time, suffix string) string {
	return fmt.Sprintf("AWSLogs/o-abc/%s/CloudTrail/eu-west-1/%s/%s_CloudTrail_eu-west-1_%s_%s.json.gz",
		account, at.UTC().Format("2006/01/02"), account, at.UTC().Format("20060102T1504Z"), suffix)
}

func digestKey(account string, at time.Time) string {
	return fmt.Sprintf("AWSLogs/o-abc/%s/CloudTrail-Digest/eu-west-1/%s/%s_CloudTrail-Digest_eu-west-1_org_eu-west-1_%s.json.gz",
		account, at.UTC().Format("2006/01/02"), account, at.UTC().Format("20060102T150405Z"))
}

// notice is S3's own message about objects.
func (b *fakeBucket) notice(keys ...string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var events []string
	for _, key := range keys {
		etag := "0"
		if o, ok := b.objects[key]; ok {
			etag = o.etag()
		}
		events = append(events, fmt.Sprintf(`{"eventSource":"aws:s3","eventName":"ObjectCreated:Put","eventTime":%q,"s3":{"bucket":{"name":"trail"},"object":{"key":%q,"eTag":%q}}}`,
			time.Now().Format(time.RFC3339), key, etag))
	}
	return `{"Records":[` + strings.Join(events, ",") + `]}`
}

// cloudTrailNotice is CloudTrail's own, which tells no version.
func cloudTrailNotice(keys ...string) string {
	return fmt.Sprintf(`{"s3Bucket":"trail","s3ObjectKey":["%s"]}`, strings.Join(keys, `","`))
}

func testOptions() Options {
	return Options{Name: "org", Bucket: "trail", Now: time.Now, Digests: true, Start: time.Date(1999, 12, 1, 0, 0, 0, 0, time.UTC)}
}

// start runs the source until stop is called.
func start(t testing.TB, s *Source, sink *fakeSink) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, sink) }()
	return func() {
		t.Helper()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		sink.wg.Wait()
	}
}
