package config

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"

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
		if text, err = os.ReadFile(path); err != nil {
			return nil, fmt.Errorf("read the configuration: %w", err)
		}
	}
	if err := c.decode(path, text, getenv); err != nil {
		return nil, err
	}
	return c, nil
}

// Parse is Load for a text that was read already; name stands for it in messages.
func Parse(name string, text []byte, getenv func(string) string) (*Config, error) {
	c := Default()
	if err := c.decode(name, text, getenv); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *Config) decode(name string, text []byte, getenv func(string) string) error {
	c.file = name
	s := &source{name: name, lines: strings.Split(string(text), "\n")}
	d := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields()
	if err := d.Decode(c); err != nil {
		s.explain(err)
	}
	if len(s.diags) == 0 {
		s.environment(c, getenv)
		s.validate(c, getenv)
	}
	if len(s.diags) > 0 {
		return s.diags
	}
	return nil
}

// source is the file that messages point into.
type source struct {
	name  string
	lines []string
	diags query.Diagnostics
}

// explain puts what the decoder says in our words.
func (s *source) explain(err error) {
	var strict *toml.StrictMissingError
	var bad *toml.DecodeError
	switch {
	case errors.As(err, &strict):
		for i := range strict.Errors {
			e := &strict.Errors[i]
			key := strings.Join(e.Key(), ".")
			line, column := e.Position()
			s.at(line, column, len([]rune(e.Key()[len(e.Key())-1])), "unknown-key", fmt.Sprintf("%s is no key of the configuration", key), nearest(e.Key()))
		}
	case errors.As(err, &bad):
		line, column := bad.Position()
		message := strings.TrimPrefix(bad.Error(), "toml: ")
		if key := strings.Join(bad.Key(), "."); key != "" {
			message = key + ": " + message
		}
		s.at(line, column, 1, "bad-value", message, "")
	default:
		s.add("bad-config", err.Error(), "")
	}
}

func (s *source) at(line, column, width int, code, message, hint string) {
	d := query.Diagnostic{Code: code, File: s.name, Line: line, Column: column, Width: width, Message: message, Hint: hint}
	if line > 0 && line <= len(s.lines) {
		d.Source = s.lines[line-1]
	}
	s.diags = append(s.diags, d)
}

func (s *source) add(code, message, hint string) {
	s.diags = append(s.diags, query.Diagnostic{Code: code, File: s.name, Message: message, Hint: hint})
}

// key points to where the last part of a key stands in the file, if it does.
func (s *source) key(key, code, message, hint string) {
	name := key[strings.LastIndexByte(key, '.')+1:]
	for i, line := range s.lines {
		trimmed := strings.TrimSpace(line)
		if rest, ok := strings.CutPrefix(trimmed, name); ok && strings.HasPrefix(strings.TrimSpace(rest), "=") {
			s.at(i+1, strings.Index(line, name)+1, len(name), code, key+": "+message, hint)
			return
		}
	}
	s.add(code, key+": "+message, hint)
}

// nearest suggests a key.
func nearest(key []string) string {
	want := key[len(key)-1]
	best, distance := "", 3
	for _, k := range Keys() {
		parts := strings.Split(k, ".")
		if slices.Equal(parts[:len(parts)-1], key[:len(key)-1]) {
			if d := edits(want, parts[len(parts)-1]); d < distance {
				best, distance = parts[len(parts)-1], d
			}
		}
	}
	if best == "" {
		return "docs/config.md lists every key"
	}
	return fmt.Sprintf("did you mean %q?", best)
}

// edits is the number of letters to change from a to b.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		last := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			last, row[j+1] = row[j+1], min(row[j]+1, row[j+1]+1, last+cost)
		}
	}
	return row[len(b)]
}

// Keys returns every key, dotted: those of lists as sources.bucket.
func Keys() []string {
	var out []string
	walk(reflect.ValueOf(Default()).Elem(), "", func(key string, _ reflect.Value) { out = append(out, key) })
	return out
}

// walk calls f for every key with its value, and for the keys of lists with a zero one.
func walk(v reflect.Value, prefix string, f func(key string, v reflect.Value)) {
	for i := range v.NumField() {
		name := v.Type().Field(i).Tag.Get("toml")
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
		if text == "" || !v.CanSet() || strings.HasPrefix(key, "sources.") || strings.HasPrefix(key, "notify.channels.") {
			return
		}
		if err := set(v, text); err != nil {
			s.diags = append(s.diags, query.Diagnostic{Code: "bad-environment", Message: fmt.Sprintf("%s: %v", name, err)})
		}
	})
}

func set(v reflect.Value, text string) error {
	if u, ok := v.Addr().Interface().(interface{ UnmarshalText(b []byte) error }); ok {
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
		v.Set(reflect.ValueOf(strings.Split(text, ",")))
	default:
		return fmt.Errorf("a %s cannot be given in the environment", v.Kind())
	}
	return nil
}
