package files

import (
	"hash/maphash"
	"path/filepath"

	"github.com/debutsec/debut/cloudtrail"
	"github.com/debutsec/debut/internal/source"
)

// unwanted tells from a file's name why it is not to be read, or "", and what the name
// tells else, nil if nothing. A matched name, of a pattern, may be of any type.
func (w *Walk) unwanted(full string, matched bool) (reason string, key *cloudtrail.Key) {
	key = source.KeyOf(full)
	switch {
	case key == nil && source.OfOtherService(full):
		return OtherLog, key
	case key == nil:
	case key.Digest():
		return Digest, key
	case !w.opt.From.IsZero() && key.Before(w.opt.From):
		return BeforeFrom, key
	case !w.opt.To.IsZero() && key.After(w.opt.To):
		return AfterTo, key
	}
	if !matched && !source.IsLog(filepath.Base(full)) {
		return OtherName, key
	}
	return "", key
}

// A fileSet remembers paths by their hashes: 16 bytes for each.
type fileSet struct {
	seeds [2]maphash.Seed
	set   map[[2]uint64]struct{}
}

func newFileSet() fileSet {
	return fileSet{seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}, set: make(map[[2]uint64]struct{})}
}

func (s *fileSet) hash(path string) [2]uint64 {
	return [2]uint64{maphash.String(s.seeds[0], path), maphash.String(s.seeds[1], path)}
}

func (s *fileSet) add(path string) { s.set[s.hash(path)] = struct{}{} }

func (s *fileSet) has(path string) bool {
	if len(s.set) == 0 {
		return false
	}
	_, ok := s.set[s.hash(path)]
	return ok
}
