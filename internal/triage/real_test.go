package triage

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/debutsec/debut/internal/store"
)

// realData are trails of attack simulations of others. They are not part of the project:
// without them these tests are skipped.
const realData = "../../../shared/data/cloudtrail"

// TestInvictus triages the one command in a trail of 2,900 records that succeeded: the
// report names what the same key did around it.
func TestInvictus(t *testing.T) {
	t.Parallel()
	r := triageReal(t, newMemory(t, readTrail(t, filepath.Join(realData, "invictus")), nil), func(e *Event) bool {
		return e.Is("ssm", "SendCommand") && e.Error == ""
	})
	for step, keys := range map[string][]string{
		"T3":  nil,
		"T4":  {"enumeration"},
		"T10": {"polled", "parameters"},
		"T11": {"opened", "sweep"},
		"T12": {"persistence"},
		"T13": {"ingress", "shared-disk"},
		"T14": {"own"},
		"T16": {"elsewhere"},
	} {
		mustFind(t, r, step, keys...)
	}
	mustSay(t, r, "T10", "GetCommandInvocation", "twice", "GetParameter")
	mustSay(t, r, "T12", "Secrets were read", "AdministratorAccess", "somebody outside the organisation")
	mustSay(t, r, "T13", "ModifyDBSnapshotAttribute", "GetPasswordData")
	mustSay(t, r, "T14", "DeleteTrail", "PutEventSelectors", "DeleteFlowLogs", "StopLogging")
	mustSay(t, r, "T16", "i-0dbc91f429e48eeed", "192.168.10.20")
	if r.Verdict != Malicious {
		t.Errorf("the verdict is %s (%d)", r.Verdict, r.Score)
	}
}

// TestStratus triages the command of the first rule's case.
func TestStratus(t *testing.T) {
	t.Parallel()
	trail := readTrail(t, filepath.Join(realData, "stratus", "aws.execution.ssm-send-command.json"))
	r := triageReal(t, newMemory(t, trail, nil), func(e *Event) bool {
		return e.Is("ssm", "SendCommand")
	})
	mustFind(t, r, "T2", "arbitrary-code")
	mustFind(t, r, "T6", "selection")
	mustFind(t, r, "T7", "audit-tool")
	mustFind(t, r, "T10", "polled")
	mustSay(t, r, "T10", "4 times GetCommandInvocation")
	mustSay(t, r, "T1", "3 instances")
	mustSay(t, r, "T5", "hides")
	if !r.Cold {
		t.Error("the baseline is not called cold")
	}
	// The verdict rests on all of the steps.
	if len(Steps()) == 17 && r.Score < 40 {
		t.Errorf("the verdict is %s (%d)", r.Verdict, r.Score)
	}
}

// readTrail reads the records of a file or of all files in a directory: objects of a
// trail, or arrays of records.
func readTrail(t *testing.T, root string) (records [][]byte) {
	t.Helper()
	if _, err := os.Stat(root); err != nil {
		t.Skipf("skipped: %s is not there", root)
	}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.Contains(path, ".json") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if strings.HasSuffix(path, ".gz") {
			z, err := gzip.NewReader(bytes.NewReader(text))
			if err != nil {
				return err
			}
			if text, err = io.ReadAll(z); err != nil {
				return err
			}
		}
		var list []json.RawMessage
		if err := json.Unmarshal(text, &list); err != nil {
			var object struct{ Records []json.RawMessage }
			if err := json.Unmarshal(text, &object); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			list = object.Records
		}
		for _, r := range list {
			records = append(records, r)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return records
}

// triageReal makes an alert of the one event that is meant, on a baseline that is cold,
// and reports on it.
func triageReal(t *testing.T, m *memory, meant func(*Event) bool) *Report {
	t.Helper()
	in := (&fixture{}).input(t, (&fixture{}).records(t))
	i := slices.IndexFunc(m.all, func(s *store.Stored) bool { return meant(m.reader.read(s)) })
	if i < 0 {
		t.Fatal("the event is not there")
	}
	at := time.Unix(0, m.all[i].Time).UTC()
	in.Events, in.Coverage, in.Places, in.Catalogue = m, m, m, m.cat
	in.Alert.Time, in.Alert.Event, in.AsOf = at, m.all[i].ID, at.Add(24*time.Hour)
	r, err := Run(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	checkSum(t, r)
	return r
}

// mustFind checks that a step finds what it is worth, if there is such a step.
func mustFind(t *testing.T, r *Report, step string, keys ...string) {
	t.Helper()
	for _, key := range keys {
		if found := findings(r, step, key); hasStep(step) && (len(found) != 1 || found[0].Dropped != "") {
			t.Errorf("%s.%s is not found; the step says: %s", step, key, says(r, step))
		}
	}
}

// mustSay checks that the sentences of a step have some texts, if there is such a step.
func mustSay(t *testing.T, r *Report, step string, texts ...string) {
	t.Helper()
	for i := range r.Steps {
		for _, text := range texts {
			if r.Steps[i].ID == step && !strings.Contains(strings.ToLower(r.Steps[i].Answer), strings.ToLower(text)) {
				t.Errorf("%s does not say %q: %s", step, text, r.Steps[i].Answer)
			}
		}
	}
}

func hasStep(id string) bool {
	return slices.ContainsFunc(Steps(), func(s *Step) bool { return s.ID == id })
}
