package triage

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pelletier/go-toml/v2"

	"github.com/debutsec/debut/cloudtrail"
	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/enrich"
	"github.com/debutsec/debut/internal/store"
)

// A fixture is a case as testdata has it: an alert's event and others around it, each
// as the few properties that differ from the usual ones. testdata/README.md describes
// the format.
type fixture struct {
	Alert    map[string]any   `toml:"alert"`
	Events   []map[string]any `toml:"events"`
	Coverage *float64         `toml:"coverage"` // 1 if not given
	AsOf     string           `toml:"as_of"`    // after the alert; 24h if not given
	Rule     *Rule            `toml:"rule"`
	History  string           `toml:"history"` // of the rule; 168h if not given
	Settings fixtureSettings  `toml:"settings"`
	Places   map[string]place `toml:"places"`
	Live     *Live            `toml:"live"`
}

type place struct {
	Country, City, Org string
	ASN                uint32
	Lat, Lon           float64
}

type fixtureSettings struct {
	Accounts, Buckets, Networks, Endpoints, Hosting, Tor, Subjects, Scripts, Agents []string
	TimeZone                                                                        string
	WorkFrom, WorkTo                                                                int
	Freezes                                                                         []struct{ Name, From, To string }
	Exercises                                                                       []struct {
		Name, From, To  string
		Accounts, Marks []string
	}
	Rota    []struct{ Who, From, To string }
	Changes []struct{ ID, Who, From, To string }
}

// alertTime is when the alert's event happens in every fixture: a Wednesday.
var alertTime = time.Date(2026, 3, 11, 10, 15, 30, 0, time.UTC)

const (
	fixtureAccount = "111122223333"
	fixtureRegion  = "eu-west-1"
)

// moment reads an offset from the alert, such as "-5m", "-3d" or "+20s", or an absolute
// time.
func moment(t testing.TB, s string) time.Time {
	t.Helper()
	if at, err := time.Parse(time.RFC3339, s); err == nil {
		return at
	}
	text := strings.TrimPrefix(s, "+")
	days := 0
	if head, rest, ok := strings.Cut(text, "d"); ok {
		if _, err := fmt.Sscan(head, &days); err != nil {
			t.Fatalf("%q is no time", s)
		}
		text = cmp.Or(rest, "0s")
		if strings.HasPrefix(head, "-") && rest != "" {
			text = "-" + rest
		}
	}
	d, err := time.ParseDuration(cmp.Or(text, "0s"))
	if err != nil {
		t.Fatalf("%q is no time: %v", s, err)
	}
	return alertTime.Add(time.Duration(days)*24*time.Hour + d)
}

// record makes a CloudTrail record of the properties of an event.
//
//	at       "-5m", "-3d", "-3d2h"; the alert: "0s"
//	do       "ssm:SendCommand" (the service's host name is made of its short name)
//	who      "role/Name", "user/Name", "root", "service/ssm.amazonaws.com", "account/444455556666",
//	         "saml/Name", "web/Subject"; usually "role/Deploy"
//	session  of a role; usually "ci"
//	key      access key id; usually made from who and session
//	since    when the session began, as at; usually an hour before the event
//	ip agent region account error message mfa endpoint id shared
//	request response   tables
//	record   a table that is laid over the record
func record(t testing.TB, n int, p map[string]any) []byte {
	t.Helper()
	get := func(name, usual string) string {
		if v, ok := p[name].(string); ok {
			return v
		}
		return usual
	}
	for name := range p {
		if !slices.Contains(strings.Fields("at do who session key since ip agent region account error message mfa endpoint id shared request response record every times"), name) {
			t.Fatalf("an event has no property %q", name)
		}
	}
	service, action, _ := strings.Cut(get("do", "ssm:SendCommand"), ":")
	account, at := get("account", fixtureAccount), moment(t, get("at", "0s"))
	r := map[string]any{
		"eventVersion": "1.09", "eventTime": at.Format(time.RFC3339), "eventSource": service + ".amazonaws.com", "eventName": action,
		"awsRegion": get("region", fixtureRegion), "sourceIPAddress": get("ip", "198.51.100.7"),
		"userAgent": get("agent", "Boto3/1.34.0 md/Botocore#1.34.0 ua/2.0 os/linux#6.1 md/arch#x86_64 lang/python#3.11"),
		"eventID":   get("id", fmt.Sprintf("00000000-0000-4000-8000-%012d", n)), "eventType": "AwsApiCall", "managementEvent": true,
		"recipientAccountId": account, "readOnly": (&Event{Action: action}).Reads(),
		"requestParameters": p["request"], "responseElements": p["response"],
		"userIdentity": identityOf(t, account, at, get),
	}
	for name, field := range map[string]string{"error": "errorCode", "message": "errorMessage", "endpoint": "vpcEndpointId", "shared": "sharedEventID"} {
		if v := get(name, ""); v != "" {
			r[field] = v
		}
	}
	if over, ok := p["record"].(map[string]any); ok {
		overlay(r, over)
	}
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func overlay(dst, src map[string]any) {
	for k, v := range src {
		if m, ok := v.(map[string]any); ok {
			if old, ok := dst[k].(map[string]any); ok {
				overlay(old, m)
				continue
			}
		}
		dst[k] = v
	}
}

func identityOf(t testing.TB, account string, at time.Time, get func(name, usual string) string) map[string]any {
	t.Helper()
	kind, name, _ := strings.Cut(get("who", "role/Deploy"), "/")
	iam := "arn:aws:iam::" + account + ":"
	switch kind {
	case "role":
		session := get("session", "ci")
		since := at.Add(-time.Hour)
		if s := get("since", ""); s != "" {
			since = moment(t, s)
		}
		id := "AROA" + strings.ToUpper(fmt.Sprintf("%.16s", fmt.Sprintf("%x", name)+"0000000000000000"))
		short := name[strings.LastIndexByte(name, '/')+1:]
		return map[string]any{
			"type": "AssumedRole", "principalId": id + ":" + session, "arn": "arn:aws:sts::" + account + ":assumed-role/" + short + "/" + session,
			"accountId": account, "accessKeyId": get("key", "ASIA"+strings.ToUpper(fmt.Sprintf("%.16s", fmt.Sprintf("%x", session+short)+"0000000000000000"))),
			"sessionContext": map[string]any{
				"sessionIssuer": map[string]any{"type": "Role", "principalId": id, "arn": iam + "role/" + name, "accountId": account, "userName": short},
				"attributes":    map[string]any{"creationDate": since.Format(time.RFC3339), "mfaAuthenticated": get("mfa", "false")},
			},
		}
	case "user":
		return map[string]any{
			"type": "IAMUser", "principalId": "AIDA" + strings.ToUpper(fmt.Sprintf("%.16s", fmt.Sprintf("%x", name)+"0000000000000000")), "arn": iam + "user/" + name,
			"accountId": account, "userName": name, "accessKeyId": get("key", "AKIA"+strings.ToUpper(fmt.Sprintf("%.16s", fmt.Sprintf("%x", name)+"0000000000000000"))),
		}
	case "root":
		return map[string]any{"type": "Root", "principalId": account, "arn": iam + "root", "accountId": account, "accessKeyId": get("key", "")}
	case "service":
		return map[string]any{"type": "AWSService", "invokedBy": name}
	case "account":
		return map[string]any{"type": "AWSAccount", "principalId": "AIDA4444555566660000", "accountId": name}
	case "saml":
		return map[string]any{"type": "SAMLUser", "principalId": "idp:" + name, "userName": name, "identityProvider": "idp"}
	case "web":
		return map[string]any{"type": "WebIdentityUser", "principalId": iam + "oidc-provider/token.example.org:aud:" + name, "userName": name, "identityProvider": iam + "oidc-provider/token.example.org"}
	}
	t.Fatalf("who: %q is none of role/, user/, root, service/, account/, saml/, web/", kind)
	return nil
}

// records makes all records of a fixture, the alert's first. An event with every and
// times stands for several.
func (f *fixture) records(t testing.TB) (all [][]byte) {
	t.Helper()
	if f.Alert == nil {
		f.Alert = map[string]any{}
	}
	if f.Alert["do"] == nil {
		f.Alert["do"] = "ssm:SendCommand"
		if f.Alert["request"] == nil {
			f.Alert["request"] = map[string]any{"documentName": "AWS-RunShellScript", "instanceIds": []any{"i-0123456789abcdef0"}, "parameters": "HIDDEN_DUE_TO_SECURITY_REASONS"}
		}
		if f.Alert["response"] == nil && f.Alert["error"] == nil {
			f.Alert["response"] = map[string]any{"command": map[string]any{"commandId": "c0000000-0000-4000-8000-000000000001", "status": "Pending", "targetCount": 0}}
		}
	}
	all = append(all, record(t, 1, f.Alert))
	n := 1
	for _, e := range f.Events {
		times, _ := e["times"].(int64)
		every, _ := e["every"].(string)
		start := moment(t, firstString(e["at"], "0s"))
		for i := range max(int(times), 1) {
			n++
			one := maps.Clone(e)
			if every != "" {
				d := moment(t, every).Sub(alertTime)
				one["at"] = start.Add(time.Duration(i) * d).Format(time.RFC3339)
			}
			all = append(all, record(t, n, one))
		}
	}
	return all
}

func firstString(v any, otherwise string) string {
	if s, ok := v.(string); ok {
		return s
	}
	return otherwise
}

// input makes everything that a report depends on.
func (f *fixture) input(t testing.TB, records [][]byte) Input {
	t.Helper()
	m := newMemory(t, records, f.Places)
	w, err := ParseWeights()
	if err != nil {
		t.Fatal(err)
	}
	first := m.all[slices.IndexFunc(m.all, func(s *store.Stored) bool { return string(s.Raw) == string(records[0]) })]
	rule := f.Rule
	if rule == nil {
		rule = &Rule{ID: "rare-command", Name: "Rare command", Version: 1, Type: "new_terms", Severity: "low"}
	}
	history, err := time.ParseDuration(cmp.Or(f.History, "168h"))
	if err != nil {
		t.Fatal(err)
	}
	m.share = 1
	if f.Coverage != nil {
		m.share = *f.Coverage
	}
	return Input{
		Alert:  Alert{ID: "a1", Rule: *rule, Time: time.Unix(0, first.Time).UTC(), Event: first.ID, History: history, Fields: []string{"cloud.account.id", "user.name"}},
		Events: m, Coverage: m, Places: m, PlacesDate: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC),
		Catalogue: m.cat, Weights: w, Settings: f.settings(t), AsOf: alertTime.Add(moment(t, cmp.Or(f.AsOf, "24h")).Sub(alertTime)), Trigger: "by hand", Live: f.Live,
	}
}

func (f *fixture) settings(t testing.TB) Settings {
	t.Helper()
	s := f.Settings
	out := Settings{
		Accounts: s.Accounts, Buckets: s.Buckets, Networks: prefixes(t, s.Networks), Endpoints: s.Endpoints, Hosting: prefixes(t, s.Hosting),
		Tor: prefixes(t, s.Tor), WorkFrom: s.WorkFrom, WorkTo: s.WorkTo, Subjects: s.Subjects, Scripts: s.Scripts, Agents: s.Agents,
	}
	if s.TimeZone != "" {
		zone, err := time.LoadLocation(s.TimeZone)
		if err != nil {
			t.Fatal(err)
		}
		out.TimeZone = zone
	}
	span := func(from, to string) Span { return Span{moment(t, from), moment(t, to)} }
	for _, x := range s.Freezes {
		out.Freezes = append(out.Freezes, Period{x.Name, span(x.From, x.To)})
	}
	for _, x := range s.Exercises {
		out.Exercises = append(out.Exercises, Exercise{x.Name, x.Accounts, x.Marks, span(x.From, x.To)})
	}
	for _, x := range s.Changes {
		out.Changes = append(out.Changes, Change{x.ID, x.Who, span(x.From, x.To)})
	}
	for _, x := range s.Rota {
		out.Rota = append(out.Rota, Duty{x.Who, span(x.From, x.To)})
	}
	return out
}

func prefixes(t testing.TB, list []string) (out []netip.Prefix) {
	t.Helper()
	for _, s := range list {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, p)
	}
	return out
}

// memory is a store of events for tests.
type memory struct {
	cat    *ecs.Catalogue
	all    []*store.Stored
	share  float64
	places map[string]place
	agents *enrich.Enricher
	reader *reader
	mu     sync.Mutex // of all, which are read by one at a time
}

func newMemory(t testing.TB, records [][]byte, places map[string]place) *memory {
	t.Helper()
	agents, err := enrich.New(enrich.Options{})
	if err != nil {
		t.Fatal(err)
	}
	cat := ecs.NewCatalogue()
	m := &memory{cat: cat, places: places, agents: agents, reader: newReader(cat)}
	seen := map[ecs.ID]bool{}
	for _, raw := range records {
		r := new(cloudtrail.Record)
		if _, err := r.Parse(raw); err != nil {
			t.Fatalf("%v: %s", err, raw)
		}
		ev := cloudtrail.NewEvent(m.cat, m)
		ev.Reset(r)
		if seen[ev.ID()] {
			continue
		}
		seen[ev.ID()] = true
		m.all = append(m.all, &store.Stored{Record: store.Record{Kind: store.KindRecord, Time: ev.Time().UnixNano(), ID: ev.ID(), Raw: raw}, Event: ev})
	}
	slices.SortFunc(m.all, func(a, b *store.Stored) int {
		return cmp.Or(cmp.Compare(a.Time, b.Time), slices.Compare(a.ID[:], b.ID[:]))
	})
	return m
}

func (m *memory) UserAgent(s string) cloudtrail.Agent { return m.agents.UserAgent(s) }

func (m *memory) Address(a netip.Addr) cloudtrail.Place {
	p, ok := m.places[a.String()]
	if !ok {
		return cloudtrail.Place{}
	}
	return placeOf(p)
}

func (m *memory) Scan(_ context.Context, q store.Scan) iter.Seq2[*store.Stored, error] {
	return func(yield func(*store.Stored, error) bool) {
		m.mu.Lock()
		defer m.mu.Unlock()
		list, n := slices.Clone(m.all), 0
		if q.Descending {
			slices.Reverse(list)
		}
		for _, s := range list {
			at := time.Unix(0, s.Time)
			if at.Before(q.From) || !q.To.IsZero() && !at.Before(q.To) || q.Match != nil && !q.Match.Match(s.Event) {
				continue
			}
			if n++; q.Limit > 0 && n > q.Limit || !yield(s, nil) {
				return
			}
		}
	}
}

func (m *memory) Find(_ context.Context, _ time.Time, id ecs.ID) (*store.Stored, error) {
	for _, s := range m.all {
		if s.ID == id {
			return s, nil
		}
	}
	return nil, store.ErrNotFound
}

// Rollups yields a row for every event: equal rows are added up by who reads them.
func (m *memory) Rollups(_ context.Context, q store.RollupQuery) iter.Seq2[*store.Rollup, error] {
	return func(yield func(*store.Rollup, error) bool) {
		m.mu.Lock()
		defer m.mu.Unlock()
		for _, s := range m.all {
			e := m.reader.read(s)
			if e.Time.Before(q.From) || !e.Time.Before(q.To) || q.Principal != "" && e.Principal != q.Principal {
				continue
			}
			agent := e.AgentName
			if agent == "" || agent == "Other" {
				agent = e.Agent
			}
			network := e.Address
			if e.IP.Is4() {
				network = netip.PrefixFrom(e.IP, 24).Masked().String()
			} else if e.IP.IsValid() {
				network = netip.PrefixFrom(e.IP, 48).Masked().String()
			}
			u := store.Rollup{Count: 1, First: e.Time, Last: e.Time, RollupKey: store.RollupKey{
				Hour: e.Time.Truncate(time.Hour), Principal: e.Principal, Provider: e.Provider, Action: e.Action,
				Account: e.Account, Region: e.Region, Network: network, Agent: agent,
			}}
			if !yield(&u, nil) {
				return
			}
		}
	}
}

func (m *memory) Covered(_ context.Context, _, _ string, from, to time.Time) (Covered, error) {
	c := Covered{Share: m.share}
	if len(m.all) > 0 {
		c.First = time.Unix(0, m.all[0].Time).UTC().Truncate(time.Hour)
	}
	if m.share < 1 {
		c.Gaps = []Span{{from, from.Add(time.Duration((1 - m.share) * float64(to.Sub(from)))).Truncate(time.Hour)}}
	}
	return c, nil
}

func (m *memory) Accounts(context.Context) (list []string, err error) {
	for _, s := range m.all {
		list = append(list, m.reader.read(s).Owner)
	}
	slices.Sort(list)
	return slices.Compact(list), nil
}

// load reads a file of fixtures: name → fixture.
func load(t testing.TB, path string) map[string]*fixture {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]*fixture{}
	d := toml.NewDecoder(strings.NewReader(string(text)))
	d.DisallowUnknownFields()
	if err := d.Decode(&out); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return out
}

// TestWeights runs testdata/weights/T*.toml. Each row of the table has a fixture
// KEY-yes, in which it is found, and KEY-no, as near as possible to it, in which it is
// not; KEY-no-2, KEY-yes-cold and so on are further ones.
func TestWeights(t *testing.T) {
	t.Parallel()
	w, err := ParseWeights()
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]bool{}
	files, _ := filepath.Glob("testdata/weights/*.toml")
	for _, file := range files {
		step := strings.TrimSuffix(filepath.Base(file), ".toml")
		for name, f := range load(t, file) {
			key, yes := name, false
			for _, cut := range []string{"-yes", "-no"} {
				if i := strings.LastIndex(name, cut); i > 0 {
					key, yes = name[:i], cut == "-yes"
				}
			}
			have[step+"."+key+map[bool]string{true: "-yes", false: "-no"}[yes]] = true
			t.Run(step+"."+name, func(t *testing.T) {
				t.Parallel()
				r, err := Run(t.Context(), f.input(t, f.records(t)))
				if err != nil {
					t.Fatal(err)
				}
				row := w.Row(step + "." + key)
				found := findings(r, step, key)
				switch {
				case yes && (len(found) != 1 || found[0].Dropped != ""):
					t.Errorf("not found (%+v); the step says: %s", found, says(r, step))
				case yes && row.Most == 0 && found[0].Points != row.Points:
					t.Errorf("%d points, want %d", found[0].Points, row.Points)
				case yes && len(found[0].Events) == 0:
					t.Error("no evidence")
				case !yes && len(found) > 0 && found[0].Dropped == "":
					t.Errorf("found: %s", found[0].Text)
				}
			})
		}
	}
	for _, row := range w.Rows() {
		step, _, _ := strings.Cut(row.Key, ".")
		if step == "score" || !slices.ContainsFunc(files, func(f string) bool { return filepath.Base(f) == step+".toml" }) {
			continue
		}
		for _, end := range []string{"-yes", "-no"} {
			if !have[row.Key+end] {
				t.Errorf("testdata/weights/%s.toml has no %s%s", step, row.Key, end)
			}
		}
	}
}

// findings returns a step's findings of a key. Claims of innocence (F) are found by
// whichever step.
func findings(r *Report, step, key string) (out []Finding) {
	for i := range r.Steps {
		if r.Steps[i].ID == step {
			for _, f := range r.Steps[i].Findings {
				if f.Key == key {
					out = append(out, f)
				}
			}
		}
	}
	return out
}

func says(r *Report, step string) string {
	for i := range r.Steps {
		if r.Steps[i].ID == step {
			text, _ := json.MarshalIndent(r.Steps[i], "", "  ")
			return string(text)
		}
	}
	return "nothing: there is no such step"
}

func placeOf(p place) cloudtrail.Place {
	return cloudtrail.Place{
		CountryISO: p.Country, Country: p.Country, City: p.City, ASN: p.ASN, ASOrg: p.Org,
		Lat: p.Lat, Lon: p.Lon, HasLocation: p.Lat != 0 || p.Lon != 0,
	}
}
