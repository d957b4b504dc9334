package daemon

import (
	"context"
	"encoding/binary"
	"hash/fnv"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// quietFor is how long rule files must not change before they are read again.
	quietFor = 500 * time.Millisecond
	// lookEvery is how often somebody looks at them where the system tells nothing: a
	// folder was put in the place of another, a link leads elsewhere now, or it is not
	// on a disk of this machine.
	lookEvery = 5 * time.Second
)

// watchRules reloads when files change, and when somebody asks.
func (d *Daemon) watchRules(ctx context.Context) error {
	var changed <-chan fsnotify.Event
	var failed <-chan error
	var look <-chan time.Time
	var w *fsnotify.Watcher
	var seen uint64
	if d.opt.Config.Rules.Watch {
		ticker := time.NewTicker(lookEvery)
		defer ticker.Stop()
		look = ticker.C
		if w = d.watcher(); w != nil {
			defer func() { _ = w.Close() }() // nothing to save
			changed, failed = w.Events, w.Errors
		}
		seen = d.readFrom
	}
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	defer timer.Stop()
	by, waits := "", false
	again := func(who string, after time.Duration) {
		by, waits = who, true
		timer.Reset(after)
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case e := <-changed:
			if strings.HasPrefix(filepath.Base(e.Name), ".") || e.Op == fsnotify.Chmod {
				continue
			}
			again("file "+e.Name, quietFor)
		case err := <-failed:
			d.opt.Log.Warn("watching rule files", "error", err)
		case <-d.opt.Reload:
			again("signal", 0)
		case <-look:
			if now := d.stamp(); !waits && now != seen {
				seen = now
				again("files", quietFor)
			}
		case <-timer.C:
			waits = false
			seen = d.stamp() // before they are read: what changes meanwhile is another change
			d.follow(w)
			if _, err := d.Reload(ctx, by); err != nil {
				d.opt.Log.Error("rules not reloaded", "error", err)
			}
		}
	}
}

// rulePaths are the files and folders on disk that rules and exceptions come from.
func (d *Daemon) rulePaths() []string {
	c := &d.opt.Config.Rules
	return slices.DeleteFunc(slices.Concat(c.Paths, c.Exceptions), func(p string) bool { return p == "shipped" })
}

// watcher watches the folders of rule files; nil if the system cannot.
func (d *Daemon) watcher() *fsnotify.Watcher {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		d.opt.Log.Warn("the system does not tell of changes of rule files: they are looked at every few seconds", "error", err)
		return nil
	}
	d.follow(w)
	return w
}

// follow watches the folders that there are now. Those that cannot be watched are
// looked at all the same.
func (d *Daemon) follow(w *fsnotify.Watcher) {
	if w == nil {
		return
	}
	for _, p := range d.rulePaths() {
		root := p
		if info, err := os.Stat(p); err != nil || !info.IsDir() {
			root = filepath.Dir(p)
			if err := w.Add(root); err != nil {
				d.opt.Log.Debug("rule files are not watched", "path", root, "error", err)
			}
			continue
		}
		if err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case path != root && strings.HasPrefix(e.Name(), ".") && e.IsDir():
				return fs.SkipDir
			case path != root && !e.IsDir():
				return nil
			}
			return w.Add(path)
		}); err != nil {
			d.opt.Log.Debug("rule files are not watched", "path", root, "error", err)
		}
	}
}

// stamp tells states of the rule files apart: it is made of their names, sizes and
// times. Links are followed, as they are when rules are loaded.
func (d *Daemon) stamp() uint64 {
	h := fnv.New64a()
	file := func(path string, info fs.FileInfo) {
		_, _ = io.WriteString(h, path+"\x00")
		var b [16]byte
		binary.LittleEndian.PutUint64(b[:], uint64(info.Size()))
		binary.LittleEndian.PutUint64(b[8:], uint64(info.ModTime().UnixNano()))
		_, _ = h.Write(b[:])
	}
	for _, p := range d.rulePaths() {
		sources, err := sourcesOf([]string{p})
		if err != nil {
			_, _ = io.WriteString(h, p+": "+err.Error())
			continue
		}
		for _, s := range sources {
			root := filepath.FromSlash(s.Name)
			err := fs.WalkDir(s.FS, s.Path, func(path string, e fs.DirEntry, err error) error {
				if err != nil {
					return err
				}
				if path != s.Path && strings.HasPrefix(e.Name(), ".") {
					if e.IsDir() {
						return fs.SkipDir
					}
					return nil
				}
				if info, err := fs.Stat(s.FS, path); err == nil && !info.IsDir() {
					file(root+"/"+path, info)
				}
				return nil
			})
			if err != nil {
				_, _ = io.WriteString(h, root+": "+err.Error())
			}
		}
	}
	return h.Sum64()
}
