package cli

import (
	"bytes"
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/debutsec/debut/internal/report"
	"github.com/debutsec/debut/internal/server/api"
	"github.com/debutsec/debut/internal/store"
)

// ExceptionsCmd holds the commands about exceptions that are managed in the store;
// those in rule files are changed there.
type ExceptionsCmd struct {
	List   ExceptionsListCmd   `cmd:"" help:"List the exceptions that were added by command or API."`
	Test   ExceptionsTestCmd   `cmd:"" help:"Say which alerts an exception would have hidden; store nothing."`
	Add    ExceptionsAddCmd    `cmd:"" help:"Test an exception, store it and apply it."`
	Delete ExceptionsDeleteCmd `cmd:"" help:"Delete exceptions."`
}

// ExceptionsListCmd lists exceptions.
type ExceptionsListCmd struct {
	serverFlags
	formatFlag
}

// Help is shown below the flags.
func (*ExceptionsListCmd) Help() string {
	return `Examples:
  debut exceptions list`
}

// Run implements the command.
func (c *ExceptionsListCmd) Run(env *Env) error {
	var list api.ExceptionList
	if err := c.get(env, "/exceptions", nil, &list); err != nil {
		return err
	}
	l := &report.List{Header: []string{"ID", "NAME", "RULES", "WHERE", "UNTIL", "HIDES", "BY", "SINCE"}}
	for _, e := range list.Exceptions {
		l.Rows = append(l.Rows, []string{
			e.ID, e.Name, strings.Join(e.RuleIDs, " "), words(e.Entries), moment(e.Expire), strconv.FormatInt(e.Hides, 10), e.By, moment(e.Created),
		})
	}
	return c.print(env, list, l, "No exceptions.")
}

// get asks once.
func (f *serverFlags) get(env *Env, path string, query url.Values, out any) error {
	cl, err := f.connect(env, false)
	if err != nil {
		return err
	}
	return cmp.Or(cl.call(http.MethodGet, path, query, nil, out), cl.close())
}

// send changes something once.
func (f *serverFlags) send(env *Env, method, path string, body, out any) error {
	cl, err := f.connect(env, true)
	if err != nil {
		return err
	}
	return cmp.Or(cl.call(method, path, nil, body, out), cl.close())
}

// exceptionFlags make an exception.
type exceptionFlags struct {
	Rule    []string `required:"" placeholder:"ID" help:"Id of the rule that it is for. Repeatable."`
	Where   []string `required:"" sep:"none" placeholder:"CONDITION" help:"What must hold, as 'FIELD is VALUE'. Repeatable: all must hold."`
	Name    string   `placeholder:"TEXT" help:"Why it exists; the conditions if not given."`
	Comment string   `placeholder:"TEXT" help:"More about it."`
	Expire  string   `placeholder:"T" help:"Act on events until then (RFC 3339, a date, or date math: now+30d)."`
}

const conditionHelp = `Conditions:
  FIELD is VALUE               FIELD is not VALUE
  FIELD is one of A, B         FIELD is not one of A, B
  FIELD matches PATTERN        FIELD does not match PATTERN      (* any run, ? one character)
  FIELD exists                 FIELD does not exist
A condition with "not" also holds for events without the field. Letter case counts.`

func (f *exceptionFlags) input(env *Env) (*api.ExceptionInput, error) {
	in := &api.ExceptionInput{Name: cmp.Or(f.Name, strings.Join(f.Where, " and ")), Comment: f.Comment, RuleIDs: f.Rule}
	if len(in.Name) > 200 && f.Name == "" {
		in.Name = "exception of " + env.Now().UTC().Format(time.DateOnly)
	}
	for _, text := range f.Where {
		e, err := parseCondition(text)
		if err != nil {
			return nil, err
		}
		in.Entries = append(in.Entries, e)
	}
	if f.Expire != "" {
		var err error
		if in.Expire, err = parseTime("--expire", f.Expire, env.Now()); err != nil {
			return nil, err
		}
	}
	return in, nil
}

// operators are the words of conditions; of two that begin alike the longer is first.
var operators = []struct{ words, kind, operator string }{ //nolint:gochecknoglobals // a constant table
	{"is not one of", "match_any", "excluded"},
	{"is one of", "match_any", "included"},
	{"is not", "match", "excluded"},
	{"is", "match", "included"},
	{"matches", "wildcard", "included"},
	{"does not match", "wildcard", "excluded"},
	{"exists", "exists", "included"},
	{"does not exist", "exists", "excluded"},
}

func parseCondition(text string) (store.ExceptionEntry, error) {
	field, rest, _ := strings.Cut(strings.TrimSpace(text), " ")
	rest = strings.TrimSpace(rest)
	for _, op := range operators {
		value, ok := strings.CutPrefix(rest, op.words)
		if !ok || value != "" && value[0] != ' ' {
			continue
		}
		value = strings.TrimSpace(value)
		e := store.ExceptionEntry{Field: field, Type: op.kind, Operator: op.operator}
		switch {
		case op.kind == "exists" && value != "", op.kind != "exists" && value == "":
			continue
		case op.kind == "match_any":
			for v := range strings.SplitSeq(value, ",") {
				if v = strings.TrimSpace(v); v != "" {
					e.Values = append(e.Values, v)
				}
			}
		case op.kind != "exists":
			e.Values = []string{value}
		}
		return e, nil
	}
	return store.ExceptionEntry{}, &ExitError{
		Code: ExitUsage, Err: fmt.Errorf("--where %q is no condition", text), Hint: "write it as 'source.ip is 192.0.2.1'; --help shows the forms",
	}
}

// words writes conditions as they are typed.
func words(entries []store.ExceptionEntry) string {
	parts := make([]string, len(entries))
	for i, e := range entries {
		parts[i] = e.Field + " " + e.Type + " " + strings.Join(e.Values, ", ")
		for _, op := range operators {
			if op.kind == e.Type && op.operator == cmp.Or(e.Operator, "included") {
				parts[i] = strings.TrimSpace(e.Field + " " + op.words + " " + strings.Join(e.Values, ", "))
			}
		}
	}
	return strings.Join(parts, " and ")
}

// ExceptionsTestCmd tests an exception.
type ExceptionsTestCmd struct {
	exceptionFlags
	serverFlags
	formatFlag
}

// Help is shown below the flags.
func (*ExceptionsTestCmd) Help() string {
	return conditionHelp + `

Examples:
  debut exceptions test --rule 2ff64f61-0331-441d-80a8-000941cac929 --where 'source.ip is 192.0.2.1'`
}

// Run implements the command.
func (c *ExceptionsTestCmd) Run(env *Env) error {
	in, err := c.input(env)
	if err != nil {
		return err
	}
	cl, err := c.connect(env, false)
	if err != nil {
		return err
	}
	var t api.Trial
	if err = cmp.Or(cl.call(http.MethodPost, "/exceptions/test", nil, in, &t), cl.close()); err != nil {
		return err
	}
	if c.Format == "json" {
		return writeJSON(env, t)
	}
	var b bytes.Buffer
	warn(env, t.Diagnostics)
	b.WriteString(verdictOf(&t) + "\n")
	if len(t.Alerts) > 0 {
		if err := alertRows(t.Alerts).Table(&b, tableOptions(env)); err != nil {
			return fmt.Errorf("write the list: %w", err)
		}
	}
	return write(env, b.Bytes())
}

func verdictOf(t *api.Trial) string {
	n := plural(t.Hides, "alert", "alerts")
	if t.More {
		n = "at least " + n
	}
	text := fmt.Sprintf("would have hidden %s since %s", n, t.From.UTC().Format(time.DateOnly))
	if len(t.Alerts) > 0 {
		text += ":"
	}
	return text
}

// warn prints what is questionable.
func warn(env *Env, list []api.Diagnostic) {
	for _, d := range list {
		env.say("%s: %s\n", d.Severity, safeText(d.Message))
		if d.Hint != "" {
			env.say("hint: %s\n", safeText(d.Hint))
		}
	}
}

// ExceptionsAddCmd adds an exception.
type ExceptionsAddCmd struct {
	exceptionFlags
	serverFlags
}

// Help is shown below the flags.
func (*ExceptionsAddCmd) Help() string {
	return conditionHelp + `

Examples:
  debut exceptions add --rule 2ff64f61-0331-441d-80a8-000941cac929 --name "the pipeline, until it has moved" \
    --where 'debut.principal is arn:aws:iam::111122223333:role/deploy' --expire now+30d`
}

// Run implements the command.
func (c *ExceptionsAddCmd) Run(env *Env) error {
	in, err := c.input(env)
	if err != nil {
		return err
	}
	var saved api.ExceptionSaved
	if err := c.send(env, http.MethodPost, "/exceptions", in, &saved); err != nil {
		return err
	}
	warn(env, saved.Trial.Diagnostics)
	env.say("exception stored; it %s\n", strings.TrimSuffix(verdictOf(saved.Trial), ":"))
	return write(env, []byte(saved.Exception.ID+"\n"))
}

// ExceptionsDeleteCmd deletes exceptions.
type ExceptionsDeleteCmd struct {
	serverFlags

	IDs []string `arg:"" name:"id" help:"Ids of exceptions."`
}

// Help is shown below the flags.
func (*ExceptionsDeleteCmd) Help() string {
	return `Examples:
  debut exceptions delete 0123456789abcdef`
}

// Run implements the command.
func (c *ExceptionsDeleteCmd) Run(env *Env) error {
	return c.remove(env, "/exceptions/", "exception", c.IDs)
}

// remove deletes records of a kind, one after the other, up to the first that cannot be
// deleted.
func (f *serverFlags) remove(env *Env, path, kind string, ids []string) error {
	cl, err := f.connect(env, true)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err = cl.call(http.MethodDelete, path+url.PathEscape(id), nil, nil, nil); err != nil {
			break
		}
		env.say("%s %s deleted\n", kind, id)
	}
	return cmp.Or(err, cl.close())
}
