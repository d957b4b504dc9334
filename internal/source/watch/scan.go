package watch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/debutsec/debut/internal/source"
)

// scan reads the whole folder.
func (s *Source) scan(ctx context.Context) {
	s.broken, s.links = nil, nil
	root, err := filepath.EvalSymlinks(s.opt.Dir)
	if err == nil {
		var info fs.FileInfo
		if info, err = os.Stat(root); err == nil && !info.IsDir() {
			err = errors.New("it is a file, no folder")
		}
	}
	if err != nil {
		clear(s.watched)
		s.sink.Trouble(s.opt.Name, fmt.Errorf("the folder %s cannot be read: %w", s.opt.Dir, reasonOf(err)))
		return
	}
	s.root = root
	s.index.begin()
	s.walks = append(s.walks, root)
	if s.walk(ctx); ctx.Err() != nil {
		return
	}
	s.index.end()
	s.sink.Trouble(s.opt.Name, summary(s.broken))
	if err := s.index.flush(ctx, s.sink, s.opt.Name); err != nil && ctx.Err() == nil {
		s.log.Warn("what has been read could not be noted; it is tried again", "source", s.opt.Name, "err", err)
	}
}

// summary puts what could not be listed into one error; nil if that is nothing.
func summary(list []error) error {
	const most = 3
	switch n := len(list); {
	case n == 0:
		return nil
	case n > most:
		return fmt.Errorf("%w\nand %d more", errors.Join(list[:most]...), n-most)
	}
	return errors.Join(list...)
}

// walk reads the folders that are to be walked, and those below.
func (s *Source) walk(ctx context.Context) {
	for len(s.walks) > 0 && ctx.Err() == nil {
		last := len(s.walks) - 1
		dir := s.walks[last]
		s.walks = s.walks[:last]
		s.watch(dir)
		s.folder(ctx, dir)
		s.drain(ctx)
	}
}

// drain takes what has happened in the meantime.
func (s *Source) drain(ctx context.Context) {
	for {
		select {
		case ev := <-s.watcher.events:
			s.event(ev)
			continue
		default:
		}
		s.settleResults(ctx)
		return
	}
}

// watch has the system tell of changes in a folder. It is done before the folder is
// read, so that nothing falls between.
func (s *Source) watch(dir string) {
	if s.watcher.add == nil || s.watched[dir] {
		return
	}
	if err := s.watcher.add(dir); err != nil {
		if !s.unwatched {
			s.log.Warn("in some folders, changes are found by reading them only: the system's limit may be too low", "source", s.opt.Name, "folder", dir, "err", err)
		}
		s.unwatched = true
		return
	}
	s.watched[dir] = true
}

// folder reads one folder, some entries at a time.
func (s *Source) folder(ctx context.Context, dir string) {
	f, err := os.Open(dir)
	if err != nil {
		s.unlisted(dir, err)
		return
	}
	defer func() { _ = f.Close() }() // only read from
	for ctx.Err() == nil {
		entries, err := f.ReadDir(1024)
		for _, e := range entries {
			s.entry(filepath.Join(dir, e.Name()), e)
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				s.unlisted(dir, err)
			}
			return
		}
	}
}

// unlisted notes what cannot be listed, unless it is gone.
func (s *Source) unlisted(path string, err error) {
	if !errors.Is(err, fs.ErrNotExist) {
		s.note(fmt.Errorf("%s cannot be read: %w", path, reasonOf(err)))
	}
}

// note keeps a trouble until the next scan tells of all; nobody reads a thousand.
func (s *Source) note(err error) {
	if len(s.broken) < 1000 {
		s.broken = append(s.broken, err)
	}
}

// entry looks at what was met in a folder.
func (s *Source) entry(path string, e fs.DirEntry) {
	if source.IsHidden(e.Name()) {
		return
	}
	switch mode := e.Type(); {
	case mode.IsDir():
		s.walks = append(s.walks, path)
	case mode.IsRegular():
		if !wanted(path) {
			return
		}
		if info, err := e.Info(); err == nil { // else it is gone
			s.consider(path, info)
		}
	case mode&fs.ModeSymlink != 0:
		s.link(path)
	}
}

// link follows a symbolic link. What it leads to counts by its real name, so that links
// in a circle, or many to one place, cost nothing.
func (s *Source) link(path string) {
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		s.note(fmt.Errorf("the link %s leads nowhere: %w", path, reasonOf(err)))
		return
	}
	info, err := os.Stat(target)
	switch {
	case err != nil:
	case info.IsDir():
		if !s.walked(target) {
			s.links = append(s.links, target)
			s.walks = append(s.walks, target)
		}
	case info.Mode().IsRegular() && wanted(target):
		s.consider(target, info)
	}
}

// walked reports whether a folder is walked anyway.
func (s *Source) walked(target string) bool {
	if below(s.root, target) {
		return true
	}
	for _, l := range s.links {
		if below(l, target) {
			return true
		}
	}
	return false
}

// below reports whether walking root leads to path: it does not through hidden folders.
func below(root, path string) bool {
	rest, ok := strings.CutPrefix(path, strings.TrimSuffix(root, string(filepath.Separator)))
	if !ok || rest != "" && rest[0] != filepath.Separator {
		return false
	}
	return !strings.Contains(rest, string(filepath.Separator)+".")
}

// wanted tells from its name whether a file is to be read.
func wanted(path string) bool {
	name := filepath.Base(path)
	if unfinished(name) || !source.IsLog(name) {
		return false
	}
	if key := source.KeyOf(path); key != nil {
		return !key.Digest()
	}
	return !source.OfOtherService(path)
}

// unfinished reports whether a name is one that programs write to and rename from.
func unfinished(name string) bool {
	name = strings.ToLower(name)
	for _, end := range [...]string{"~", ".tmp", ".temp", ".part", ".partial", ".filepart", ".crdownload", ".download", ".incomplete", ".swp"} {
		if strings.HasSuffix(name, end) {
			return true
		}
	}
	// The AWS CLI downloads x.json.gz to x.json.gz.6eF5b5da. A date has no letters.
	ext := strings.TrimPrefix(filepath.Ext(name), ".")
	return len(ext) == 8 && strings.Trim(ext, "0123456789abcdef") == "" && strings.ContainsAny(ext, "abcdef") &&
		strings.Contains(strings.TrimSuffix(name, ext), ".")
}

// reasonOf takes the path out of an error: it is named anyway.
func reasonOf(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}
