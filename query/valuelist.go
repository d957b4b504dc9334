package query

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/debutsec/debut/ecs"
)

// InList returns the condition that f has a value of a value list: the lists of
// Elastic's exceptions, of which typ is the type. Texts (keyword, text) are equal
// as a whole, numbers (byte to long, float to double) by value, addresses (ip,
// ip_range) as addresses; a list of addresses may hold CIDR blocks and spans such
// as 192.0.2.1-192.0.2.9. Values are read by the type of the list, whatever the type
// of f. A look-up costs much the same however long the list is.
//
// The error names the first value that the type does not allow.
func InList(f *ecs.Field, typ string, values []string) (Expr, error) {
	switch typ {
	case "keyword", "text":
		o := &oneOf{field: f, texts: make(map[string]struct{}, len(values))}
		for _, v := range values {
			o.texts[v] = struct{}{}
		}
		return o, nil
	case "ip", "ip_range":
		all := make(addresses, 0, len(values))
		for i, v := range values {
			s, ok := parseSpan(v)
			if !ok {
				return nil, fmt.Errorf("value %d: %s is not an address, a CIDR block or a span of addresses", i+1, quote(v))
			}
			all = append(all, s)
		}
		all = all.merged()
		return &leaf{field: f, test: func(v string, _ time.Time) bool { return all.has(v) }}, nil
	case "byte", "short", "integer", "long", "double", "float", "half_float":
		return numberList(f, values)
	}
	return nil, fmt.Errorf("value lists of type %q are not supported", typ)
}

func numberList(f *ecs.Field, values []string) (Expr, error) {
	numbers := make(map[string]struct{}, len(values))
	for i, v := range values {
		n, err := parseNumber(v)
		if err != nil {
			return nil, fmt.Errorf("value %d: %w", i+1, err)
		}
		numbers[n.rat().RatString()] = struct{}{}
	}
	return &leaf{field: f, test: func(v string, _ time.Time) bool {
		n, err := parseNumber(v)
		if err != nil {
			return false
		}
		_, ok := numbers[n.rat().RatString()]
		return ok
	}}, nil
}

// addresses are spans of addresses, in order and apart from each other.
type addresses []addressSpan

// An addressSpan holds both its ends, which are wide.
type addressSpan struct{ first, last netip.Addr }

// parseSpan reads an address, a CIDR block or two addresses with a hyphen between.
func parseSpan(s string) (addressSpan, bool) {
	if first, last, ok := strings.Cut(s, "-"); ok {
		a, err1 := netip.ParseAddr(strings.TrimSpace(first))
		b, err2 := netip.ParseAddr(strings.TrimSpace(last))
		if err1 != nil || err2 != nil || a.Is4() != b.Is4() {
			return addressSpan{}, false
		}
		r := addressSpan{wide(a), wide(b)}
		return r, !r.last.Less(r.first)
	}
	if strings.Contains(s, "/") {
		p, err := netip.ParsePrefix(s)
		return block(p), err == nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return addressSpan{}, false
	}
	return addressSpan{wide(a), wide(a)}, true
}

// block returns the span of a CIDR block.
func block(p netip.Prefix) addressSpan {
	if !p.IsValid() {
		return addressSpan{}
	}
	p = p.Masked()
	last := p.Addr().AsSlice()
	for i := p.Bits(); i < len(last)*8; i++ {
		last[i/8] |= 0x80 >> (i % 8)
	}
	end, _ := netip.AddrFromSlice(last)
	return addressSpan{wide(p.Addr()), wide(end)}
}

// merged brings spans into order and joins those that touch each other.
func (as addresses) merged() addresses {
	slices.SortFunc(as, func(a, b addressSpan) int { return a.first.Compare(b.first) })
	out := as[:0]
	for _, s := range as {
		if n := len(out); n > 0 && !out[n-1].last.Less(s.first) {
			if out[n-1].last.Less(s.last) {
				out[n-1].last = s.last
			}
			continue
		}
		out = append(out, s)
	}
	return out
}

// has reports whether the text is an address of one of the spans.
func (as addresses) has(value string) bool {
	a, err := netip.ParseAddr(value)
	if err != nil {
		return false
	}
	a = wide(a)
	// The last span that begins at or before a.
	i, found := slices.BinarySearchFunc(as, a, func(s addressSpan, a netip.Addr) int { return s.first.Compare(a) })
	return found || i > 0 && !as[i-1].last.Less(a)
}
