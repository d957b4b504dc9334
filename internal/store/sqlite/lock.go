package sqlite

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/debutsec/debut/internal/store"
)

// LockFile is the name of the file that says who has the data folder open for writing.
// It holds the number of that process. The lock is the operating system's, and ends
// with the process, however it ends; the file stays.
const LockFile = "LOCK"

type lock struct{ f *os.File }

// errHeld: another process has the lock.
var errHeld = errors.New("locked")

// lockDir takes the lock of a data folder.
func lockDir(dir string) (*lock, error) {
	path := filepath.Join(dir, LockFile)
	f, err := openLocked(path)
	if errors.Is(err, errHeld) {
		return nil, fmt.Errorf("the data folder %s is %w: %s: end that first, use its API, or choose another data_dir",
			dir, store.ErrInUse, holder(path))
	}
	if err != nil {
		return nil, fmt.Errorf("lock the data folder: %w", err)
	}
	l := &lock{f}
	if err = f.Truncate(0); err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	if err != nil {
		l.release()
		return nil, fmt.Errorf("lock the data folder: %w", err)
	}
	return l, nil
}

// holder names the process that has the lock.
func holder(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return "process unknown"
	}
	defer func() { _ = f.Close() }()
	text, _ := io.ReadAll(io.LimitReader(f, 32))
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	switch {
	case err != nil:
		return "process unknown"
	case pid == os.Getpid():
		return fmt.Sprintf("process %d, this one", pid)
	default:
		return fmt.Sprintf("process %d", pid)
	}
}

// release gives the lock back. Closing the file alone would not, at once, if this
// process is just starting another, which for a moment has all that this one has open.
func (l *lock) release() {
	unlock(l.f)
	_ = l.f.Close()
}
