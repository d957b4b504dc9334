//go:build unix

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/klauspost/compress/gzip"
)

// decompressCommand is the first argument with which the program is its own baseline.
const decompressCommand = "decompress"

func main() {
	if len(os.Args) > 2 && os.Args[1] == decompressCommand {
		exit(decompress(os.Args[2]))
	}
	b := bench{out: os.Stdout}
	flag.IntVar(&b.records, "records", 1_000_000, "records of the generated trail")
	flag.IntVar(&b.rounds, "rounds", 5, "rounds of each measurement")
	flag.StringVar(&b.rules, "rules", "", "folder with Elastic's AWS rules; without it only the shipped rules are measured")
	flag.StringVar(&b.trail, "trail", "", "folder with a real trail")
	flag.BoolVar(&b.big, "big", false, "measure memory at 1, 4 and 10 GB of JSON too")
	flag.StringVar(&b.dir, "dir", "", "folder for the trails, which is kept; default a temporary one")
	flag.StringVar(&b.only, "only", "", "measure only this: ratio, rules, objects, memory, serve, known, store, triage")
	flag.DurationVar(&b.seconds, "serve", 30*time.Second, "how long the daemon's ingest is measured")
	flag.IntVar(&b.rate, "rate", 0, "records a second that the daemon is given; 0: as fast as it takes them")
	flag.IntVar(&b.known, "known", 1_000_000, "known combinations of the larger memory")
	profile := flag.String("cpuprofile", "", "write a profile of what runs in this process")
	flag.Parse()
	if *profile != "" {
		f, err := os.Create(*profile)
		if err == nil {
			err = pprof.StartCPUProfile(f)
		}
		if err != nil {
			exit(err)
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	exit(b.run(ctx))
}

func exit(err error) {
	pprof.StopCPUProfile()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1) //nolint:forbidigo // a main
	}
	os.Exit(0) //nolint:forbidigo // a main
}

// decompress reads every file below root and unpacks it with klauspost's gzip: the
// fixed baseline. Nothing is done with the bytes.
func decompress(root string) error {
	var zr gzip.Reader
	buf := make([]byte, 256<<10)
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".gz") {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }() // only read from
		if err := zr.Reset(f); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		_, err = io.CopyBuffer(onlyWriter{}, &zr, buf)
		return err
	})
}

// onlyWriter hides io.Discard's own ReadFrom, which would bring a small buffer.
type onlyWriter struct{}

func (onlyWriter) Write(p []byte) (int, error) { return len(p), nil }

type bench struct {
	out           *os.File
	records       int
	rounds        int
	rules, trail  string
	big           bool
	seconds       time.Duration
	known, rate   int
	dir, only     string
	self, program string
}

func (b *bench) run(ctx context.Context) (err error) {
	if b.self, err = os.Executable(); err != nil {
		return err
	}
	if b.dir == "" {
		if b.dir, err = os.MkdirTemp("", "debut-bench-*"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	}
	b.program = filepath.Join(b.dir, "debut")
	if out, err := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", b.program, "./cmd/debut").CombinedOutput(); err != nil {
		return fmt.Errorf("build debut: %w\n%s", err, out)
	}
	b.printf("%s, %s/%s, %d cores, %s\n", cpuName(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version())
	for _, part := range []struct {
		name string
		run  func(context.Context) error
	}{{"ratio", b.ratios}, {"rules", b.ruleCounts}, {"objects", b.objects}, {"memory", b.memory}, {"serve", b.ingest}, {"known", b.knownCombinations}, {"store", b.questions}, {"triage", b.investigations}} {
		if b.only != "" && b.only != part.name {
			continue
		}
		if err := part.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return nil
}

// printf writes a part of the result; who measures looks at it.
func (b *bench) printf(format string, args ...any) { _, _ = fmt.Fprintf(b.out, format, args...) }

// cpuName is the processor's name, as far as the system tells it.
func cpuName() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown processor"
	}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown processor"
}

// generate makes a trail once, and returns its folder.
func (b *bench) generate(ctx context.Context, name string, records int, more ...string) (string, error) {
	dir := filepath.Join(b.dir, name)
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	args := append([]string{"generate", "--records", strconv.Itoa(records), "--seed", "42"}, append(more, dir)...)
	if out, err := exec.CommandContext(ctx, b.program, args...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("debut %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return dir, nil
}

// A cost is what a process took.
type cost struct {
	cpu, wall time.Duration
	memory    int64 // bytes, the greatest resident set
}

// A contender is a command of a table.
type contender struct {
	name string
	args []string // of debut; of the program itself if the first is decompressCommand
	cost []cost
}

func (b *bench) decompress(dir string) *contender {
	return &contender{name: "decompress only (klauspost gzip)", args: []string{decompressCommand, dir}}
}

func (b *bench) scan(name, dir string, flags ...string) *contender {
	return &contender{name: name, args: append([]string{"scan", "--quiet", "--format", "ndjson", "--output", filepath.Join(b.dir, "alerts.ndjson")}, append(flags, dir)...)}
}

// race runs the contenders in rounds; the first round only warms the caches.
func (b *bench) race(ctx context.Context, list ...*contender) error {
	for round := range b.rounds + 1 {
		for _, c := range list {
			program := b.program
			if c.args[0] == decompressCommand {
				program = b.self
			}
			cmd := exec.CommandContext(ctx, program, c.args...)
			began := time.Now() //nolint:forbidigo // it measures
			if out, err := cmd.CombinedOutput(); err != nil {
				return fmt.Errorf("%s %s: %w\n%s", filepath.Base(program), strings.Join(c.args, " "), err, out)
			}
			if round == 0 {
				continue
			}
			usage, _ := cmd.ProcessState.SysUsage().(*syscall.Rusage)
			k := cost{cpu: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), wall: time.Since(began)}
			if usage != nil {
				k.memory = usage.Maxrss << 10
			}
			c.cost = append(c.cost, k)
		}
	}
	return nil
}

func (c *contender) median(of func(cost) int64) int64 {
	values := make([]int64, len(c.cost))
	for i, k := range c.cost {
		values[i] = of(k)
	}
	slices.Sort(values)
	return values[len(values)/2]
}

func (c *contender) cpu() time.Duration {
	return time.Duration(c.median(func(k cost) int64 { return int64(k.cpu) }))
}

// table prints the contenders with ratios to the first and to the second.
func (b *bench) table(title string, records int64, list ...*contender) {
	b.printf("\n%s\n\n| what | CPU s | ratio to the first | to the second | wall s | records/s | memory MB |\n|---|--:|--:|--:|--:|--:|--:|\n", title)
	for i, c := range list {
		wall := time.Duration(c.median(func(k cost) int64 { return int64(k.wall) }))
		second := ""
		if i > 0 && len(list) > 1 {
			second = fmt.Sprintf("%.2f", float64(c.cpu())/float64(list[1].cpu()))
		}
		rate := ""
		if records > 0 {
			rate = fmt.Sprintf("%.0f", float64(records)/wall.Seconds())
		}
		b.printf("| %s | %.2f | %.2f | %s | %.2f | %s | %d |\n", c.name, c.cpu().Seconds(),
			float64(c.cpu())/float64(list[0].cpu()), second, wall.Seconds(), rate, c.median(func(k cost) int64 { return k.memory })/1_000_000)
	}
}

// first is the shipped rule that everything begins with.
const first = "2ff64f61-0331-441d-80a8-000941cac929"

func (b *bench) ratios(ctx context.Context) error {
	dir, err := b.generate(ctx, "trail", b.records)
	if err != nil {
		return err
	}
	trails := []struct {
		name, dir string
		records   int64
	}{{fmt.Sprintf("A generated trail of %d records", b.records), dir, int64(b.records)}}
	if b.trail != "" {
		trails = append(trails, struct {
			name, dir string
			records   int64
		}{"A real trail: " + filepath.Base(b.trail), b.trail, 0})
	}
	for _, t := range trails {
		list := []*contender{
			b.decompress(t.dir),
			b.scan("scan, one rule", t.dir, "--rule", first),
			b.scan("scan, one rule, one worker", t.dir, "--rule", first, "--workers", "1"),
			b.scan("scan, the shipped rules", t.dir),
		}
		if b.rules != "" {
			list = append(list, b.scan("scan, all KQL rules", t.dir, "--rules", b.rules))
		}
		if err := b.race(ctx, list...); err != nil {
			return err
		}
		b.table(t.name, t.records, list...)
	}
	return nil
}

// ruleCounts measures the cost against the number of rules.
func (b *bench) ruleCounts(ctx context.Context) error {
	if b.rules == "" {
		return nil
	}
	dir, err := b.generate(ctx, "trail", b.records)
	if err != nil {
		return err
	}
	ids, err := b.runnable(ctx)
	if err != nil {
		return err
	}
	list := []*contender{b.decompress(dir)}
	for _, n := range []int{1, 10, 50, len(ids)} {
		flags := []string{"--rules", b.rules}
		for _, id := range ids[:min(n, len(ids))] {
			flags = append(flags, "--rule", id)
		}
		list = append(list, b.scan(fmt.Sprintf("rules: %d", n), dir, flags...))
	}
	if err := b.race(ctx, list...); err != nil {
		return err
	}
	b.table("Number of rules", int64(b.records), list...)
	return nil
}

// objects measures small objects against the same records in large ones.
func (b *bench) objects(ctx context.Context) error {
	n := b.records
	small, err := b.generate(ctx, "small", n, "--records-per-object", "10")
	if err != nil {
		return err
	}
	large, err := b.generate(ctx, "large", n, "--records-per-object", "1000")
	if err != nil {
		return err
	}
	list := []*contender{
		b.scan(fmt.Sprintf("%d records in %d objects", n, n/1000), large, "--rule", first),
		b.scan(fmt.Sprintf("the same in %d objects", n/10), small, "--rule", first),
		b.decompress(large), b.decompress(small),
	}
	if err := b.race(ctx, list...); err != nil {
		return err
	}
	b.table("Size of objects", int64(n), list...)
	return nil
}

// memory measures the greatest resident set as the input grows.
func (b *bench) memory(ctx context.Context) error {
	if !b.big {
		return nil
	}
	rounds := b.rounds
	b.rounds = 1
	defer func() { b.rounds = rounds }()
	var list []*contender
	for _, gb := range []int{1, 4, 10} {
		// A record is about 1,230 bytes of JSON.
		dir, err := b.generate(ctx, fmt.Sprintf("big-%d", gb), gb*1_000_000_000/1230)
		if err != nil {
			return err
		}
		flags := []string{"--rule", first}
		if b.rules != "" {
			flags = []string{"--rules", b.rules}
		}
		list = append(list, b.scan(fmt.Sprintf("%d GB of JSON", gb), dir, flags...))
	}
	if err := b.race(ctx, list...); err != nil {
		return err
	}
	b.table("Memory", 0, list...)
	return nil
}
