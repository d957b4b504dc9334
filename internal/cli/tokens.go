package cli

import (
	"cmp"
	"net/http"
	"time"

	"github.com/debutsec/debut/internal/report"
	"github.com/debutsec/debut/internal/server/api"
)

// TokensCmd holds the commands about tokens of the API.
type TokensCmd struct {
	Create TokensCreateCmd `cmd:"" help:"Make a token and print it, this once."`
	List   TokensListCmd   `cmd:"" help:"List tokens, without their secrets."`
	Delete TokensDeleteCmd `cmd:"" help:"Delete tokens; they are worth nothing from then on."`
}

// TokensCreateCmd makes a token.
type TokensCreateCmd struct {
	serverFlags

	Name   string `arg:"" help:"Who or what uses it, as the audit log will name it."`
	Role   string `required:"" enum:"read,triage,admin,push" help:"read, triage, admin (each may do what those before it may), or push (send records, nothing else)."`
	Expire string `placeholder:"T" help:"When it expires: RFC 3339, a date, or now+90d."`
}

// Help is shown below the flags.
func (*TokensCreateCmd) Help() string {
	return `Examples:
  debut tokens create --role admin ana
  debut tokens create --role push --expire now+1y firehose`
}

// Run implements the command.
func (c *TokensCreateCmd) Run(env *Env) error {
	in := api.TokenInput{Name: c.Name, Role: c.Role}
	var err error
	if c.Expire != "" {
		if in.Expire, err = parseTime("--expire", c.Expire, env.Now()); err != nil {
			return err
		}
	}
	// A server that others can reach needs a token before it starts for the first time.
	cl, err := c.connectOr(env, true, true)
	if err != nil {
		return err
	}
	var made api.NewToken
	if err := cmp.Or(cl.call(http.MethodPost, "/tokens", nil, in, &made), cl.close()); err != nil {
		return err
	}
	env.say("token %s of role %s; keep it, it is not shown again\n", made.Token.ID, made.Token.Role)
	return write(env, []byte(made.Value+"\n"))
}

// TokensListCmd lists tokens.
type TokensListCmd struct {
	serverFlags
	formatFlag
}

// Help is shown below the flags.
func (*TokensListCmd) Help() string {
	return `Examples:
  debut tokens list`
}

// Run implements the command.
func (c *TokensListCmd) Run(env *Env) error {
	var list api.TokenList
	if err := c.get(env, "/tokens", nil, &list); err != nil {
		return err
	}
	l := &report.List{Header: []string{"ID", "NAME", "ROLE", "CREATED (UTC)", "EXPIRES", "LAST USED"}}
	for _, t := range list.Tokens {
		expires := "never"
		switch {
		case t.Expire.IsZero():
		case !env.Now().Before(t.Expire):
			expires = "expired " + moment(t.Expire)
		default:
			expires = moment(t.Expire)
		}
		used := "never"
		if !t.Used.IsZero() {
			used = t.Used.UTC().Format("2006-01-02 15h")
		}
		l.Rows = append(l.Rows, []string{t.ID, t.Name, t.Role, t.Created.UTC().Format(time.DateTime), expires, used})
	}
	return c.print(env, list, l, "No tokens.")
}

// TokensDeleteCmd deletes tokens.
type TokensDeleteCmd struct {
	serverFlags

	IDs []string `arg:"" name:"id" help:"Ids of tokens."`
}

// Help is shown below the flags.
func (*TokensDeleteCmd) Help() string {
	return `Examples:
  debut tokens delete 0123456789abcdef`
}

// Run implements the command.
func (c *TokensDeleteCmd) Run(env *Env) error { return c.remove(env, "/tokens/", "token", c.IDs) }
