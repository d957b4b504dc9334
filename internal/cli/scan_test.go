package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
)

const sample = "../../examples/trail"

// debut runs the program as main does.
func debut(ctx context.Context, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = Main(&Env{
		Context: ctx, Args: args, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs,
		Getenv: func(string) string { return "" },
		Now:    func() time.Time { return time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC) },
	})
	return code, out.String(), errs.String()
}

// cityOf writes a city database that knows the address of the sample's attack.
func cityOf(t *testing.T, name string) string {
	t.Helper()
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "Example-City", IncludeReservedNetworks: true})
	if err != nil {
		t.Fatal(err)
	}
	insert := func(cidr, code, country string) {
		_, network, err := net.ParseCIDR(cidr)
		if err != nil {
			t.Fatal(err)
		}
		if err := tree.Insert(network, mmdbtype.Map{"country": mmdbtype.Map{
			"iso_code": mmdbtype.String(code), "names": mmdbtype.Map{"en": mmdbtype.String(country)},
		}}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 200 { // more than are looked at when it is opened
		insert(fmt.Sprintf("10.%d.0.0/16", i), "XX", fmt.Sprintf("Country %d", i))
	}
	insert("203.0.113.0/24", "IS", "Iceland")
	path := filepath.Join(t.TempDir(), name)
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tree.WriteTo(f); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// A database of places reaches the alerts, and damage in one is told.
func TestGeoIP(t *testing.T) {
	t.Parallel()
	args := []string{"scan", "--quiet", "--learn", "7d", "--format", "csv", "--geoip"}
	good := cityOf(t, "city.mmdb")
	code, stdout, stderr := debut(t.Context(), append(args, good, sample)...)
	if code != ExitOK || !strings.Contains(stdout, "203.0.113.77,IS,") || stderr != "" {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}

	data, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(data, []byte("Iceland"))
	copy(data[at-1:], "\xff\xff\xff\xff") // a length that leads nowhere
	bad := filepath.Join(t.TempDir(), "damaged.mmdb")
	if err := os.WriteFile(bad, data, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, cmd := range [][]string{append(args, bad, sample), {"ecs", "--geoip", bad, sample}} {
		code, _, stderr = debut(t.Context(), cmd...)
		if code != ExitOK || !strings.Contains(stderr, "warning: ") || !strings.Contains(stderr, "damaged.mmdb") {
			t.Errorf("%s: exit %d, %q", cmd[0], code, stderr)
		}
	}
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	report := filepath.Join(t.TempDir(), "report.html")
	for name, test := range map[string]struct {
		ctx  context.Context //nolint:containedctx // of a test's case
		args []string
		code int
	}{
		"alerts":            {t.Context(), []string{"scan", sample}, ExitOK},
		"alerts to fail on": {t.Context(), []string{"scan", "--fail-on", "medium", sample}, ExitAlerts},
		"the same streamed": {t.Context(), []string{"scan", "--fail-on", "low", "--format", "ndjson", sample}, ExitAlerts},
		"less than that":    {t.Context(), []string{"scan", "--fail-on", "high", sample}, ExitOK},
		"interrupted":       {stopped, []string{"scan", "--format", "html", "--output", report, sample}, ExitFailed},
		"wrong flag":        {t.Context(), []string{"scan", "--no-such-flag", sample}, ExitUsage},
	} {
		if code, _, stderr := debut(test.ctx, test.args...); code != test.code {
			t.Errorf("%s: exit %d, not %d\n%s", name, code, test.code, stderr)
		}
	}
	// What was interrupted leaves nothing that could be taken for a report.
	if entries, err := os.ReadDir(filepath.Dir(report)); err != nil || len(entries) > 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

// A result that cannot be written is a failure, whatever the format.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"scan", "--format", "table", sample},
		{"scan", "--format", "ndjson", sample},
		{"scan", "--format", "csv", sample},
		{"scan", "--format", "markdown", sample},
		{"scan", "--format", "html", sample},
		{"ecs", sample},
		{"rules", "list"},
		{"rules", "list", "--format", "json"},
		{"rules", "check"},
		{"rules", "show"},
		{"rules", "lint"},
		{"version"},
	} {
		var errs bytes.Buffer
		code := Main(&Env{
			Context: t.Context(), Args: args, Stdin: strings.NewReader(""), Stdout: fullDisk{}, Stderr: &errs,
			Getenv: func(string) string { return "" }, Now: time.Now,
		})
		if code != ExitFailed || !strings.Contains(errs.String(), "error: ") || !strings.Contains(errs.String(), errFull.Error()) {
			t.Errorf("%v: exit %d, %s", args, code, errs.String())
		}
	}
}

type fullDisk struct{}

var errFull = io.ErrShortWrite

func (fullDisk) Write([]byte) (int, error) { return 0, errFull }
