package api

import (
	"time"

	"github.com/debutsec/debut/internal/store"
)

// An Alert is what a list shows of an alert, and its workflow. It is a [store.Alert]
// without what only the engine needs.
type Alert struct {
	Handle string   `json:"handle"`
	UUID   string   `json:"uuid"`
	Former []string `json:"former,omitempty"`

	RuleID    string  `json:"rule_id"`
	RuleName  string  `json:"rule_name"`
	Type      string  `json:"type"`
	Severity  string  `json:"severity"`
	RiskScore float64 `json:"risk_score"`

	Time      time.Time `json:"time"`
	Last      time.Time `json:"last"`
	Created   time.Time `json:"created"`
	Updated   time.Time `json:"updated"`
	Previous  time.Time `json:"previous,omitzero"`
	Principal string    `json:"principal,omitempty"`
	Account   string    `json:"account,omitempty"`
	Region    string    `json:"region,omitempty"`
	Who       string    `json:"who,omitempty"`
	What      string    `json:"what,omitempty"`
	Where     string    `json:"where,omitempty"`

	Status        string         `json:"status"`
	Reason        string         `json:"reason,omitempty"`
	ClosedAt      time.Time      `json:"closed_at,omitzero"`
	Assignees     []string       `json:"assignees,omitempty"`
	Tags          []string       `json:"tags,omitempty"`
	Notes         []store.Note   `json:"notes,omitempty"`
	History       []store.Change `json:"history,omitempty"`
	Withheld      bool           `json:"withheld,omitzero"`
	Cold          bool           `json:"cold,omitzero"`
	Withdrawn     bool           `json:"withdrawn,omitzero"`
	Provisional   bool           `json:"provisional,omitzero"`
	Manual        bool           `json:"manual,omitzero"`
	BuildingBlock bool           `json:"building_block,omitzero"`
	Conflict      bool           `json:"conflict,omitzero"`
	Count         int64          `json:"count,omitzero"`
	Distinct      int64          `json:"distinct,omitzero"`
	Suppressed    int64          `json:"suppressed,omitzero"`
	SuppressedEnd time.Time      `json:"suppressed_end,omitzero"`
	JoinedInto    string         `json:"joined_into,omitempty"`
	Linked        []string       `json:"linked,omitempty"`
	Windows       []string       `json:"windows,omitempty"`
	Triage        store.Triage   `json:"triage,omitzero"` // its investigation
}

// AlertOf makes the API's alert of a stored one, whose lists it shares.
func AlertOf(a *store.Alert) *Alert {
	out := &Alert{
		Handle: a.Handle, UUID: a.UUID, Former: a.Former,
		RuleID: a.RuleID, RuleName: a.RuleName, Type: a.Type, Severity: a.Severity, RiskScore: a.RiskScore,
		Time: a.Time, Last: a.Last, Previous: a.Previous, Created: a.Created, Updated: a.Updated,
		Principal: a.Principal, Account: a.Account, Region: a.Region, Who: a.Who, What: a.What, Where: a.Where,
		Status: a.Status, Reason: a.Reason, ClosedAt: a.ClosedAt, Assignees: a.Assignees, Tags: a.Tags, Notes: a.Notes, History: a.History,
		Withheld: a.Withheld, Cold: a.Cold, Withdrawn: a.Withdrawn, Provisional: a.Provisional, Manual: a.Manual,
		BuildingBlock: a.BuildingBlock, Conflict: a.Conflict, Count: a.Count, Distinct: a.Distinct, Suppressed: a.Suppressed,
		JoinedInto: a.JoinedInto, Linked: a.Linked, Windows: a.Windows, Triage: a.Triage,
	}
	if a.SuppressedEnd != 0 {
		out.SuppressedEnd = time.Unix(0, a.SuppressedEnd).UTC()
	}
	return out
}

// AlertsOf makes the API's alerts of stored ones.
func AlertsOf(list []*store.Alert) []*Alert {
	out := make([]*Alert, len(list))
	for i, a := range list {
		out[i] = AlertOf(a)
	}
	return out
}
