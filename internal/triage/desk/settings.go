package desk

import (
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/debutsec/debut/internal/config"
	"github.com/debutsec/debut/internal/triage"
	"github.com/debutsec/debut/internal/triage/live"
)

// Configure sets what a configuration says of triage: settings, weights, times, AWS. An
// error names the file and what is wrong in it.
func (o *Options) Configure(c *config.Triage, getenv func(string) string) error {
	var err error
	if o.Settings, err = settings(c); err != nil {
		return fmt.Errorf("triage: %w", err)
	}
	o.overrides = nil
	if c.Weights != "" {
		text, err := ReadWeights(c.Weights)
		if err != nil {
			return fmt.Errorf("triage.weights: %w", err)
		}
		o.overrides = [][]byte{text}
	}
	if o.Weights, err = triage.ParseWeights(o.overrides...); err != nil {
		return fmt.Errorf("triage.weights: %s: %w", c.Weights, err)
	}
	o.Again = nil
	for _, d := range c.Again {
		o.Again = append(o.Again, time.Duration(d))
	}
	external, err := c.LiveExternalID.Resolve(getenv)
	if err != nil {
		return fmt.Errorf("triage.live_external_id: %w", err)
	}
	o.Live, o.AlwaysLive = live.Options{RoleARN: c.LiveRole, ExternalID: external}, c.Live
	return nil
}

// maxWeights bounds a file of weights.
const maxWeights = 1 << 20

// ReadWeights reads a file of weights, without looking at what is in it.
func ReadWeights(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read the weights: %w", err)
	}
	if info.Size() > maxWeights {
		return nil, fmt.Errorf("%s has %d bytes: these are no weights", path, info.Size())
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the weights: %w", err)
	}
	return b, nil
}

func settings(c *config.Triage) (triage.Settings, error) {
	s := triage.Settings{
		Accounts: c.Accounts, Buckets: c.Buckets, Endpoints: c.Endpoints, WorkFrom: c.WorkFrom, WorkTo: c.WorkTo,
		Subjects: c.Subjects, Scripts: c.Scripts, Agents: c.Agents,
	}
	var err error
	if s.TimeZone, err = c.Zone(); err != nil {
		return s, err //nolint:wrapcheck // it names the zone
	}
	for _, n := range c.Networks {
		p, err := config.ParseNetwork(n)
		if err != nil {
			return s, err //nolint:wrapcheck // it names the network
		}
		s.Networks = append(s.Networks, p)
	}
	for _, l := range []struct {
		files []string
		list  *[]netip.Prefix
	}{{c.Hosting, &s.Hosting}, {c.Tor, &s.Tor}} {
		for _, f := range l.files {
			more, err := config.ReadNetworks(f)
			if err != nil {
				return s, err //nolint:wrapcheck // it names the file
			}
			*l.list = append(*l.list, more...)
		}
	}
	span := func(from, to string) (out triage.Span) {
		a, errA := c.Moment(from)
		b, errB := c.Moment(to)
		if err == nil {
			err = errA
		}
		if err == nil {
			err = errB
		}
		return triage.Span{From: a, To: b}
	}
	for _, x := range c.Freezes {
		s.Freezes = append(s.Freezes, triage.Period{Name: x.Name, Span: span(x.From, x.To)})
	}
	for _, x := range c.Exercises {
		s.Exercises = append(s.Exercises, triage.Exercise{Name: x.Name, Accounts: x.Accounts, Marks: x.Marks, Span: span(x.From, x.To)})
	}
	for _, x := range c.Rota {
		s.Rota = append(s.Rota, triage.Duty{Who: x.Who, Span: span(x.From, x.To)})
	}
	for _, x := range c.Changes {
		s.Changes = append(s.Changes, triage.Change{ID: x.ID, Who: x.Who, Span: span(x.From, x.To)})
	}
	return s, err
}
