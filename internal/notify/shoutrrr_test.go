package notify

import (
	"encoding/json"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/nicholas-fedor/shoutrrr/pkg/format"
	"github.com/nicholas-fedor/shoutrrr/pkg/types"

	"github.com/debutsec/debut/internal/store"
)

// Everything that shoutrrr posts with its default client goes through here; none of
// the tests below may meet another test's connections.
func TestShoutrrrGeneric(t *testing.T) {
	t.Parallel()
	s := newHookServer(t)
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	to, err := openShoutrrr("generic://" + u.Host + "/T0KEN-path?template=json&disabletls=yes&key=T0KEN-query")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	if answer, err := to.send(t.Context(), alertMessage(), start); err != nil || answer != "accepted" {
		t.Fatalf("%q, %v", answer, err)
	}
	m := alertMessage()
	m.Alert.Rule = "another" // the title of one message is not kept for the next
	if _, err := to.send(t.Context(), m, start); err != nil {
		t.Fatal(err)
	}
	for i, title := range []string{"[low] SSM command by a new principal", "[low] another"} {
		var got map[string]string
		if err := json.Unmarshal([]byte(s.bodies[i]), &got); err != nil {
			t.Fatal(err)
		}
		if got["title"] != title || !strings.Contains(got["message"], "Next: debut alerts show 3f2a91c0ffee") {
			t.Errorf("got %q", got)
		}
	}
	s.answer = func(w http.ResponseWriter) { w.WriteHeader(http.StatusInternalServerError) }
	if _, err := to.send(t.Context(), m, start); err == nil || !strings.Contains(err.Error(), "500") {
		t.Errorf("got %v", err)
	}
	s.Close()
	if _, err := to.send(t.Context(), m, start); err == nil || strings.Contains(err.Error(), "T0KEN") || !strings.Contains(err.Error(), "refused") {
		t.Errorf("got %v", err)
	}
}

// URLs as the services' documentation has them; none of their secrets is ever shown.
func TestSecretsOfShoutrrrAreNotShown(t *testing.T) {
	t.Parallel()
	for raw, target := range map[string]string{
		"slack://hook:WNA3PBYV6-F20DUQND3RQ-Webc4MAvoacrpPakR8phF0zi@webhook":                               "slack",
		"discord://Secrettoken123456@98765432101234567":                                                     "discord",
		"telegram://110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw@telegram?chats=@mychannel":                 "telegram",
		"smtp://user%40example.com:s3cr3t%2Fpass@mail.example.com:587/?from=a@example.com&to=b@example.com": "smtp",
		"gotify://push.example.com/AzyoeNS.D4iJLVa":                                                         "gotify",
		"generic+https://hooks.example.com/Secrettoken123456?key=Secrettoken78910":                          "generic+https",
	} {
		c := Channel{Name: "x", URL: Secret(raw)}
		if err := c.Validate(); err != nil {
			t.Errorf("%s: %v", target, err)
			continue
		}
		if c.Target() != target {
			t.Errorf("target %q", c.Target())
		}
		to, err := openShoutrrr(raw)
		if err != nil {
			t.Fatal(err)
		}
		mask := to.(*shoutrrrTransport).mask
		u, err := url.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		password, _ := u.User.Password()
		for _, text := range []string{
			"Post " + raw + ": EOF",
			`Post "https://hooks.slack.com/services/WNA3PBYV6/F20DUQND3RQ/Webc4MAvoacrpPakR8phF0zi": dial tcp: lookup hooks.slack.com`,
			"token " + password + " of " + u.User.Username() + " at " + u.Path + " with " + u.RawQuery,
		} {
			got := mask.clean(text)
			for _, secret := range []string{"WNA3PBYV6", "Webc4MA", "Secrettoken", "AAHdqTcv", "s3cr3t", "AzyoeNS"} {
				if strings.Contains(raw, secret) && strings.Contains(got, secret) {
					t.Errorf("%s: %s", target, got)
				}
			}
		}
	}
	if got := newMasker("gotify://push.example.com/AzyoeNS.D4iJLVa", true).clean("dial tcp: lookup push.example.com: no such host"); got != "dial tcp: lookup push.example.com: no such host" {
		t.Errorf("a mask that hides what is wrong: %s", got)
	}
}

func TestChannelsAreChecked(t *testing.T) {
	t.Parallel()
	hook := &Webhook{URL: "https://hooks.example.com", Secret: hookSecret}
	for want, c := range map[string]Channel{
		"name: 1 to 64":          {Name: "a b", Webhook: hook},
		"has either":             {Name: "a"},
		"it has either a url":    {Name: "a", Webhook: hook, URL: "slack://x"},
		`"urgent" is none`:       {Name: "a", Webhook: hook, Severity: "urgent"},
		`"moved" is none`:        {Name: "a", Webhook: hook, Kinds: []store.MessageKind{"moved"}},
		"one of them is empty":   {Name: "a", Webhook: hook, Rules: []string{""}},
		"at least one second":    {Name: "a", Webhook: hook, Limit: Limit{Burst: 1}},
		"unknown service":        {Name: "a", URL: "carrier-pigeon://secret-loft"},
		"no place that anybody":  {Name: "a", URL: "logger://"},
		"not a URL":              {Name: "a", URL: "slack://%zz-secret"},
		"everybody on the way":   {Name: "a", Webhook: &Webhook{URL: "http://secret.example.com", Secret: hookSecret}},
		"not one of http":        {Name: "a", Webhook: &Webhook{URL: "ftp://secret.example.com", Secret: hookSecret}},
		"a url with a password":  {Name: "a", Webhook: &Webhook{URL: "https://secret:x@example.com", Secret: hookSecret}},
		"openssl rand -hex 32":   {Name: "a", Webhook: &Webhook{URL: "https://example.com", Secret: "secret"}},
		"not between 0 and 5m0s": {Name: "a", Webhook: &Webhook{URL: "https://example.com", Secret: hookSecret, Timeout: -1}},
		"an access token":        {Name: "a", URL: "matrix://ana:secret@matrix.example.com/?rooms=x"},
		"url: shoutrrr:":         {Name: "a", URL: "slack://not-a-secret"},
		"discord":                {Name: "a", URL: "discord://secret@"},
	} {
		err := c.Validate()
		if err == nil || !strings.Contains(err.Error(), want) && want != "discord" {
			t.Errorf("got %v, want %q", err, want)
		} else if strings.Contains(strings.ReplaceAll(err.Error(), "secret has less", ""), "secret") && !strings.Contains(err.Error(), masked) {
			t.Errorf("a secret is told: %v", err)
		}
	}
	for _, plain := range []*Webhook{
		{URL: "http://127.0.0.1:8080/x", Secret: hookSecret},
		{URL: "http://[::1]:8080/x", Secret: hookSecret},
		{URL: "http://localhost/x", Secret: hookSecret},
		{URL: "http://hooks.example.com/x", Secret: hookSecret, Plaintext: true},
	} {
		c := Channel{Name: "a", Webhook: plain}
		if err := c.Validate(); err != nil {
			t.Error(err)
		}
	}
}

// Every parameter that a service is given is one that it knows: most refuse the message
// otherwise.
func TestServicesKnowTheirParameters(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{
		"discord://token@98765432101234567", "slack://hook:WNA3PBYV6-F20DUQND3RQ-Webc4MAvoacrpPakR8phF0zi@webhook",
		"teams://11111111-4444-4444-8444-cccccccccccc@22222222-4444-4444-8444-cccccccccccc/33333333012222222222333333333344/44444444-4444-4444-8444-cccccccccccc/V2ESyij_gAljSoUQHvZoZYzlpAoAXExyOl26dlf1xHEx05?host=example.webhook.office.com",
		"telegram://110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw@telegram?chats=@mychannel",
		"smtp://user:pass@mail.example.com:587/?from=a@example.com&to=b@example.com", "generic://hooks.example.com/x",
		"ntfy://ntfy.sh/topic", "gotify://push.example.com/AzyoeNS.D4iJLVa", "bark://:devicekey@bark.example.com",
		"matrix://:token@matrix.example.com/?rooms=x", "pushover://shoutrrr:apiToken@userKey/?devices=d", "lark://open.larksuite.com/token",
		"opsgenie://api.opsgenie.com/eb243592-faa2-4ba2-a551q-1afdf565c889", "pagerduty:///eb243592faa24ba2a5511afdf565c889",
		"mattermost://mattermost.example.com/token", "rocketchat://rocket.example.com/a/b", "zulip://bot%40example.com:key@example.com?stream=x",
		"googlechat://chat.googleapis.com/v1/spaces/x/messages?key=k&token=t", "signal://localhost:8080/+11111111/+2222222",
		"notifiarr://apikey",
	} {
		to, err := openShoutrrr(raw)
		if err != nil {
			t.Errorf("%.20s: %v", raw, err)
			continue
		}
		s, err := to.(*shoutrrrTransport).locate()
		if err != nil {
			t.Fatal(err)
		}
		_, params := to.(*shoutrrrTransport).compose(alertMessage())
		if len(params) == 0 {
			continue
		}
		config, ok := reflect.TypeAssert[types.ServiceConfig](reflect.ValueOf(s).Elem().FieldByName("Config"))
		if !ok {
			t.Errorf("%.20s: no configuration", raw)
			continue
		}
		keys := format.NewPropKeyResolver(config)
		for k, v := range params {
			if err := keys.Set(k, v); err != nil {
				t.Errorf("%.20s: %s: %v", raw, k, err)
			}
		}
	}
}
