package triage

import (
	"net/netip"
	"slices"
)

// network is the network of an event's address as the baseline has it: a /24 or /48,
// or the name of a service.
func network(e *Event) string {
	bits := 24
	switch {
	case !e.IP.IsValid():
		return e.Address
	case e.IP.Is6():
		bits = 48
	}
	return netip.PrefixFrom(e.IP, bits).Masked().String()
}

// agentName is the name of an event's agent as the baseline has it.
func agentName(e *Event) string {
	if n := e.Value("user_agent.name"); n != "" && n != "Other" {
		return n
	}
	return e.Agent
}

// keepAddresses returns the addresses of a list that can be compared with an event's:
// those of the same family.
func keepAddresses(list []string, e *Event) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool {
		a, err := netip.ParseAddr(s)
		return err != nil || a.Unmap().Is4() != e.IP.Is4()
	})
}
