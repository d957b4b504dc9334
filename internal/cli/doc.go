// Package cli holds the debut command line: one file per command.
//
// [Main] parses the arguments of an [Env] and runs a command; it never touches
// the process itself, so that scripts and tests drive the same code as a user.
// Results go to standard output, everything else to standard error; exit codes
// are the Exit constants.
package cli
