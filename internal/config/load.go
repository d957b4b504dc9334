package config

import (
	"bytes"
	"cmp"
	"encoding"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/debutsec/debut/query"
)

// Load reads a file over the defaults, then the environment over both, and validates
// what comes of it. An error is query.Diagnostics, or that the file cannot be read. An
// empty path is no file.
func Load(path string, getenv func(string) string) (*Config, error) {
	c := Default()
	var text []byte
	if path != "" {
		var err error
		if text, err = readFile(path); err != nil {
			return nil, fmt.Errorf("read the configuration: %w", err)
		}
	}
	if err := c.decode(path, text, getenv); err != nil {
		return nil, err
	}
	return c, nil
}

// readFile reads as much of a file as decode wants to see.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err //nolint:wrapcheck // it has the name
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(io.LimitReader(f, maxText+1))
}

// Parse is Load for a text that was read already; name stands for it in messages.
func Parse(name string, text []byte, getenv func(string) string) (*Config, error) {
	c := Default()
	if err := c.decode(name, text, getenv); err != nil {
		return nil, err
	}
	return c, nil
}

// maxText bounds a file: nobody has written a longer one.
const maxText = 1 << 20

func (c *Config) decode(name string, text []byte, getenv func(string) string) error {
	c.file = name
	s := &source{name: name, text: bytes.TrimPrefix(text, []byte("\uFEFF")), env: make(map[string]string)}
	if len(text) > maxText {
		s.add("too-large", fmt.Sprintf("the file has more than %d bytes: this is no configuration", maxText), "")
		return s.diags
	}
	s.read(c)
	if len(s.diags) == 0 {
		s.environment(c, getenv)
		s.validate(c, getenv)
	}
	if len(s.diags) == 0 {
		return nil
	}
	slices.SortStableFunc(s.diags, func(a, b query.Diagnostic) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return s.diags
}

// Keys returns every key, dotted: those of lists as sources.bucket.
func Keys() []string {
	var out []string
	walk(reflect.ValueOf(Default()).Elem(), "", func(key string, _ reflect.Value) { out = append(out, key) })
	return out
}

// tagged is the key of a field, "" if it has none.
func tagged(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("toml"), ",")
	return name
}

// walk calls f for every key with its value, and for the keys of lists with a zero one.
func walk(v reflect.Value, prefix string, f func(key string, v reflect.Value)) {
	for i := range v.NumField() {
		name := tagged(v.Type().Field(i))
		if name == "" {
			continue
		}
		field := v.Field(i)
		switch {
		case field.Kind() == reflect.Struct:
			walk(field, prefix+name+".", f)
		case field.Kind() == reflect.Slice && field.Type().Elem().Kind() == reflect.Struct:
			walk(reflect.New(field.Type().Elem()).Elem(), prefix+name+".", f)
		default:
			f(prefix+name, field)
		}
	}
}

// environment lets DEBUT_A_B override a.b. Lists are given with commas.
func (s *source) environment(c *Config, getenv func(string) string) {
	walk(reflect.ValueOf(c).Elem(), "", func(key string, v reflect.Value) {
		name := "DEBUT_" + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
		text := getenv(name)
		if text == "" || !v.CanSet() || strings.HasPrefix(key, "sources.") || strings.HasPrefix(key, "notify.channels.") ||
			strings.HasPrefix(key, "triage.freezes.") || strings.HasPrefix(key, "triage.exercises.") || strings.HasPrefix(key, "triage.rota.") ||
			strings.HasPrefix(key, "triage.changes.") {
			return
		}
		if err := set(v, text); err != nil {
			s.diags = append(s.diags, query.Diagnostic{Code: "bad-environment", Message: fmt.Sprintf("%s: %v", name, err)})
		}
		s.env[key] = name
	})
}

func set(v reflect.Value, text string) error {
	if u, ok := reflect.TypeAssert[encoding.TextUnmarshaler](v.Addr()); ok {
		return u.UnmarshalText([]byte(text)) //nolint:wrapcheck // it says all
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("%q is neither true nor false", text)
		}
		v.SetBool(b)
	case reflect.Int:
		n, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("%q is no whole number", text)
		}
		v.SetInt(int64(n))
	case reflect.Slice:
		list := reflect.MakeSlice(v.Type(), 0, 1)
		for part := range strings.SplitSeq(text, ",") {
			e := reflect.New(v.Type().Elem()).Elem()
			if err := set(e, part); err != nil {
				return err
			}
			list = reflect.Append(list, e)
		}
		v.Set(list)
	default:
		return fmt.Errorf("a %s cannot be given in the environment", v.Kind())
	}
	return nil
}
