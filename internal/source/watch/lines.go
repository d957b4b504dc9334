package watch

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/debutsec/debut/internal/rawjson"
	"github.com/debutsec/debut/internal/source"
)

const (
	maxFirstLine = 1 << 20  // a longer one is no line
	maxLastLine  = 16 << 20 // a longer one without its end is not looked at
	block        = 64 << 10
)

// A plan is the part of a file of lines that is delivered next, or was delivered last:
// that is for the sink to say. It is a position of the source, under its key.
type plan struct {
	key   string
	since time.Time // the file has not changed

	Name  []byte `json:"name"` // path of the file when the plan was made, which may be no text
	Start int64  `json:"start"`
	End   int64  `json:"end"`
	Check string `json:"check"` // hash of the last bytes before End
	// Open says that the part ends with a line without an end: should the file grow,
	// the next part begins where this one did.
	Open bool `json:"open,omitzero"`
}

func (p *plan) object() *source.Object {
	return &source.Object{Name: string(p.Name), Version: fmt.Sprintf("lines %d-%d %s", p.Start, p.End, p.Check)}
}

// firstLine returns the first line of a file of lines: one that has its end and is
// complete in itself. It is nil for any other file. It is valid until the next call.
func (s *Source) firstLine(f *os.File, size int64) ([]byte, error) {
	if s.buf == nil {
		s.buf = make([]byte, block)
	}
	for {
		n, err := f.ReadAt(s.buf, 0)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err //nolint:wrapcheck // names the file
		}
		head := s.buf[:n]
		if line, _, found := bytes.Cut(head, []byte{'\n'}); found {
			if complete(line) {
				return line, nil
			}
			return nil, nil
		}
		if int64(n) == size || len(s.buf) >= maxFirstLine || !textual(head) {
			return nil, nil
		}
		s.buf = make([]byte, 2*len(s.buf))
	}
}

// textual reports whether a file may be one of lines.
func textual(head []byte) bool {
	return !bytes.HasPrefix(head, []byte{0x1f, 0x8b}) && !bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd})
}

// complete reports whether a line is a JSON object or list, maybe with a time before it
// as in exports of CloudWatch Logs.
func complete(line []byte) bool {
	line = bytes.TrimSpace(bytes.TrimPrefix(line, []byte("\xEF\xBB\xBF")))
	at := bytes.IndexAny(line[:min(len(line), 64)], "{[")
	if at < 0 || bytes.IndexByte(line[:at], '"') >= 0 {
		return false
	}
	end, err := rawjson.Skip(line, at)
	return err == nil && end == len(line)
}

// offerPart delivers the next part of a file of lines, if there is one.
func (s *Source) offerPart(ctx context.Context, f *os.File, fl *flight, last *plan, key string, p *pending) error {
	if path, busy := s.plans[key]; busy && path != fl.path { // a copy is being read
		s.pending[fl.path] = &pending{stamp: p.stamp, first: p.first, since: p.since, due: s.opt.Now().Add(s.opt.Settle)}
		return nil
	}
	start := int64(0)
	if last != nil {
		done, err := s.has(ctx, last.object())
		switch {
		case err != nil:
			return err
		case !done:
			last.since = p.since
			return s.deliverPart(ctx, fl, last)
		case last.Open && last.End == fl.stamp.size:
			start = last.End
		case last.Open:
			start = last.Start
		default:
			start = last.End
		}
	}
	next := &plan{key: key, since: p.since, Name: []byte(fl.path), Start: start}
	var err error
	if next.End, err = s.partEnd(f, start, fl.stamp.size); err != nil {
		return err
	}
	if next.End == start {
		if start == fl.stamp.size {
			s.finished(fl)
			return nil
		}
		if due := p.since.Add(stale); s.opt.Now().Before(due) { // its last line may get its end
			s.pending[fl.path] = &pending{stamp: p.stamp, first: p.first, since: p.since, due: due}
			return nil
		}
		next.End, next.Open = fl.stamp.size, true
	}
	if next.Check, err = check(f, next.End); err != nil {
		return err
	}
	text, err := json.Marshal(next)
	if err != nil {
		return fmt.Errorf("write the plan: %w", err)
	}
	if err := s.sink.SetPositions(ctx, s.opt.Name, map[string][]byte{key: text}); err != nil {
		return errors.Join(errStore, err)
	}
	return s.deliverPart(ctx, fl, next)
}

func (s *Source) deliverPart(ctx context.Context, fl *flight, p *plan) error {
	fl.plan = p
	fl.d.Object = p.object()
	fl.d.Name = fmt.Sprintf("%s@%d", fl.path, p.Start)
	s.plans[p.key] = fl.path
	err := s.deliver(ctx, fl, p.Start, p.End)
	if err != nil {
		delete(s.plans, p.key)
	}
	return err
}

// findPlan returns the last plan of the file, nil if there is none, and the key of the
// next. The first line is the identity; two files with equal first lines that went
// different ways are told apart by their paths.
func (s *Source) findPlan(ctx context.Context, f *os.File, fl *flight, first []byte) (*plan, string, error) {
	key := ""
	for _, salt := range [...]string{"", fl.path} {
		key = lineKey(first, salt)
		text, err := s.sink.Position(ctx, s.opt.Name, key)
		if err != nil {
			return nil, "", errors.Join(errStore, err)
		}
		if text == nil {
			return nil, key, nil
		}
		p := &plan{key: key}
		if err := json.Unmarshal(text, p); err != nil || p.Start < 0 || p.End < p.Start {
			s.log.Warn("the position of a file is damaged: it is read from its beginning", "source", s.opt.Name, "file", fl.path, "err", err)
			return nil, key, nil
		}
		if p.End > fl.stamp.size {
			continue // written anew, or another file
		}
		sum, err := check(f, p.End)
		if err != nil {
			return nil, "", err
		}
		if sum == p.Check {
			return p, key, nil
		}
	}
	return nil, key, nil
}

func lineKey(first []byte, salt string) string {
	h := sha256.New()
	_, _ = h.Write(first)
	if salt != "" {
		_, _ = io.WriteString(h, "\n"+salt)
	}
	return "lines/" + hex.EncodeToString(h.Sum(nil)[:16])
}

// check hashes the last bytes before end.
func check(f *os.File, end int64) (string, error) {
	h := sha256.New()
	start := max(end-window, 0)
	if _, err := io.Copy(h, io.NewSectionReader(f, start, end-start)); err != nil {
		return "", err //nolint:wrapcheck // names the file
	}
	return hex.EncodeToString(h.Sum(nil)[:8]), nil
}

// partEnd returns where the part that begins at start ends: behind the last line of it
// that has its end, or is complete without.
func (s *Source) partEnd(f *os.File, start, size int64) (int64, error) {
	limit := min(size, start+s.opt.Part)
	end, err := s.lastNewline(f, start, limit)
	if err != nil {
		return 0, err
	}
	if end == start && limit < size { // a line longer than a part
		if end, err = s.nextNewline(f, limit, size); err != nil || end > 0 {
			return end, err
		}
		end, limit = start, size
	}
	if limit < size || end == size || size-end > maxLastLine {
		return end, nil
	}
	rest := make([]byte, size-end)
	if _, err := io.ReadFull(io.NewSectionReader(f, end, size-end), rest); err != nil {
		return 0, err //nolint:wrapcheck // names the file
	}
	if len(bytes.TrimSpace(rest)) == 0 || complete(rest) {
		end = size
	}
	return end, nil
}

// lastNewline returns what is behind the last line end in [from, to), or from.
func (s *Source) lastNewline(f *os.File, from, to int64) (int64, error) {
	buf := make([]byte, block)
	for to > from {
		n := min(to-from, block)
		if _, err := f.ReadAt(buf[:n], to-n); err != nil {
			return 0, err //nolint:wrapcheck // names the file
		}
		if i := bytes.LastIndexByte(buf[:n], '\n'); i >= 0 {
			return to - n + int64(i) + 1, nil
		}
		to -= n
	}
	return from, nil
}

// nextNewline returns what is behind the first line end in [from, to), or 0.
func (s *Source) nextNewline(f *os.File, from, to int64) (int64, error) {
	buf := make([]byte, block)
	for from < to {
		n := min(to-from, block)
		if _, err := f.ReadAt(buf[:n], from); err != nil {
			return 0, err //nolint:wrapcheck // names the file
		}
		if i := bytes.IndexByte(buf[:n], '\n'); i >= 0 {
			return from + int64(i) + 1, nil
		}
		from += n
	}
	return 0, nil
}
