package config

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"
)

// Triage says how alerts are investigated, and what an investigation knows of the
// organisation.
type Triage struct {
	Enabled bool       `toml:"enabled"` // by itself, every alert
	Weights string     `toml:"weights"` // a file over the program's own
	Again   []Duration `toml:"again"`   // after the event

	Accounts  []string `toml:"accounts"`
	Buckets   []string `toml:"buckets"`
	Networks  []string `toml:"networks"`
	Endpoints []string `toml:"endpoints"`
	Hosting   []string `toml:"hosting"` // files of networks
	Tor       []string `toml:"tor"`
	Subjects  []string `toml:"subjects"`
	Scripts   []string `toml:"scripts"`
	Agents    []string `toml:"agents"`

	TimeZone  string     `toml:"time_zone"`
	WorkFrom  int        `toml:"work_from"`
	WorkTo    int        `toml:"work_to"`
	Freezes   []Freeze   `toml:"freezes"`
	Exercises []Exercise `toml:"exercises"`
	Rota      []Duty     `toml:"rota"`
	Changes   []Change   `toml:"changes"`

	Live           bool   `toml:"live"` // ask AWS about every alert
	LiveRole       string `toml:"live_role"`
	LiveExternalID Secret `toml:"live_external_id"`
}

// A Freeze is a time in which nothing should be deployed.
type Freeze struct {
	Name string `toml:"name"`
	From string `toml:"from"`
	To   string `toml:"to"`
}

// An Exercise is a test that was announced.
type Exercise struct {
	Name     string   `toml:"name"`
	From     string   `toml:"from"`
	To       string   `toml:"to"`
	Accounts []string `toml:"accounts,omitempty"`
	Marks    []string `toml:"marks,omitempty"`
}

// A Duty is the time that somebody is on call.
type Duty struct {
	Who  string `toml:"who"`
	From string `toml:"from"`
	To   string `toml:"to"`
}

// A Change was approved where changes are kept.
type Change struct {
	ID   string `toml:"id"`
	Who  string `toml:"who,omitempty"`
	From string `toml:"from"`
	To   string `toml:"to"`
}

// Zone is the time zone of the organisation's people.
func (t *Triage) Zone() (*time.Location, error) {
	if t.TimeZone == "" {
		return time.UTC, nil
	}
	return time.LoadLocation(t.TimeZone) //nolint:wrapcheck // it names the zone
}

// Moment reads a time of the configuration: a date, or a date and time, in the zone of
// the organisation unless it has one of its own.
func (t *Triage) Moment(text string) (time.Time, error) {
	zone, err := t.Zone()
	if err != nil {
		zone = time.UTC
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04", time.DateOnly} {
		if at, err := time.ParseInLocation(layout, text, zone); err == nil {
			return at, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time: write 2026-12-20, 2026-12-20 18:00 or 2026-12-20T18:00:00Z", text)
}

// ParseNetwork reads a network or a single address.
func ParseNetwork(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil {
		addr = addr.Unmap().WithZone("")
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return p, fmt.Errorf("%q is no network: write 203.0.113.0/24, 2001:db8::/32 or a single address", text)
	}
	return p.Masked(), nil
}

// Bounds of a file of networks.
const (
	maxNetworks    = 1_000_000
	maxNetworkFile = 64 << 20
)

// ReadNetworks reads a file with a network or an address on each line; what is behind #
// is a comment. An error names file and line.
func ReadNetworks(path string) ([]netip.Prefix, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read networks: %w", err)
	}
	defer func() { _ = f.Close() }() // only read from
	var out []netip.Prefix
	sc := bufio.NewScanner(io.LimitReader(f, maxNetworkFile+1))
	read := 0
	for n := 1; sc.Scan(); n++ {
		read += len(sc.Bytes()) + 1
		text, _, _ := strings.Cut(sc.Text(), "#")
		if text = strings.TrimSpace(strings.TrimPrefix(text, "\uFEFF")); text == "" {
			continue
		}
		p, err := ParseNetwork(text)
		if err != nil {
			return nil, fmt.Errorf("%s, line %d: %w", path, n, err)
		}
		if out = append(out, p); len(out) > maxNetworks || read > maxNetworkFile {
			return nil, fmt.Errorf("%s has more than %d networks or 64 MiB", path, maxNetworks)
		}
	}
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("read networks from %s: %w", path, err)
	}
	return out, nil
}

const (
	maxAgain = 10
	maxAfter = Duration(30 * 24 * time.Hour)
)

func (s *source) triage(t *Triage, getenv func(string) string) {
	bad := func(key, message, hint string) { s.key("triage."+key, "bad-value", message, hint) }
	if t.Weights != "" {
		s.files("triage.weights", []string{t.Weights})
	}
	if len(t.Again) > maxAgain {
		bad("again", fmt.Sprintf("has %d times; %d at most", len(t.Again), maxAgain), "")
	}
	for i, d := range t.Again {
		if d < Duration(time.Minute) || d > maxAfter {
			bad(fmt.Sprintf("again.%d", i), "must be from 1m to 30d", "it counts from the event on")
		}
	}
	for i, a := range t.Accounts {
		if len(a) != 12 || strings.Trim(a, "0123456789") != "" {
			bad(fmt.Sprintf("accounts.%d", i), fmt.Sprintf("%q is no account", a), "an account has 12 digits, in quotes")
		}
	}
	for i, n := range t.Networks {
		if _, err := ParseNetwork(n); err != nil {
			bad(fmt.Sprintf("networks.%d", i), err.Error(), "")
		}
	}
	for i, e := range t.Endpoints {
		if !strings.HasPrefix(e, "vpce-") {
			bad(fmt.Sprintf("endpoints.%d", i), fmt.Sprintf("%q is no VPC endpoint", e), "its id begins with vpce-")
		}
	}
	for i, h := range t.Scripts {
		if b, err := hex.DecodeString(h); err != nil || len(b) != 32 {
			bad(fmt.Sprintf("scripts.%d", i), fmt.Sprintf("%q is no SHA-256", h), "'sha256sum script.sh' prints one: 64 hexadecimal digits")
		}
	}
	for key, list := range map[string][]string{"buckets": t.Buckets, "subjects": t.Subjects, "agents": t.Agents} {
		if slices.Contains(list, "") || slices.Contains(list, "*") {
			bad(key, "has an entry that is empty or is everything", "it would take every alert for harmless")
		}
	}
	s.networkFiles("triage.hosting", t.Hosting)
	s.networkFiles("triage.tor", t.Tor)
	if t.LiveRole != "" && (!strings.HasPrefix(t.LiveRole, "arn:") || !strings.Contains(t.LiveRole, ":role/")) {
		bad("live_role", fmt.Sprintf("%q is no ARN of a role", t.LiveRole), "write arn:aws:iam::111122223333:role/debut-triage")
	}
	if t.LiveExternalID != "" && t.LiveRole == "" {
		s.key("triage.live_external_id", "unused-key", "means nothing without live_role", "")
	}
	s.secret("triage.live_external_id", t.LiveExternalID, getenv)
	s.calendar(t)
}

func (s *source) networkFiles(key string, paths []string) {
	for _, p := range paths {
		_, err := ReadNetworks(p)
		switch {
		case errors.Is(err, os.ErrNotExist):
			s.files(key, []string{p})
		case err != nil:
			s.key(key, "bad-file", err.Error(), "each line is a network or an address")
		}
	}
}

// calendar checks what goes by time.
func (s *source) calendar(t *Triage) {
	if _, err := t.Zone(); err != nil {
		s.key("triage.time_zone", "bad-value", fmt.Sprintf("%q is no time zone", t.TimeZone), "write a name such as Europe/Berlin")
	}
	for key, hour := range map[string]int{"work_from": t.WorkFrom, "work_to": t.WorkTo} {
		if hour < 0 || hour > 24 {
			s.key("triage."+key, "bad-value", "must be an hour from 0 to 24", "")
		}
	}
	if t.WorkFrom != t.WorkTo && t.WorkFrom > t.WorkTo {
		s.key("triage.work_from", "bad-value", fmt.Sprintf("%d is not before work_to, %d", t.WorkFrom, t.WorkTo), "")
	}
	span := func(list string, i int, name, from, to string) {
		key := func(k string) string { return fmt.Sprintf("triage.%s.%d.%s", list, i, k) }
		if name == "" {
			word := "name"
			switch list {
			case "rota":
				word = "who"
			case "changes":
				word = "id"
			}
			s.key(key(word), "missing-value", "must not be empty", "")
		}
		a, errA := t.Moment(from)
		b, errB := t.Moment(to)
		if errA != nil {
			s.key(key("from"), "bad-value", errA.Error(), "")
		}
		if errB != nil {
			s.key(key("to"), "bad-value", errB.Error(), "")
		}
		if errA == nil && errB == nil && !a.Before(b) {
			s.key(key("from"), "bad-value", fmt.Sprintf("%s is not before to, %s", from, to), "")
		}
	}
	for i, x := range t.Freezes {
		span("freezes", i, x.Name, x.From, x.To)
	}
	for i, x := range t.Exercises {
		span("exercises", i, x.Name, x.From, x.To)
		if len(x.Accounts) == 0 && len(x.Marks) == 0 {
			s.key(fmt.Sprintf("triage.exercises.%d", i), "missing-value", "an exercise needs accounts or marks that it is known by", "")
		}
	}
	for i, x := range t.Rota {
		span("rota", i, x.Who, x.From, x.To)
	}
	for i, x := range t.Changes {
		span("changes", i, x.ID, x.From, x.To)
	}
}
