package generate

import (
	"encoding/json"
	"slices"
	"time"
)

// The two checks that lines of the truth belong to.
const (
	// CheckPairs: a new-terms rule over debut.principal, event.provider and
	// event.action, on every record, with the window of the line.
	CheckPairs = "pairs"
	// CheckSendCommand: the shipped rule on SendCommand, which keys on
	// aws.cloudtrail.user_identity.arn and looks at calls that succeeded.
	CheckSendCommand = "send-command"
)

// A Verdict is one line of the truth: a record, and whether a detector must alert on
// it. Records without a line must not alert. The order of the members is part of the
// format: lines sort by time.
type Verdict struct {
	EventTime string `json:"eventTime"`
	EventID   string `json:"eventID"`
	Check     string `json:"check"`
	Case      string `json:"case"`
	Account   string `json:"account"`
	Principal string `json:"principal"` // the stable one, debut.principal
	ARN       string `json:"arn"`       // as in the record; empty if it has none
	Provider  string `json:"provider"`  // event.provider
	Action    string `json:"action"`
	Arrival   string `json:"arrival"` // when the object with its first copy is there
	Window    string `json:"window"`
	Alert     bool   `json:"alert"`
}

// Cases of pairs.
const (
	caseTouch       = "touch"
	caseShortReturn = "return-within-window"
	caseLongReturn  = "return-after-window"
	// caseElsewhere is a service's first call in an account that is not the first one it
	// calls in: a service is the same principal everywhere.
	caseElsewhere = "service-known-elsewhere"
	caseFlood     = "flood"
)

// firstServices finds the accounts in which each service is first seen.
func (p *plan) firstServices() [len(serviceCalls)]int {
	var first [len(serviceCalls)]int
	type sight struct {
		second int64
		id     string
	}
	var best [len(serviceCalls)]sight
	for i := range p.cfg.Accounts {
		a := &account{cfg: p.cfg, cat: p.cat, index: i, id: p.accountID(i), addr: hash(p.cfg.Seed, forAccount, uint64(i))}
		for j := range serviceCalls {
			m := a.member(service, j)
			ev := newEvent(a.touchSeed(&m, 0), m.pairs[0].touch)
			s := sight{m.pairs[0].touch / second, string(appendUUID(nil, ev.id))}
			if i == 0 || s.second < best[j].second || s.second == best[j].second && s.id < best[j].id {
				best[j], first[j] = s, i
			}
		}
	}
	return first
}

// truth gives the verdicts of an account, in no order.
func (a *account) truth(firstServices *[len(serviceCalls)]int, yield func(*Verdict)) {
	window := a.cfg.window()
	for who := range a.members {
		p := &a.members[who]
		if p.kind == special { // of the overlay
			continue
		}
		for i := range p.pairs {
			q := &p.pairs[i]
			ev := a.planned(who, q.action, a.touchSeed(p, i), q.touch)
			v := a.verdict(&ev, CheckPairs, caseTouch, window, true)
			if p.kind == service && firstServices[who-a.first[service]] != a.index {
				v.Case, v.Alert = caseElsewhere, false
			}
			yield(v)
			for n := range q.returns {
				ev := a.planned(who, q.action, a.lapseSeed(p, i, int32(n)+1), q.back[n])
				long := q.long>>n&1 == 1
				name := caseShortReturn
				if long {
					name = caseLongReturn
				}
				yield(a.verdict(&ev, CheckPairs, name, window, long))
			}
		}
	}
	a.overlayTruth(yield)
}

// overlayTruth follows each principal and each ARN through the calls of the overlay.
func (a *account) overlayTruth(yield func(*Verdict)) {
	type key struct {
		who    string
		action int32
	}
	pairs, arns := map[key]int64{}, map[string]int64{}
	window := a.cfg.window()
	for i := range a.overlay.calls {
		c := &a.overlay.calls[i]
		p := &a.members[c.who]
		ev := a.overlay.event(i)
		at := c.t / second * second
		k := key{p.stable, c.action}
		last, known := pairs[k]
		pairs[k] = at
		alert := !known || at-last > window
		if alert || !c.poll {
			yield(a.verdict(&ev, CheckPairs, c.name, window, alert))
		}
		if int(c.action) != a.cat.sendCommand {
			continue
		}
		arn := a.arn(p, c.session)
		alert = false
		if c.outcome == succeeds && !filtered(arn) {
			last, known = arns[arn]
			arns[arn] = at
			alert = !known || at-last > longWindow
		}
		yield(a.verdict(&ev, CheckSendCommand, c.name, longWindow, alert))
	}
	for i := range a.overlay.floods {
		f := &a.overlay.floods[i]
		for k := range int64(floodActions) {
			ev := f.event(a, 2*k)
			yield(a.verdict(&ev, CheckPairs, caseFlood, window, true))
		}
		refused, granted := f.event(a, 0), f.event(a, 1) // the first action is SendCommand
		yield(a.verdict(&refused, CheckSendCommand, caseFlood, longWindow, false))
		yield(a.verdict(&granted, CheckSendCommand, caseFlood, longWindow, true))
	}
}

func (a *account) verdict(ev *event, check, name string, window int64, alert bool) *Verdict {
	p := &a.members[ev.who]
	act := &a.cat.actions[ev.action]
	return &Verdict{
		EventTime: a.cfg.at(ev.t).Format(time.RFC3339), EventID: string(appendUUID(nil, ev.id)),
		Check: check, Case: name, Account: a.id, Principal: p.stable, ARN: a.arn(p, ev.session),
		Provider: act.service + ".amazonaws.com", Action: act.name,
		Arrival: formatMicros(a.cfg.at(a.arrives(ev))), Window: seconds(window), Alert: alert,
	}
}

// at is the wall clock's time of a time in the trail.
func (c *Config) at(t int64) time.Time { return c.Start.Add(time.Duration(t) * time.Microsecond) }

// formatMicros always has six digits, so that texts sort as times do.
func formatMicros(t time.Time) string { return t.Format("2006-01-02T15:04:05.000000Z") }

// seconds renders a window as a rule file has it: 129600s.
func seconds(d int64) string { return string(appendInt(nil, d/second)) + "s" }

// truthLines renders the verdicts of an account, sorted.
func (a *account) truthLines(firstServices *[len(serviceCalls)]int) ([][]byte, error) {
	var lines [][]byte
	var failed error
	a.truth(firstServices, func(v *Verdict) {
		line, err := json.Marshal(v)
		if err != nil {
			failed = err
		}
		lines = append(lines, append(line, '\n'))
	})
	slices.SortFunc(lines, compareLines)
	return lines, failed
}
