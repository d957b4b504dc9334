package cli

import (
	"bufio"
	"cmp"
	"fmt"
	"os"
	"sync"

	"github.com/go-json-experiment/json"

	"github.com/debutsec/debut/cloudtrail"
)

// problemLine is a problem in the file of --problems.
type problemLine struct {
	Input    string `json:"input"`
	Offset   int64  `json:"offset"`
	Record   int64  `json:"record,omitzero"`
	Rejected bool   `json:"rejected"`
	Code     string `json:"code"`
	Message  string `json:"message"`
}

// problemLog returns the function that writes problems to the file of --problems,
// nil without one, and the function that closes it.
func (c *ScanCmd) problemLog() (log func(cloudtrail.Problem), done func() error, err error) {
	if c.Problems == "" {
		return nil, func() error { return nil }, nil
	}
	f, err := os.Create(c.Problems)
	if err != nil {
		return nil, nil, &ExitError{Code: ExitUsage, Err: fmt.Errorf("make the file of --problems: %w", err)}
	}
	w := bufio.NewWriter(f)
	var mu sync.Mutex
	log = func(p cloudtrail.Problem) {
		line, err := json.Marshal(problemLine(p))
		if err != nil {
			return // a struct of plain fields
		}
		mu.Lock()
		defer mu.Unlock()
		_, _ = w.Write(append(line, '\n')) // an error sticks and shows at Flush
	}
	return log, func() error {
		if err := cmp.Or(w.Flush(), f.Close()); err != nil {
			return fmt.Errorf("write the file of --problems: %w", err)
		}
		return nil
	}, nil
}
