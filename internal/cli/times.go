package cli

import (
	"fmt"
	"time"

	"github.com/debutsec/debut/query"
)

// parseTime reads a flag that names a time: RFC 3339, a date (its first instant,
// UTC), or date math around now.
func parseTime(flag, text string, now time.Time) (time.Time, error) {
	m, err := query.ParseDateMath(text)
	if err != nil {
		return time.Time{}, &ExitError{
			Code: ExitUsage, Err: fmt.Errorf("%s: %w", flag, err),
			Hint: "write 2026-01-31, 2026-01-31T08:00:00Z or now-7d",
		}
	}
	return m.At(now), nil
}

// parseDuration reads a flag that names a length of time: 12h, 7d, 2w.
func parseDuration(flag, text string) (time.Duration, error) {
	d, err := query.ParseDuration(text)
	if err != nil {
		return 0, &ExitError{Code: ExitUsage, Err: fmt.Errorf("%s: %w", flag, err), Hint: "write 90m, 12h or 7d"}
	}
	return d, nil
}
