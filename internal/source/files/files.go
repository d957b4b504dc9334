package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/debutsec/debut/cloudtrail"
	"github.com/debutsec/debut/internal/pipeline"
	"github.com/debutsec/debut/internal/source"
)

// Options say what to look for.
type Options struct {
	// From and To bound the event times that are wanted; files delivered a day before
	// From or a day after To are left out. Zero: no bound.
	From, To time.Time
	// Stdin is what the path "-" reads.
	Stdin io.Reader
}

// Reasons why an input was not read, as keys of [Walk.Skipped].
const (
	BeforeFrom  = "before-from"     // delivered before Options.From
	AfterTo     = "after-to"        // delivered after Options.To
	Digest      = "digest"          // a digest file: hashes of log files, no records
	OtherLog    = "other-aws-log"   // of another service in the same bucket
	OtherName   = "other-file-type" // the name says that it is no log
	Hidden      = "hidden"          // a leading dot
	SpecialFile = "special-file"    // a pipe, a device, a socket inside a folder
	NamedTwice  = "named-twice"     // another PATH or a link leads to it
)

// StdinName names standard input as an object.
const StdinName = "standard input"

// A Walk lists the objects that paths name. Use one for one listing, from one
// goroutine.
type Walk struct {
	opt     Options
	skipped map[string]int64
	stdin   bool // was given out

	// Where a path has many names, the real one counts.
	roots    map[string]bool // folders that are walked whole
	seen     fileSet         // files that were found in another way
	remember bool            // what patterns match too: there are other paths

	ctx   context.Context //nolint:containedctx // lives as long as the listing
	yield func(pipeline.Object, error) bool
	taken int64 // objects found, or left out for their date, kind or second name
}

// New returns a Walk.
func New(opt Options) *Walk {
	return &Walk{opt: opt, skipped: make(map[string]int64), roots: make(map[string]bool), seen: newFileSet()}
}

// Skipped returns how many inputs were not read, by reason. Ask when the listing is
// over.
func (w *Walk) Skipped() map[string]int64 { return w.skipped }

// Objects lists what the paths name, in their order. What cannot be listed comes as a
// [*pipeline.Failure], and the listing goes on; any other error is that of ctx and ends
// it. Memory is bounded by the largest folder, not by the number of files.
func (w *Walk) Objects(ctx context.Context, paths []string) iter.Seq2[pipeline.Object, error] {
	return func(yield func(pipeline.Object, error) bool) {
		w.ctx, w.yield, w.remember = ctx, yield, len(paths) > 1
		for _, p := range paths {
			if !w.path(p) {
				return
			}
		}
	}
}

// The methods that list return false when the listing is to end.

func (w *Walk) fail(path, code, format string, args ...any) bool {
	return w.yield(pipeline.Object{}, &pipeline.Failure{Path: path, Code: code, Message: fmt.Sprintf(format, args...)})
}

func (w *Walk) skip(reason string) bool {
	w.skipped[reason]++
	switch reason {
	case BeforeFrom, AfterTo, Digest, NamedTwice:
		w.taken++
	}
	return true
}

// cancelled tells the reader of the listing when its context has ended.
func (w *Walk) cancelled() bool {
	if err := w.ctx.Err(); err != nil {
		w.yield(pipeline.Object{}, err)
		return true
	}
	return false
}

// path lists what one PATH names.
func (w *Walk) path(path string) bool {
	if w.cancelled() {
		return false
	}
	if path == "-" {
		return w.standardInput()
	}
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return w.folder(path)
	case err == nil:
		return w.named(path)
	case strings.HasPrefix(path, "s3://"):
		return w.fail(path, "s3-not-supported", "this version does not read buckets itself: "+
			"copy the logs first, for example with `aws s3 sync %s logs/`, and scan the copy", path)
	case strings.Contains(path, "://"):
		return w.fail(path, "not-a-path", "only files and folders on this machine can be read: fetch it first")
	case isPattern(path) && !errors.Is(err, fs.ErrPermission):
		return w.pattern(path)
	case errors.Is(err, fs.ErrNotExist):
		return w.fail(path, "not-found", "there is no such file or folder: check the spelling and the current folder")
	default:
		return w.fail(path, "unreadable", "%v: check its permissions", reasonOf(err))
	}
}

func (w *Walk) standardInput() bool {
	switch {
	case w.stdin:
		return w.skip(NamedTwice)
	case w.opt.Stdin == nil:
		return w.fail("-", "not-found", "there is no standard input")
	}
	w.stdin = true
	in := w.opt.Stdin
	return w.yield(pipeline.Object{Name: StdinName, Open: func() (io.ReadCloser, error) {
		return io.NopCloser(in), nil
	}}, nil)
}

// named gives out a file that was named by itself: it is read whatever it is.
func (w *Walk) named(path string) bool {
	full := realPath(path)
	if w.seen.has(full) || w.walked(full, false) {
		return w.skip(NamedTwice)
	}
	w.seen.add(full)
	return w.give(path, source.KeyOf(full))
}

// give gives out an object.
func (w *Walk) give(path string, key *cloudtrail.Key) bool {
	w.taken++
	return w.yield(pipeline.Object{Name: path, Key: key, Open: func() (io.ReadCloser, error) {
		f, err := os.Open(path)
		if err != nil {
			return nil, reasonOf(err)
		}
		return f, nil
	}}, nil)
}

// folder walks a folder that a PATH names.
func (w *Walk) folder(path string) bool {
	full := realPath(path)
	if w.walked(full, true) {
		return w.skip(NamedTwice)
	}
	w.roots[full] = true
	before, unread := w.taken, w.total()
	if !w.walk(path, full) {
		return false
	}
	if w.taken > before {
		return true
	}
	if n := w.total() - unread; n > 0 {
		return w.fail(path, "nothing-to-read", "none of the %d files in it look like logs: name a file by itself to have it read all the same", n)
	}
	return w.fail(path, "nothing-to-read", "there are no files in it: is it the right folder?")
}

func (w *Walk) total() (n int64) {
	for _, k := range w.skipped {
		n += k
	}
	return n
}

// walk lists the folder path, whose one real path is full, and what is below it.
func (w *Walk) walk(path, full string) bool {
	entries, ok := w.entries(path)
	for i := 0; ok && i < len(entries); i++ {
		name := entries[i].Name()
		ok = !w.cancelled() && w.entry(filepath.Join(path, name), filepath.Join(full, name), entries[i])
	}
	return ok
}

// entries reads a folder, in the order of names. A folder that cannot be read to its
// end is reported and read as far as possible.
func (w *Walk) entries(path string) ([]fs.DirEntry, bool) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return entries, w.fail(path, "unreadable-folder", "%v: check its permissions", reasonOf(err))
	}
	return entries, true
}

// entry lists what was met in a folder.
func (w *Walk) entry(path, full string, e fs.DirEntry) bool {
	mode := e.Type()
	switch {
	case source.IsHidden(e.Name()):
		return w.skip(Hidden)
	case mode.IsDir():
		if w.roots[full] {
			return w.skip(NamedTwice)
		}
		return w.walk(path, full)
	case mode.IsRegular():
		reason, key := w.unwanted(full, false)
		switch {
		case reason != "":
			return w.skip(reason)
		case w.seen.has(full):
			return w.skip(NamedTwice)
		}
		return w.give(path, key)
	case mode&fs.ModeSymlink != 0:
		return w.link(path)
	default:
		return w.skip(SpecialFile)
	}
}

// link follows a symbolic link. What it leads to counts by its real name, so that
// links in a circle, or many to one place, cost nothing.
func (w *Walk) link(path string) bool {
	info, err := os.Stat(path)
	if err != nil {
		return w.fail(path, "broken-link", "a symbolic link that leads nowhere: %v", reasonOf(err))
	}
	full := realPath(path)
	switch {
	case info.IsDir():
		if w.walked(full, true) {
			return w.skip(NamedTwice)
		}
		w.roots[full] = true
		return w.walk(path, full)
	case !info.Mode().IsRegular():
		return w.skip(SpecialFile)
	}
	reason, key := w.unwanted(full, false)
	switch {
	case reason != "":
		return w.skip(reason)
	case w.seen.has(full) || w.walked(full, false):
		return w.skip(NamedTwice)
	}
	w.seen.add(full)
	return w.give(path, key)
}

// walked reports whether a folder that is walked whole leads to full: not so through
// hidden folders, and not to files that are left out there.
func (w *Walk) walked(full string, folder bool) bool {
	if w.roots[full] {
		return true
	}
	for at := full; ; {
		if source.IsHidden(filepath.Base(at)) {
			return false
		}
		parent := filepath.Dir(at)
		if parent == at {
			return false
		}
		if at = parent; w.roots[at] {
			reason, _ := w.unwanted(full, false)
			return folder || reason == ""
		}
	}
}

// realPath returns the one path of a file, without links.
func realPath(path string) string {
	if p, err := filepath.EvalSymlinks(path); err == nil {
		path = p
	}
	if p, err := filepath.Abs(path); err == nil {
		path = p
	}
	return path
}

// reasonOf takes the path out of an error: it is named anyway.
func reasonOf(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}
