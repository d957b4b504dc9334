package watch

import (
	"fmt"

	"github.com/fsnotify/fsnotify"
)

// A watcher gives hints of what has changed. The zero watcher gives none.
type watcher struct {
	events <-chan fsnotify.Event
	errors <-chan error
	add    func(dir string) error
	stop   func() error
}

func newWatcher() (*watcher, error) {
	w, err := fsnotify.NewBufferedWatcher(4096)
	if err != nil {
		return nil, fmt.Errorf("watch for changes: %w", err)
	}
	return &watcher{w.Events, w.Errors, w.Add, w.Close}, nil
}

func (w *watcher) close() {
	if w.stop != nil {
		_ = w.stop() // nothing is lost
	}
}
