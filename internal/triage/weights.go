package triage

import (
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"
)

//go:embed weights.toml
var defaultWeights []byte

// DefaultWeights is the text of the table that is used if nothing overrides it, with
// what each row means.
func DefaultWeights() string { return string(defaultWeights) }

// A Weight is one row of the table.
type Weight struct {
	Key       string `toml:"-"` // such as "T2.arbitrary-code"
	Category  string `toml:"-"`
	Points    int    `toml:"points"`
	Most      int    `toml:"most"` // of a weight that counts several times; 0: once
	Critical  bool   `toml:"critical"`
	Absence   bool   `toml:"absence"`
	Kind      string `toml:"kind"`
	Spoofable bool   `toml:"spoofable"`
	Means     string `toml:"means"`
}

// Weights are what facts are worth, and where steps draw lines. They are read-only once
// made and safe for concurrent use.
type Weights struct {
	rows     map[string]Weight
	Caps     map[string]int
	Verdicts map[string]int
	limits   map[string]any
}

// ParseWeights reads a table, and what overrides it, one after the other. Each
// override changes only what it names; what it names must exist. An error names the
// row and what is wrong with it.
func ParseWeights(overrides ...[]byte) (*Weights, error) {
	w := &Weights{rows: map[string]Weight{}, Caps: map[string]int{}, Verdicts: map[string]int{}, limits: map[string]any{}}
	if err := w.read(defaultWeights, true); err != nil {
		return nil, fmt.Errorf("the program's own weights: %w", err)
	}
	for _, o := range overrides {
		if err := w.read(o, false); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// read adds a table. Unless it is the first, it may only change what is there.
func (w *Weights) read(text []byte, first bool) error {
	var sections map[string]map[string]any
	if err := toml.Unmarshal(text, &sections); err != nil {
		return fmt.Errorf("weights are not TOML as expected: %w", err)
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(sections)) {
		section := sections[name]
		for _, key := range slices.Sorted(maps.Keys(section)) {
			var err error
			switch name {
			case "caps":
				err = setNumber(w.Caps, key, section[key], first)
			case "verdicts":
				err = setNumber(w.Verdicts, key, section[key], first)
			case "limits":
				err = w.setLimit(key, section[key], first)
			default:
				if key == "category" {
					continue
				}
				category, _ := section["category"].(string)
				err = w.setRow(name+"."+key, category, section[key], first)
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("[%s] %s: %w", name, key, err))
			}
		}
	}
	return errors.Join(errs...)
}

var errNoSuchWeight = errors.New("there is no such row; debut triage --print-weights lists all")

func setNumber(m map[string]int, key string, v any, first bool) error {
	n, ok := v.(int64)
	if !ok || n < 0 || n > 100 {
		return errors.New("must be a number from 0 to 100")
	}
	if _, ok := m[key]; !ok && !first {
		return errNoSuchWeight
	}
	m[key] = int(n)
	return nil
}

// maxLimit bounds durations: ten years.
const maxLimit = 10 * 365 * 24 * time.Hour

func (w *Weights) setLimit(key string, v any, first bool) error {
	old, ok := w.limits[key]
	if !ok && !first {
		return errNoSuchWeight
	}
	switch x := v.(type) {
	case string:
		d, err := time.ParseDuration(x)
		if err != nil {
			return fmt.Errorf("%q is not a duration such as \"24h\"", x)
		}
		v = d
	case int64:
		v = float64(x)
	}
	if !first && fmt.Sprintf("%T", old) != fmt.Sprintf("%T", v) {
		return fmt.Errorf("must be like %v", old)
	}
	switch x := v.(type) {
	case time.Duration:
		if x <= 0 || x > maxLimit {
			return fmt.Errorf("must be more than 0 and at most %s", maxLimit)
		}
	case float64:
		// Shares are of 1, all else is counted.
		least, most := math.SmallestNonzeroFloat64, 1.0
		if f, ok := old.(float64); !ok || f >= 1 {
			least, most = 1, 1e12
		}
		if strings.HasSuffix(key, "_days") {
			most = maxLimit.Hours() / 24
		}
		if first {
			least = 0
		}
		if !(x >= least && x <= most) { // also what is no number
			if most == 1 {
				return errors.New("must be a share: more than 0, at most 1")
			}
			return fmt.Errorf("must be from %v to %v", least, most)
		}
	}
	w.limits[key] = v
	return nil
}

func (w *Weights) setRow(key, category string, v any, first bool) error {
	row, ok := w.rows[key]
	if !ok && !first {
		return errNoSuchWeight
	}
	text, err := toml.Marshal(v)
	if err == nil {
		d := toml.NewDecoder(strings.NewReader(string(text)))
		d.DisallowUnknownFields()
		err = d.Decode(&row)
	}
	if err != nil {
		return errors.New(`must be like { points = 5 }`)
	}
	if row.Points < -100 || row.Points > 100 {
		return errors.New("points must be from -100 to 100")
	}
	row.Key = key
	if first {
		row.Category = category
	}
	w.rows[key] = row
	return nil
}

// Row returns a row of the table. Asking for one that is not there is a mistake of the
// program.
func (w *Weights) Row(key string) Weight {
	row, ok := w.rows[key]
	if !ok {
		panic("triage: no weight " + key)
	}
	return row
}

// Rows returns all rows in order of their keys.
func (w *Weights) Rows() []Weight {
	return slices.SortedFunc(maps.Values(w.rows), func(a, b Weight) int { return strings.Compare(a.Key, b.Key) })
}

// Number returns a limit that is a number.
func (w *Weights) Number(limit string) float64 { return must[float64](w.limits, limit) }

// Duration returns a limit that is a duration.
func (w *Weights) Duration(limit string) time.Duration { return must[time.Duration](w.limits, limit) }

func must[T any](m map[string]any, name string) T {
	v, ok := m[name].(T)
	if !ok {
		panic("triage: no limit " + name)
	}
	return v
}
