package generate

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"pgregory.net/rapid"
)

func TestMix(t *testing.T) {
	t.Parallel()
	// The first value of SplitMix64 from 0, as published.
	s := stream(0)
	if got, want := mix(0), uint64(0xE220A8397B1DCDAF); got != want {
		t.Errorf("mix(0) is %x, want %x", got, want)
	}
	if s.next() != mix(golden) {
		t.Error("a stream does not begin with its address and one step")
	}
	if hash(1, 2, 3) != under(hash(1, 2), 3) {
		t.Error("an address cannot be extended")
	}
}

func TestDistributions(t *testing.T) {
	t.Parallel()
	const n = 200_000
	for name, c := range map[string]struct {
		draw func(*stream) float64
		mean float64
	}{
		"uniform":         {func(s *stream) float64 { return s.uniform() }, 0.5},
		"exponential":     {func(s *stream) float64 { return s.exponential(4.5) }, 4.5},
		"geometric":       {func(s *stream) float64 { return float64(s.geometric(6)) }, 6},
		"poisson":         {func(s *stream) float64 { return float64(s.poisson(2.3)) }, 2.3},
		"poisson, little": {func(s *stream) float64 { return float64(s.poisson(0.01)) }, 0.01},
		"poisson, much":   {func(s *stream) float64 { return float64(s.poisson(80)) }, 80},
		"lognormal":       {func(s *stream) float64 { return s.lognormal(2, 0.5) }, 2 * 1.1331},
		"normal, squared": {func(s *stream) float64 { x := s.normal(); return x * x }, 1},
	} {
		s, sum := stream(hash(7)), 0.0
		for range n {
			sum += c.draw(&s)
		}
		if got := sum / n; got < c.mean*0.95 || got > c.mean*1.05 {
			t.Errorf("%s: mean %g, want %g", name, got, c.mean)
		}
	}
}

func TestZipf(t *testing.T) {
	t.Parallel()
	s := stream(1)
	var count [10]int
	for range 100_000 {
		count[s.zipf(len(count))]++
	}
	for i := 1; i < len(count); i++ {
		if count[i] == 0 || count[i] > count[i-1] {
			t.Errorf("ranks are drawn %v times", count)
		}
	}
}

func TestUUID(t *testing.T) {
	t.Parallel()
	if got, want := string(appendUUID(nil, [2]uint64{0x0123456789ABCDEF, 0x0123456789ABCDEF})), "01234567-89ab-4def-8123-456789abcdef"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestCatalog(t *testing.T) {
	t.Parallel()
	c := newCatalog()
	seen := map[string]bool{}
	reads := 0
	for i, a := range c.actions {
		name := a.service + " " + a.name
		if seen[name] {
			t.Errorf("%s is there twice", name)
		}
		seen[name] = true
		if i < c.drawn {
			reads += bit(a.read)
		}
	}
	if share := float64(reads) / float64(c.drawn); share < 0.65 || share > 0.75 {
		t.Errorf("%g of the actions read, want 0.7", share)
	}
	s := stream(1)
	list := c.sample(&s, scanner, 300)
	slices.Sort(list)
	if len(slices.Compact(list)) != 300 {
		t.Error("a sample holds an action twice")
	}
}

func TestMergeLines(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		line := rapid.Custom(func(t *rapid.T) string {
			text := rapid.StringMatching(`[a-c]{0,9}`).Draw(t, "text")
			return strings.Repeat(text, rapid.SampledFrom([]int{1, 1, 1, 3000}).Draw(t, "times")) // some fill buffers
		})
		parts := rapid.SliceOfN(rapid.SliceOf(line), 1, 6).Draw(t, "parts")
		var from, want []string
		for i, lines := range parts {
			slices.Sort(lines)
			path := filepath.Join(dir, fmt.Sprint(i))
			if err := os.WriteFile(path, []byte(strings.Join(append(slices.Clone(lines), ""), "\n")), 0o600); err != nil {
				t.Fatal(err)
			}
			from, want = append(from, path), append(want, lines...)
		}
		slices.Sort(want)
		to := filepath.Join(dir, "all")
		seen := 0
		if err := mergeLines(to, from, func([]byte) { seen++ }); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(to)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != strings.Join(append(want, ""), "\n") || seen != len(want) {
			t.Fatalf("merged %d lines into %d bytes", seen, len(got))
		}
		for _, path := range from {
			if _, err := os.Stat(path); err == nil {
				t.Fatalf("%s is still there", path)
			}
		}
	})
}

func TestDiskFull(t *testing.T) {
	t.Parallel()
	err := explain(&fs.PathError{Op: "write", Path: "trail/x", Err: syscall.ENOSPC})
	if !strings.Contains(err.Error(), "the disk is full") || !strings.Contains(err.Error(), "trail/x") {
		t.Errorf("got %v", err)
	}
	if explain(fs.ErrExist) != fs.ErrExist { //nolint:errorlint // the very same
		t.Error("other errors are changed")
	}
}

// TestSizes checks the derived sizes against the workload's table.
func TestSizes(t *testing.T) {
	t.Parallel()
	for records, want := range map[int64][2]int{
		1: {1, 1}, 1000: {1, 1}, 10_000: {1, 1}, 100_000: {2, 5}, 1e6: {20, 5}, 3e6: {31, 7}, 1e7: {50, 10}, 1e8: {200, 20}, 1e9: {1000, 30}, 1e10: {1000, 30},
	} {
		cfg, err := Default(records, 1).complete()
		if err != nil {
			t.Fatal(err)
		}
		if got := [2]int{cfg.Accounts, cfg.Days}; got != want {
			t.Errorf("%d records: %v accounts and days, want %v", records, got, want)
		}
	}
}

// TestPlanIsWholeAlone checks that an account's plan does not depend on what else is made.
func TestPlanIsWholeAlone(t *testing.T) {
	t.Parallel()
	cfg, err := Default(1_000_000, 5).complete()
	if err != nil {
		t.Fatal(err)
	}
	p := newPlan(&cfg)
	for i := range cfg.Accounts {
		p.account(i)
	}
	first := p.firstServices()
	a, err := p.account(7).truthLines(&first)
	if err != nil {
		t.Fatal(err)
	}
	b, err := newPlan(&cfg).account(7).truthLines(&first)
	if err != nil {
		t.Fatal(err)
	}
	if len(a) == 0 || !slices.EqualFunc(a, b, slices.Equal) {
		t.Errorf("%d lines, then %d", len(a), len(b))
	}
}
