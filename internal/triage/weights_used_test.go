package triage

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/debutsec/debut/internal/triage/command"
)

// askedFor are the rows and limits that the source asks for by names that stand in it.
type askedFor struct{ rows, numbers, durations []string }

// source reads what the steps ask for. A row is asked for by its key, in the file of its
// step.
func source(t *testing.T) (found askedFor) {
	t.Helper()
	names, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range names {
		if !strings.HasSuffix(d.Name(), ".go") || strings.HasSuffix(d.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), d.Name(), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		step, keys := "", []string(nil)
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.KeyValueExpr:
				if id, ok := n.Key.(*ast.Ident); ok && id.Name == "ID" {
					if s, ok := literal(n.Value); ok {
						step = s
					}
				}
			case *ast.CallExpr:
				f, ok := n.Fun.(*ast.SelectorExpr)
				if !ok || len(n.Args) == 0 {
					break
				}
				s, ok := literal(n.Args[0])
				if !ok {
					break
				}
				switch f.Sel.Name {
				case "Number":
					found.numbers = append(found.numbers, s)
				case "Duration":
					found.durations = append(found.durations, s)
				case "Find", "FindTimes", "rights":
					keys = append(keys, s)
				case "Row":
					found.rows = append(found.rows, s)
				}
			}
			return true
		})
		if step == "" && len(keys) > 0 {
			t.Errorf("%s finds %q and is the file of no step", d.Name(), keys)
		}
		for _, k := range keys {
			found.rows = append(found.rows, step+"."+k)
		}
	}
	return found
}

func literal(x ast.Expr) (string, bool) {
	l, ok := x.(*ast.BasicLit)
	if !ok || l.Kind != token.STRING {
		return "", false
	}
	s, err := strconv.Unquote(l.Value)
	return s, err == nil
}

// TestEveryRowIsUsed: what the code asks for is in weights.toml, and what is there is
// asked for, with the type that it has.
func TestEveryRowIsUsed(t *testing.T) {
	t.Parallel()
	w, err := ParseWeights()
	if err != nil {
		t.Fatal(err)
	}
	got := source(t)
	// Keys that stand in tables, or are made.
	c := &Case{Event: &Event{}}
	for step, deeds := range map[string][]deed{
		"T10": c.commandDeeds(nil), "T11": bucketDeeds(c), "T12": slices.Concat(rightsDeeds(), credentialDeeds()), "T13": computeDeeds(), "T14": tamperDeeds(logStore{}),
	} {
		for i := range deeds {
			if deeds[i].key != "" {
				got.rows = append(got.rows, step+"."+deeds[i].key)
			}
		}
	}
	for _, f := range command.Families() {
		got.rows = append(got.rows, "T5."+string(f))
	}
	for _, cl := range allClaims() {
		got.rows = append(got.rows, "F."+cl.key)
	}
	for _, n := range []string{"2", "3", "4"} {
		got.rows = append(got.rows, "T4.novel-"+n)
	}
	for _, severity := range []string{"medium", "high", "critical"} {
		got.rows = append(got.rows, "score.prior-"+severity)
	}
	var rows, numbers, durations []string
	for _, r := range w.Rows() {
		rows = append(rows, r.Key)
	}
	for name, v := range w.limits {
		if _, ok := v.(float64); ok {
			numbers = append(numbers, name)
		} else {
			durations = append(durations, name)
		}
	}
	for what, list := range map[string][2][]string{
		"rows": {rows, got.rows}, "limits that are numbers": {numbers, got.numbers}, "limits that are durations": {durations, got.durations},
	} {
		for i := range list {
			slices.Sort(list[i])
			list[i] = slices.Compact(list[i])
		}
		if d := cmp.Diff(list[0], list[1]); d != "" {
			t.Errorf("%s (-weights.toml +code):\n%s", what, d)
		}
	}
}

// TestEveryCategoryIsCapped: what raises suspicion has a category, each category with
// such rows has a cap, and no cap is for nothing.
func TestEveryCategoryIsCapped(t *testing.T) {
	t.Parallel()
	w, err := ParseWeights()
	if err != nil {
		t.Fatal(err)
	}
	raising := map[string]bool{"benign": true}
	for _, r := range w.Rows() {
		if r.Points > 0 && !strings.HasPrefix(r.Key, "score.") {
			raising[r.Category] = true
		}
		if r.Points == 0 || r.Means == "" {
			t.Errorf("%s is worth %d and means %q", r.Key, r.Points, r.Means)
		}
	}
	for name := range raising {
		if w.Caps[name] == 0 {
			t.Errorf("the category %q has no cap: it would count nothing", name)
		}
	}
	for name := range w.Caps {
		if !raising[name] {
			t.Errorf("the cap of %q is for nothing", name)
		}
		// A cap does what it says.
		r := &Report{Steps: []Answer{{ID: "T1", Findings: []Finding{{Key: "x", Category: name, Points: 1000}, {Key: "y", Category: name, Points: -1000}}}}}
		if name == "benign" {
			r.Steps[0].Findings = r.Steps[0].Findings[1:]
		} else {
			r.Steps[0].Findings = r.Steps[0].Findings[:1]
		}
		(&Case{Input: Input{Weights: w}}).add(r)
		if len(r.Categories) != 1 || max(r.Categories[0].Points, -r.Categories[0].Points) != w.Caps[name] {
			t.Errorf("%s: %+v, the cap is %d", name, r.Categories, w.Caps[name])
		}
	}
}

// TestEveryThresholdActs: the verdict changes at each threshold and nowhere else.
func TestEveryThresholdActs(t *testing.T) {
	t.Parallel()
	w, err := ParseWeights()
	if err != nil {
		t.Fatal(err)
	}
	c := &Case{Input: Input{Weights: w}, Event: &Event{}, Baseline: &Baseline{Complete: true}}
	left := maps.Clone(w.Verdicts)
	for score := 1; score <= 100; score++ {
		was, is := c.verdict(&Report{}, score-1, false, 2), c.verdict(&Report{}, score, false, 2)
		switch {
		case was == is:
		case left[is] != score:
			t.Errorf("%s begins at %d, the table says %d", is, score, left[is])
		default:
			delete(left, is)
		}
	}
	// Only what is critical is malicious, and then at least at its threshold.
	r := &Report{Steps: []Answer{{ID: "T14", Findings: []Finding{{Key: "own", Points: 1, Category: "tamper", Critical: true}}}}}
	c.judge(r)
	if r.Verdict != Malicious || r.Score != left[Malicious] {
		t.Errorf("a critical finding: %s, %d", r.Verdict, r.Score)
	}
	delete(left, Malicious)
	if len(left) > 0 {
		t.Errorf("thresholds that do nothing: %v", left)
	}
}
