package rule

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/debutsec/debut/query"
)

// excuses returns why the rule does what lint warns of, by code. A TOML file says it
// in [metadata.extended.lint], the API's form in meta.lint: the two places where
// Elastic's formats leave room.
func (r *Rule) excuses() map[string]any {
	for _, place := range []any{r.Metadata["extended"], r.Parameters["meta"]} {
		if m, ok := place.(map[string]any); ok {
			if lint, ok := m["lint"].(map[string]any); ok {
				return lint
			}
		}
	}
	return nil
}

// excuse turns the warnings about the rules that these give reasons for into infos
// that repeat the reason.
func excuse(rules []*Rule, ds query.Diagnostics) query.Diagnostics {
	for _, r := range rules {
		excuses := r.excuses()
		for _, code := range slices.Sorted(maps.Keys(excuses)) {
			l := linter{Rule: r, out: &ds}
			reason, _ := excuses[code].(string)
			if strings.TrimSpace(reason) == "" {
				l.warn("excuse-without-reason", "", fmt.Sprintf("lint.%s is no text: the warning stays", code), "write why the rule is right as it is")
				continue
			}
			used := false
			for i := range ds {
				if d := &ds[i]; d.RuleID == r.ID && d.Code == code && d.Severity == query.Warning {
					d.Severity, d.Hint, used = query.Info, "excused: "+reason, true
				}
			}
			if !used {
				l.info("unused-excuse", "", fmt.Sprintf("lint.%s excuses nothing", code), "remove it")
			}
		}
	}
	return ds
}
