package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// Env is what a command may touch of the outside world; main builds the real
// one, tests build their own.
type Env struct {
	Context        context.Context //nolint:containedctx // one per process: kong hands commands a single value
	Args           []string        // without the program's name
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// StdoutTTY and StderrTTY say that a person looks: colours on the one,
	// progress on the other. Width is the terminal's columns, 0 if unknown.
	StdoutTTY, StderrTTY bool
	Width                int
	Getenv               func(string) string
	Now                  func() time.Time
}

// say tells the user something on standard error. Where that cannot be written there
// is nobody to tell.
func (e *Env) say(format string, args ...any) { _, _ = fmt.Fprintf(e.Stderr, format, args...) }

// Exit codes of the program.
const (
	ExitOK     = 0 // done
	ExitFailed = 1 // the work failed, or --strict and something was rejected
	ExitUsage  = 2 // wrong usage or configuration
	ExitAlerts = 3 // alerts at or above --fail-on
)

// An ExitError ends the program with a code. Err, if not nil, is printed.
type ExitError struct {
	Code int
	Err  error
	Hint string // what to do next; may be empty
}

func (e *ExitError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit status %d", e.Code)
	}
	return e.Err.Error()
}

func (e *ExitError) Unwrap() error { return e.Err }

// usagef returns an error that ends the program with ExitUsage.
func usagef(format string, args ...any) error {
	return &ExitError{Code: ExitUsage, Err: fmt.Errorf(format, args...)}
}

// exitCode maps an error to the program's exit code.
func exitCode(err error) int {
	var e *ExitError
	switch {
	case err == nil:
		return ExitOK
	case errors.As(err, &e):
		return e.Code
	default:
		return ExitFailed
	}
}
