package rule

import (
	"fmt"
	"math/big"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/query"
)

// inList is the condition that a field has a value of a value list. Looking up
// costs the same however long the list is, so lists of any size are applied.
type inList struct {
	field *ecs.Field
	has   func(value string) bool
}

// compileValueList compiles a list for a field. The type is the one that the
// exception gives: the same file can be read as text or as addresses.
func compileValueList(f *ecs.Field, typ string, v *ValueList) (query.Expr, error) {
	switch typ {
	case "keyword", "text":
		set := make(map[string]bool, len(v.Values))
		for _, s := range v.Values {
			set[s] = true
		}
		return inList{f, func(s string) bool { return set[s] }}, nil
	case "ip", "ip_range":
		ranges, err := parseRanges(v.Values)
		if err != nil {
			return nil, err
		}
		return inList{f, ranges.has}, nil
	case "byte", "short", "integer", "long", "double", "float", "half_float":
		set := make(map[string]bool, len(v.Values))
		for i, s := range v.Values {
			n, ok := canonicalNumber(s)
			if !ok {
				return nil, fmt.Errorf("value %d, %q, is not a number", i+1, s)
			}
			set[n] = true
		}
		return inList{f, func(s string) bool { n, ok := canonicalNumber(s); return ok && set[n] }}, nil
	}
	return nil, fmt.Errorf("value lists of type %q are not supported", typ)
}

// Match implements [query.Expr].
func (l inList) Match(ev ecs.Event) bool { return slices.ContainsFunc(ev.Values(l.field), l.has) }

// Decide implements [query.Expr].
func (l inList) Decide(k query.Known) query.Truth {
	values, ok := k(l.field)
	switch {
	case !ok:
		return query.Maybe
	case slices.ContainsFunc(values, l.has):
		return query.True
	}
	return query.False
}

// Fields implements [query.Expr].
func (l inList) Fields(yield func(f *ecs.Field)) { yield(l.field) }

// canonicalNumber spells equal numbers alike.
func canonicalNumber(s string) (string, bool) {
	if len(s) > 40 { // no number of these types is longer; 1e999999 would be costly
		return "", false
	}
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		return strconv.FormatInt(i, 10), true
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return "", false
	}
	if r := new(big.Rat).SetFloat64(f); r != nil && r.IsInt() {
		return r.Num().String(), true
	}
	return strconv.FormatFloat(f, 'g', -1, 64), true
}

// ipRanges are spans of addresses, in order and apart from each other. An IPv4
// address is the same as its IPv6-mapped form.
type ipRanges []ipRange

type ipRange struct{ first, last netip.Addr }

// parseRanges reads addresses, CIDR blocks and spans such as
// 192.0.2.1-192.0.2.9.
func parseRanges(values []string) (ipRanges, error) {
	all := make(ipRanges, 0, len(values))
	for i, s := range values {
		r, ok := parseRange(s)
		if !ok {
			return nil, fmt.Errorf("value %d, %q, is not an address, a CIDR block or a span of addresses", i+1, s)
		}
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b ipRange) int { return a.first.Compare(b.first) })
	merged := all[:0]
	for _, r := range all {
		if n := len(merged); n > 0 && !merged[n-1].last.Less(r.first) {
			if merged[n-1].last.Less(r.last) {
				merged[n-1].last = r.last
			}
			continue
		}
		merged = append(merged, r)
	}
	return merged, nil
}

func parseRange(s string) (ipRange, bool) {
	if first, last, ok := strings.Cut(s, "-"); ok {
		a, err1 := netip.ParseAddr(strings.TrimSpace(first))
		b, err2 := netip.ParseAddr(strings.TrimSpace(last))
		r := ipRange{wide(a), wide(b)}
		return r, err1 == nil && err2 == nil && a.Is4() == b.Is4() && !r.last.Less(r.first)
	}
	if strings.Contains(s, "/") {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return ipRange{}, false
		}
		p = p.Masked()
		bits, bytes := p.Bits(), p.Addr().AsSlice()
		for i := bits; i < len(bytes)*8; i++ {
			bytes[i/8] |= 0x80 >> (i % 8)
		}
		last, _ := netip.AddrFromSlice(bytes)
		return ipRange{wide(p.Addr()), wide(last)}, true
	}
	a, err := netip.ParseAddr(s)
	return ipRange{wide(a), wide(a)}, err == nil
}

// wide gives IPv4 and IPv6 addresses one order. Zones are cut off.
func wide(a netip.Addr) netip.Addr {
	if !a.IsValid() {
		return a
	}
	return netip.AddrFrom16(a.WithZone("").As16())
}

func (rs ipRanges) has(value string) bool {
	a, err := netip.ParseAddr(value)
	if err != nil {
		return false
	}
	a = wide(a)
	// The last range that begins at or before a.
	i, found := slices.BinarySearchFunc(rs, a, func(r ipRange, a netip.Addr) int { return r.first.Compare(a) })
	return found || i > 0 && !rs[i-1].last.Less(a)
}
