package events

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// A disk is what the store does to files. Tests put faults into it.
type disk interface {
	// Create makes a file that must not exist; Open opens one, to write too or not.
	Create(name string) (file, error)
	Open(name string, reads bool) (file, error)
	Rename(from, to string) error
	Remove(name string) error
	// SyncDir makes the names in a folder durable.
	SyncDir(name string) error
}

type file interface {
	io.ReaderAt
	io.WriterAt
	io.Writer
	io.Closer
	Sync() error
	Truncate(size int64) error
}

// osDisk is the real one. What it makes is for its owner alone: it holds records.
type osDisk struct{}

func (osDisk) Create(name string) (file, error) {
	return wrap(os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600))
}

func (osDisk) Open(name string, reads bool) (file, error) {
	if reads {
		return wrap(os.Open(name))
	}
	return wrap(os.OpenFile(name, os.O_RDWR, 0))
}

// wrap keeps a nil file from becoming an interface that is not nil.
func wrap(f *os.File, err error) (file, error) {
	if err != nil {
		return nil, err //nolint:wrapcheck // has operation and path
	}
	return f, nil
}

func (osDisk) Rename(from, to string) error { return os.Rename(from, to) } //nolint:gosec // of our own folder
func (osDisk) Remove(name string) error     { return os.Remove(name) }

func (osDisk) SyncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync %s: %w", name, err)
	}
	return nil
}
