package source

import (
	"path/filepath"
	"strings"

	"github.com/debutsec/debut/cloudtrail"
)

// KeyOf returns what a name tells if it follows CloudTrail's layout, else nil.
func KeyOf(name string) *cloudtrail.Key {
	if key, ok := cloudtrail.ParseKey(name); ok {
		return &key
	}
	return nil
}

// OfOtherService reports whether a path is AWSLogs/[o-ORG/]ACCOUNT/SERVICE/… with a
// service that is not CloudTrail: Config, elasticloadbalancing, vpcflowlogs, ….
func OfOtherService(path string) bool {
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

// IsHidden reports whether the name of a file or folder begins with a dot.
func IsHidden(name string) bool { return strings.HasPrefix(name, ".") }

// IsLog tells from its name whether a file met in a folder may be a log: by its
// extension, or because it has none, as Firehose's objects do. Numbers and dates at the
// end, as rotation leaves them, are no extension.
func IsLog(name string) bool {
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
