package pipeline

import (
	"fmt"
	"io"

	"github.com/debutsec/debut/cloudtrail"
)

// An Object is one input that can be read from its beginning: a file, an object of
// a bucket, standard input. Sources make them.
type Object struct {
	Name string          // as a user would name it
	Key  *cloudtrail.Key // what the name tells, if it follows CloudTrail's layout, else nil
	Open func() (io.ReadCloser, error)
}

// A Failure is that something could not be listed. The listing goes on.
type Failure struct { //nolint:errname // it reads as what it is
	Path    string
	Code    string // stable, kebab-case
	Message string // what and why, and what to do about it
}

func (f *Failure) Error() string { return fmt.Sprintf("%s: %s", f.Path, f.Message) }
