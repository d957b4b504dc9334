package notify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nicholas-fedor/shoutrrr/pkg/router"
	"github.com/nicholas-fedor/shoutrrr/pkg/types"
	"github.com/nicholas-fedor/shoutrrr/pkg/util/jsonclient"

	"github.com/debutsec/debut/internal/store"
)

// shoutrrrTimeout is how long a service may take. Discord's waits by itself for five
// minutes when it is told to.
const shoutrrrTimeout = 6 * time.Minute

// A service is what is known of one of shoutrrr's services: how it reads text, and
// whether it has a title of its own. Those that are not listed get plain text with the
// title as its first line.
type service struct {
	dialect dialect
	title   bool
	// host: the URL's host is a server's address, not a token.
	host  bool
	limit int // bytes of text; 0: as everywhere
	// params are set for every message, %key% standing for its idempotency key.
	params map[string]string
}

const paramKey = "%key%"

func serviceOf(scheme string) service {
	switch scheme {
	case "discord":
		return service{dialect: codeSpans, title: true, params: map[string]string{"splitLines": "No"}}
	case "notifiarr":
		return service{dialect: codeSpans}
	case "mattermost", "rocketchat", "zulip":
		return service{dialect: codeSpans, host: true}
	case "slack":
		return service{dialect: slackText, title: true}
	case "googlechat", "hangouts":
		return service{dialect: slackText, host: true}
	case "teams":
		return service{dialect: escaped, title: true}
	case "telegram":
		return service{params: map[string]string{"parsemode": "None", "preview": "No"}}
	case "smtp":
		return service{title: true, host: true, params: map[string]string{"usehtml": "No"}}
	case "generic", "ntfy", "gotify", "bark", "matrix":
		return service{title: true, host: true}
	case "pushover":
		return service{title: true, limit: 1000}
	case "lark":
		return service{title: true}
	case "opsgenie":
		return service{title: true, host: true, params: map[string]string{"alias": paramKey}}
	case "pagerduty":
		return service{host: true, params: map[string]string{"dedup_key": paramKey}}
	case "signal":
		return service{host: true}
	}
	return service{}
}

type shoutrrrTransport struct {
	url     string
	service service
	mask    masker
	// busy: shoutrrr cannot be told to stop, and has not come back from a message that
	// was given up on.
	busy atomic.Bool
}

func openShoutrrr(rawURL string) (transport, error) {
	scheme, _, _ := strings.Cut(rawURL, ":")
	scheme, _, _ = strings.Cut(scheme, "+") // generic+https
	s := serviceOf(scheme)
	t := &shoutrrrTransport{url: rawURL, service: s, mask: newMasker(rawURL, s.host)}
	u, err := url.Parse(rawURL)
	switch {
	case err != nil:
		return nil, errors.New("url: it is not a URL; percent-encode what is special in its tokens")
	case scheme == "logger":
		return nil, errors.New("url: shoutrrr's logger writes to no place that anybody reads")
	case scheme == "matrix" && u.User.Username() != "": // shoutrrr would log in here, and for every message
		return nil, errors.New("url: give Matrix an access token in place of user and password: matrix://:TOKEN@host/?rooms=…")
	}
	if _, err := t.locate(); err != nil {
		return nil, fmt.Errorf("url: shoutrrr: %s", t.mask.clean(err.Error()))
	}
	return t, nil
}

// locate makes the service anew: some keep what one message set for the next.
func (t *shoutrrrTransport) locate() (s types.Service, err error) {
	defer func() { // it reads a URL that is not ours
		if v := recover(); v != nil {
			err = errors.New("the URL cannot be read")
		}
	}()
	return new(router.ServiceRouter).Locate(t.url)
}

func (t *shoutrrrTransport) send(ctx context.Context, m *store.Message, _ time.Time) (string, error) {
	if !t.busy.CompareAndSwap(false, true) {
		return "", &sendError{text: "the service has not answered the message before yet"}
	}
	s, err := t.locate()
	if err != nil {
		t.busy.Store(false)
		return "", &sendError{text: t.mask.clean(err.Error())}
	}
	text, params := t.compose(m)
	done := make(chan error, 1)
	go func() {
		defer t.busy.Store(false)
		defer func() {
			if v := recover(); v != nil {
				done <- fmt.Errorf("shoutrrr panicked: %v", v)
			}
		}()
		done <- s.Send(text, &params)
	}()
	timeout := time.NewTimer(shoutrrrTimeout)
	defer timeout.Stop()
	select {
	case err = <-done:
	case <-timeout.C:
		return "", &sendError{text: "no answer within " + shoutrrrTimeout.String()}
	case <-ctx.Done():
		return "", &sendError{text: "interrupted"}
	}
	if err != nil {
		return "", t.failed(err)
	}
	return "accepted", nil
}

func (t *shoutrrrTransport) compose(m *store.Message) (string, types.Params) {
	r := render(m, t.service.dialect, cmp.Or(t.service.limit, maxText))
	params := types.Params{}
	for k, v := range t.service.params {
		params[k] = strings.ReplaceAll(v, paramKey, m.Key)
	}
	if t.service.title {
		params.SetTitle(r.title)
		return r.text, params
	}
	return r.title + "\n" + r.text, params
}

func (t *shoutrrrTransport) failed(err error) *sendError {
	out := &sendError{fault: unclear, text: t.mask.clean(err.Error())}
	var answer jsonclient.Error
	if errors.As(err, &answer) && answer.StatusCode != 0 {
		out.fault = faultOf(answer.StatusCode)
		if body := t.mask.clean(answer.Body); body != "" {
			out.text = clip(out.text+" ("+strconv.Itoa(answer.StatusCode)+": "+body+")", maxAnswer)
		}
	}
	return out
}

func (*shoutrrrTransport) close() {}
