package triage

import (
	"net/netip"
	"slices"
	"strings"
)

// firstOf returns the first of a list, "" of none.
func firstOf(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

// atMost returns the first of a list.
func atMost[T any](list []T, n int) []T { return list[:min(len(list), n)] }

// unique keeps the first of equal texts, and none that is empty.
func unique(list []string) []string {
	out := list[:0:0]
	if len(list) > 32 {
		seen := make(map[string]bool, len(list))
		for _, s := range list {
			if s != "" && !seen[s] {
				seen[s] = true
				out = append(out, s)
			}
		}
		return out
	}
	for _, s := range list {
		if s != "" && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// oneOf reports whether a text matches one of a list of patterns. Case counts.
func oneOf(patterns []string, s string) bool {
	return s != "" && slices.ContainsFunc(patterns, func(p string) bool { return wildcard(p, s) })
}

// wildcard reports whether a pattern with "*" matches all of a text.
func wildcard(pattern, s string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == s
	}
	s, ok := strings.CutPrefix(s, parts[0])
	for _, p := range parts[1 : len(parts)-1] {
		if !ok {
			return false
		}
		_, s, ok = strings.Cut(s, p)
	}
	return ok && strings.HasSuffix(s, parts[len(parts)-1])
}

// inside reports whether an address is in one of some networks.
func inside(networks []netip.Prefix, a netip.Addr) bool {
	return a.IsValid() && slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(a) })
}

// split tells what was done from what failed.
func split(list []*Event) (done, failed []*Event) {
	for _, e := range list {
		if e.Error == "" {
			done = append(done, e)
		} else {
			failed = append(failed, e)
		}
	}
	return done, failed
}

// without returns the events of a list that are not in another.
func without(list, other []*Event) []*Event {
	have := map[string]bool{}
	for _, e := range other {
		have[e.ID] = true
	}
	return keep(list, func(e *Event) bool { return !have[e.ID] })
}

// eachOf gathers what f gives of events, each text once.
func eachOf(events []*Event, f func(*Event) string) []string {
	list := make([]string, 0, len(events))
	for _, e := range events {
		if e != nil {
			list = append(list, f(e))
		}
	}
	return unique(list)
}

func ids(events []*Event) []string { return eachOf(events, func(e *Event) string { return e.ID }) }

func actionsOf(events []*Event) []string {
	return eachOf(events, func(e *Event) string { return e.Action })
}

func errorsOf(events []*Event) []string {
	return eachOf(events, func(e *Event) string { return e.Error })
}

func addressesOf(events []*Event) []string {
	return eachOf(events, func(e *Event) string { return e.IP.String() })
}

// sessionsIn are the names of the sessions of events, in order.
func sessionsIn(events []*Event) []string {
	return slices.Sorted(slices.Values(eachOf(events, (*Event).Session)))
}

// parametersOf are the different values of some request parameters, in order.
func parametersOf(events []*Event, paths ...string) (list []string) {
	for _, e := range events {
		for _, p := range paths {
			list = append(list, e.Request(p)...)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}
