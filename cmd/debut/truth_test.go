package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/debutsec/debut/internal/cli"
)

// TestTruth scans a generated trail and compares the alerts with the truth that the
// generator wrote beforehand, event by event: every first sight and return of a
// principal with an action, and every case of SendCommand. DEBUT_TRUTH sets the
// number of records.
func TestTruth(t *testing.T) {
	t.Parallel()
	records := 20_000
	if s := os.Getenv("DEBUT_TRUTH"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("DEBUT_TRUTH: %v", err)
		}
		records = n
	}
	dir := filepath.Join(t.TempDir(), "trail")
	if r := debut(t, "generate", "--records", strconv.Itoa(records), "--seed", "42", "--days", "10", dir); r.code != cli.ExitOK {
		t.Fatalf("generate ended with %d:\n%s", r.code, r.stderr)
	}
	want, window := truth(t, dir)

	pairs := filepath.Join(t.TempDir(), "pairs.json")
	text := fmt.Sprintf(`{"rule_id":"pairs","name":"pairs","description":"A principal's first use of an action.","type":"new_terms",`+
		`"language":"kuery","query":"event.provider: * and event.action: *","severity":"low","risk_score":1,"max_signals":10000,`+
		`"new_terms_fields":["debut.principal","event.provider","event.action"],"history_window_start":%q,"from":"now-9m"}`, window)
	if err := os.WriteFile(pairs, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for check, args := range map[string][]string{
		"pairs":        {"--rules", pairs},
		"send-command": {"--rule", shippedFirst},
	} {
		got := []string{}
		for _, a := range alerts(t, append(args, dir)...) {
			got = append(got, fmt.Sprint(path(a, "event", "id")))
		}
		slices.Sort(got)
		t.Logf("%s: %d records, %d alerts as told beforehand", check, records, len(want[check]))
		if len(want[check]) == 0 {
			t.Errorf("%s: the truth tells of no alert", check)
		}
		if d := cmp.Diff(want[check], got); d != "" {
			t.Errorf("%s: the alerts are not those of the truth (-truth +alerts):\n%s", check, d)
		}
	}
}

// truth reads the events that must alert, by check, and the window of the pairs.
func truth(t *testing.T, dir string) (alerts map[string][]string, window string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, ".truth", "truth.ndjson"))
	if err != nil {
		t.Fatal(err)
	}
	alerts = map[string][]string{}
	for line := range strings.Lines(string(text)) {
		var v struct {
			Check, EventID, Window string
			Alert                  bool
		}
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatal(err)
		}
		if v.Check == "pairs" {
			window = "now-" + v.Window
		}
		if v.Alert {
			alerts[v.Check] = append(alerts[v.Check], v.EventID)
		}
	}
	for _, list := range alerts {
		slices.Sort(list)
	}
	return alerts, window
}
