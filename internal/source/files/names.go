package files

import (
	"hash/maphash"
	"path/filepath"
	"strings"

	"github.com/debutsec/debut/cloudtrail"
)

// unwanted tells from a file's name why it is not to be read, or "", and what the name
// tells else, nil if nothing. A matched name, of a pattern, may be of any type.
func (w *Walk) unwanted(full string, matched bool) (reason string, key *cloudtrail.Key) {
	key = keyOf(full)
	switch {
	case key == nil && ofOtherService(full):
		return OtherLog, key
	case key == nil:
	case key.Digest():
		return Digest, key
	case !w.opt.From.IsZero() && key.Before(w.opt.From):
		return BeforeFrom, key
	case !w.opt.To.IsZero() && key.After(w.opt.To):
		return AfterTo, key
	}
	if !matched && !isLog(filepath.Base(full)) {
		return OtherName, key
	}
	return "", key
}

func keyOf(full string) *cloudtrail.Key {
	if key, ok := cloudtrail.ParseKey(full); ok {
		return &key
	}
	return nil
}

// ofOtherService reports whether a path is AWSLogs/[o-ORG/]ACCOUNT/SERVICE/… with a
// service that is not CloudTrail: Config, elasticloadbalancing, vpcflowlogs, ….
func ofOtherService(path string) bool {
	_, below, ok := strings.Cut(filepath.ToSlash(path), "/AWSLogs/")
	if !ok {
		return false
	}
	parts := strings.SplitN(below, "/", 4)
	if strings.HasPrefix(parts[0], "o-") {
		parts = parts[1:]
	}
	return len(parts) > 2 && len(parts[0]) == 12 && strings.Trim(parts[0], "0123456789") == "" &&
		!strings.HasPrefix(parts[1], "CloudTrail")
}

func isHidden(name string) bool { return strings.HasPrefix(name, ".") }

// isLog tells from its name whether a file met in a folder may be a log: by its
// extension, or because it has none, as Firehose's objects do. Numbers and dates at the
// end, as rotation leaves them, are no extension.
func isLog(name string) bool {
	name = strings.ToLower(name)
	switch name {
	case "license", "notice", "readme", "copying", "authors", "changelog", "makefile", "dockerfile", "manifest", "thumbs.db",
		"aws-logs-write-test": // CloudWatch Logs leaves it beside an export
		return false
	}
	ext := filepath.Ext(name)
	switch ext {
	case ".gz", ".gzip":
		return !strings.HasSuffix(strings.TrimSuffix(name, ext), ".tar")
	case ".json", ".zst", ".zstd", ".ndjson", ".jsonl", ".log", ".txt", ".csv":
		return true
	}
	return ext == "" || !isExtension(ext[1:])
}

// isExtension reports whether s looks like an extension: letters and digits, a letter
// first.
func isExtension(s string) bool {
	for i := range len(s) {
		letter := s[i] >= 'a' && s[i] <= 'z'
		if !letter && (i == 0 || s[i] < '0' || s[i] > '9') {
			return false
		}
	}
	return s != "" && len(s) <= 8
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
