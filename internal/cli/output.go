package cli

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/debutsec/debut/internal/report"
)

// output is where a result goes: standard output, or a file that appears only when
// it is whole.
type output struct {
	io.Writer

	file *os.File
	path string
}

func openOutput(env *Env, path string) (*output, error) {
	if path == "" || path == "-" {
		return &output{Writer: env.Stdout}, nil
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return nil, &ExitError{Code: ExitUsage, Err: fmt.Errorf("make the output file: %w", err), Hint: "is the folder of --output there and writable?"}
	}
	return &output{Writer: f, file: f, path: path}, nil
}

func (o *output) commit() error {
	if o.file == nil {
		return nil
	}
	f := o.file
	o.file = nil
	err := cmp.Or(f.Chmod(0o644), f.Close()) // a report is made to be read
	if err == nil {
		err = os.Rename(f.Name(), o.path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("write %s: %w", o.path, err)
	}
	return nil
}

// abandon removes an output that was not committed.
func (o *output) abandon() {
	if o.file != nil {
		_ = o.file.Close()
		_ = os.Remove(o.file.Name())
	}
}

// writeJSON writes v to standard output for people and programs: indented, the
// members of maps in order.
func writeJSON(env *Env, v any) error {
	b, err := json.Marshal(v, json.Deterministic(true), jsontext.WithIndent("  "), json.FormatNilSliceAsNull(false))
	if err != nil {
		return fmt.Errorf("print JSON: %w", err)
	}
	return write(env, append(b, '\n'))
}

// write writes a whole result to standard output.
func write(env *Env, b []byte) error {
	if _, err := env.Stdout.Write(b); err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	return nil
}

// tableOptions are for a table on standard output.
func tableOptions(env *Env) report.Options {
	o := report.Options{Color: env.StdoutTTY && env.Getenv("NO_COLOR") == ""}
	if env.StdoutTTY {
		o.Width = env.Width
	}
	return o
}

func plural(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// formatFlag is that of commands whose result people read as a table.
type formatFlag struct {
	Format string `enum:"table,json" default:"table" help:"table or json."`
}

// print writes a list for people, or the value that it was made of for programs.
func (f formatFlag) print(env *Env, value any, l *report.List, nothing string) error {
	if f.Format == "json" {
		return writeJSON(env, value)
	}
	return writeList(env, l, nothing)
}

// writeList writes a list to standard output, or says that there is nothing.
func writeList(env *Env, l *report.List, nothing string) error {
	var b bytes.Buffer
	if len(l.Rows) == 0 {
		b.WriteString(nothing + "\n")
	} else if err := l.Table(&b, tableOptions(env)); err != nil {
		return fmt.Errorf("write the list: %w", err)
	}
	return write(env, b.Bytes())
}
