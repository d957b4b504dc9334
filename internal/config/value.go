package config

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/debutsec/debut/query"
)

// Duration is a length of time as people write it: 90s, 12h, 7d.
type Duration time.Duration

// UnmarshalText implements [encoding.TextUnmarshaler].
func (d *Duration) UnmarshalText(b []byte) error {
	if s := string(b); s == "0" || s == "0s" {
		*d = 0
		return nil
	}
	v, err := query.ParseDuration(string(b))
	if err != nil {
		return err //nolint:wrapcheck // it says all
	}
	*d = Duration(v)
	return nil
}

// MarshalText implements [encoding.TextMarshaler].
func (d Duration) MarshalText() ([]byte, error) {
	v := time.Duration(d)
	const day = 24 * time.Hour
	switch {
	case v == 0:
		return []byte("0s"), nil
	case v%day == 0:
		return fmt.Appendf(nil, "%dd", v/day), nil
	case v%time.Hour == 0:
		return fmt.Appendf(nil, "%dh", v/time.Hour), nil
	case v%time.Minute == 0:
		return fmt.Appendf(nil, "%dm", v/time.Minute), nil
	}
	return fmt.Appendf(nil, "%gs", v.Seconds()), nil
}

// Bytes is an amount as people write it: 512MB, 200GB, 1TiB; 0: no bound.
type Bytes int64

var units = []struct { //nolint:gochecknoglobals // a constant table
	name string
	size int64
}{
	{"TiB", 1 << 40},
	{"GiB", 1 << 30},
	{"MiB", 1 << 20},
	{"KiB", 1 << 10},
	{"TB", 1e12},
	{"GB", 1e9},
	{"MB", 1e6},
	{"kB", 1e3},
	{"KB", 1e3},
	{"B", 1},
}

// UnmarshalText implements [encoding.TextUnmarshaler].
func (v *Bytes) UnmarshalText(b []byte) error {
	text := strings.TrimSpace(string(b))
	size := int64(1)
	for _, u := range units {
		if n, ok := strings.CutSuffix(text, u.name); ok {
			text, size = strings.TrimSpace(n), u.size
			break
		}
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || n < 0 || n*float64(size) > 1<<62 {
		return fmt.Errorf("%q is no amount of bytes: write 512MB or 200GB", b)
	}
	*v = Bytes(n * float64(size))
	return nil
}

// MarshalText implements [encoding.TextMarshaler].
func (v Bytes) MarshalText() ([]byte, error) {
	for _, u := range units {
		if int64(v) >= u.size && int64(v)%u.size == 0 {
			return fmt.Appendf(nil, "%d%s", int64(v)/u.size, u.name), nil
		}
	}
	return []byte("0B"), nil
}

// Secret is a text that is never printed, or a reference to one: env:NAME, file:/path.
type Secret string

// Masked is what is shown of a secret: a reference as it is, anything else as ***.
func (s Secret) Masked() string {
	if s == "" || s.reference() {
		return string(s)
	}
	return mask
}

// mask stands for a secret.
const mask = "***"

func (s Secret) reference() bool {
	return strings.HasPrefix(string(s), "env:") || strings.HasPrefix(string(s), "file:")
}

// String implements [fmt.Stringer] without telling.
func (s Secret) String() string { return s.Masked() }

// GoString implements [fmt.GoStringer] without telling.
func (s Secret) GoString() string { return s.Masked() }

// MarshalText implements [encoding.TextMarshaler] without telling.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.Masked()), nil }

// maxSecret bounds a file that holds a secret.
const maxSecret = 64 << 10

// Resolve returns the secret itself. White space about a file's content is left out.
func (s Secret) Resolve(getenv func(string) string) (string, error) {
	if name, ok := strings.CutPrefix(string(s), "env:"); ok {
		v := getenv(name)
		if v == "" {
			return "", fmt.Errorf("the environment variable %s is not set", name)
		}
		return v, nil
	}
	if path, ok := strings.CutPrefix(string(s), "file:"); ok {
		b, err := os.ReadFile(path)
		switch {
		case err != nil:
			return "", fmt.Errorf("read the secret: %w", err)
		case len(b) > maxSecret:
			return "", fmt.Errorf("%s has %d bytes: too much for a secret", path, len(b))
		}
		return strings.TrimSpace(string(b)), nil
	}
	return string(s), nil
}
