package rule

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/query"
)

// Lint reports what is questionable in sound rules: what works but probably not
// as meant. Warnings are worth a change; infos say what to know. What the rules say
// when they are compiled ([Set.Compile]) is included, what was said when they were
// loaded is not. The codes are stable and listed in docs/rules.md.
func Lint(set *Set, cat *ecs.Catalogue) query.Diagnostics {
	compiled, out := set.Compile(cat)
	conditions := make(map[*Rule]query.Expr, len(compiled))
	for _, c := range compiled {
		conditions[c.Rule] = c.Query
	}
	for _, r := range set.Rules {
		l := linter{Rule: r, cat: cat, expr: conditions[r], out: &out}
		l.metadata()
		l.schedule()
		l.grouping()
		l.suppression()
		l.query()
		l.fields()
	}
	out = excuse(set.Rules, out)
	sortDiagnostics(out)
	return out
}

// A linter looks at one rule.
type linter struct {
	*Rule
	cat  *ecs.Catalogue
	expr query.Expr // nil if the rule does not run
	out  *query.Diagnostics
}

// warn reports at the value that a path of names leads to, or, where the file has
// none, at the rule.
func (l *linter) warn(code, path, message, hint string) {
	l.report(query.Warning, code, path, message, hint)
}

func (l *linter) info(code, path, message, hint string) {
	l.report(query.Info, code, path, message, hint)
}

func (l *linter) report(severity query.Severity, code, path, message, hint string) {
	l.reportAt(severity, code, l.find(path, ""), message, hint)
}

// find returns the value that a path of names leads to, or nil. Of a list it is the
// element with that text, or with that field, if there is one.
func (l *linter) find(path, text string) *node {
	if l.tree == nil || path == "" {
		return nil
	}
	at := l.tree
	for name := range strings.SplitSeq(path, ".") {
		at = at.get(name)
	}
	if at == nil || text == "" {
		return at
	}
	for _, e := range at.list {
		if e.kind == kindString && e.text == text {
			return e
		}
		if f := e.get("field"); f != nil && f.text == text {
			return f
		}
	}
	return at
}

// reportAt reports at a value, or at the rule if the file does not have it.
func (l *linter) reportAt(severity query.Severity, code string, at *node, message, hint string) {
	if l.src == nil { // made by hand
		*l.out = append(*l.out, query.Diagnostic{
			Severity: severity, Code: code, File: l.File, RuleID: l.ID, Line: l.Line, Message: message, Hint: hint,
		})
		return
	}
	if at == nil || at.off < 0 {
		at = &node{off: l.tree.off, end: l.tree.off}
	}
	r := &reporter{src: l.src, ruleID: l.ID, out: l.out}
	r.at(severity, code, at.off, at.end, message, hint)
}

func (l *linter) metadata() {
	if strings.TrimSpace(l.Note) == "" && !l.BuildingBlock {
		l.info("missing-guide", "", "the rule has no investigation guide", "say in note what to look at, what is harmless, and what to do")
	}
	if len(l.Threat) == 0 {
		l.info("missing-threat", "", "the rule names no tactic", "add a threat entry, so that alerts can be read by tactic")
	}
	band := map[string][2]int{"low": {0, 21}, "medium": {22, 47}, "high": {48, 73}, "critical": {74, 100}}[l.Severity]
	if l.RiskScore < band[0] || l.RiskScore > band[1] {
		l.warn("severity-and-risk", "risk_score", fmt.Sprintf("risk_score %d does not fit severity %s", l.RiskScore, l.Severity),
			fmt.Sprintf("%s goes with %d to %d", l.Severity, band[0], band[1]))
	}
	if l.EnabledSet && !l.Enabled {
		l.info("disabled", "enabled", "the rule is disabled", "")
	}
	if l.MaxSignals > 1000 {
		l.warn("max-signals", "max_signals", fmt.Sprintf("max_signals is %d, but Kibana writes at most 1000 alerts a run", l.MaxSignals), "make the rule narrower, or suppress")
	}
}

func (l *linter) schedule() {
	from, err1 := parseDateMath(l.From)
	to, err2 := parseDateMath(l.To)
	if err1 != nil || err2 != nil || !from.Relative() || !to.Relative() {
		if err1 == nil && !from.Relative() {
			l.warn("absolute-window", "from", "from is a fixed time: the window grows with every run", "write it as now-…")
		}
		return
	}
	now := reference()
	window := to.At(now).Sub(from.At(now))
	if lookback := window - l.Interval; lookback < time.Minute && l.Type != MachineLearning {
		l.info("short-lookback", "from", fmt.Sprintf("the window reaches back %s beyond the interval of %s", span(lookback), span(l.Interval)),
			"a minute or more finds events that are indexed late")
	}
	if l.BuildingBlock && (window < 119*time.Minute || l.Interval < time.Hour) {
		l.info("building-block-schedule", "building_block_type", "a building block usually runs hourly over two hours", "")
	}
	if l.TimestampOverride != "event.ingested" && l.Type != MachineLearning && l.Type != ESQL {
		l.info("no-timestamp-override", "timestamp_override", "events that are indexed late can fall between the runs of this rule in Elastic",
			`timestamp_override = "event.ingested"; Debut itself goes by the time of the event and misses none`)
	}
	if l.Type != NewTerms {
		return
	}
	start, err := parseDateMath(l.HistoryWindowStart)
	switch baseline := from.At(now).Sub(start.At(now)); {
	case err != nil:
	case !start.Relative():
		l.warn("absolute-history", "history_window_start", "history_window_start is a fixed time: the history grows for ever", "write it as now-…")
	case baseline < max(window, 24*time.Hour):
		l.warn("short-history", "history_window_start", fmt.Sprintf("only %s of history: what happens once a day is new every day", span(baseline)),
			"a week or more is usual: now-7d")
	}
}

// span writes a duration shortly.
func span(d time.Duration) string {
	if day := 24 * time.Hour; d != 0 && d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// sessionFields hold a value that is new for each session of a role.
var sessionFields = map[string]string{ //nolint:gochecknoglobals // a constant table
	"aws.cloudtrail.user_identity.arn": "the ARN of an assumed role ends in the session's name",
	"user.id":                          "the id of an assumed role ends in the session's name",
	"aws.cloudtrail.user_identity.access_key_id":                 "each session has an access key of its own",
	"aws.cloudtrail.user_identity.session_context.creation_date": "each session has a time of its own",
	"user.email":   "the session's name stands here for an assumed role",
	"related.user": "it holds the session's name beside the user's",
	"aws.cloudtrail.flattened.request_parameters.roleSessionName": "it is the session's name",
	"aws.cloudtrail.flattened.request_parameters.sessionName":     "it is the session's name",
}

func (l *linter) grouping() {
	for _, f := range l.NewTermsFields {
		if why := sessionFields[f]; why != "" && l.sessionsMatch() {
			l.reportAt(query.Warning, "session-name-key", l.find("new_terms_fields", f), f+" is new for each role session: "+why,
				"key on debut.principal, which is the role itself")
		}
	}
	for _, f := range l.ThresholdFields {
		if why := sessionFields[f]; why != "" && l.sessionsMatch() {
			l.reportAt(query.Info, "session-name-group", l.find("threshold.field", f), f+" differs for each role session: "+why,
				"group by debut.principal to count a role's sessions together")
		}
	}
	if n := len(l.ThresholdFields); n > 5 {
		l.warn("threshold-fields", "threshold.field", fmt.Sprintf("the threshold groups by %d fields; Kibana takes at most 5, and 3 before 9.2", n), "group by fewer fields")
	}
	if len(l.Cardinality) > 1 {
		l.warn("second-cardinality", "threshold.cardinality", fmt.Sprintf("of %d cardinality conditions only the first counts", len(l.Cardinality)), "remove the others")
	}
	if l.Type == Threshold && l.ThresholdValue == 1 && len(l.Cardinality) == 0 {
		l.info("threshold-of-one", "threshold.value", "a threshold of 1 is reached by every event", "a rule of type query says the same and keeps the event's fields")
	}
	if len(l.Cardinality) > 0 && l.ThresholdValue < l.Cardinality[0].Value && l.ThresholdValue > 1 {
		l.info("threshold-below-cardinality", "threshold.value",
			fmt.Sprintf("a value of %d decides nothing: %d distinct values need %d events", l.ThresholdValue, l.Cardinality[0].Value, l.Cardinality[0].Value), "")
	}
}

func (l *linter) suppression() {
	s := l.Suppression
	if s == nil {
		return
	}
	if s.Duration > 0 && s.Duration < l.Interval {
		l.warn("short-suppression", "alert_suppression.duration",
			fmt.Sprintf("suppression for %s ends before the next run, %s later", span(s.Duration), span(l.Interval)), "suppress for longer than the interval, or per execution")
	}
	if l.Type == NewTerms {
		all := len(s.GroupBy) > 0
		for _, f := range l.NewTermsFields {
			all = all && slices.Contains(s.GroupBy, f)
		}
		if all {
			l.info("suppression-by-key", "alert_suppression.group_by", "the groups contain every new-terms field: each combination is new once, so nothing is suppressed", "group by fewer fields")
		}
	}
	for _, f := range s.GroupBy {
		if why := sessionFields[f]; why != "" && l.sessionsMatch() {
			l.reportAt(query.Info, "session-name-group", l.find("alert_suppression.group_by", f), f+" differs for each role session: "+why, "group by debut.principal")
		}
	}
}
