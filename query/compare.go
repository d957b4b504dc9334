package query

import (
	"cmp"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/debutsec/debut/ecs"
)

// equalTest returns the test of equality with literal for a type that is not text.
func equalTest(typ ecs.Type, literal string) (t test, timed bool, err error) {
	switch typ {
	case ecs.IP:
		t, err = addressTest([]string{literal})
		return t, false, err
	case ecs.Long, ecs.Double:
		want, err := parseNumber(literal)
		if err != nil {
			return nil, false, err
		}
		return func(v string, _ time.Time) bool {
			c, ok := want.compare(v)
			return ok && c == 0
		}, false, nil
	case ecs.Boolean:
		if literal != "true" && literal != "false" {
			return nil, false, fmt.Errorf("%s is neither true nor false", quote(literal))
		}
		return func(v string, _ time.Time) bool { return v == literal }, false, nil
	case ecs.Date:
		from, timed, err := dateTest(GreaterOrEqual, literal)
		if err != nil {
			return nil, false, err
		}
		to, _, err := dateTest(LessOrEqual, literal)
		return func(v string, now time.Time) bool { return from(v, now) && to(v, now) }, timed, err
	case ecs.Text:
		return anyWordTest(literal), false, nil
	case ecs.GeoPoint:
		return nil, false, errors.New("a place can only be tested for existence")
	default:
		return func(v string, _ time.Time) bool { return v == literal }, false, nil
	}
}

func rangeTest(typ ecs.Type, op Op, literal string) (t test, timed bool, err error) {
	switch typ {
	case ecs.IP:
		want, err := netip.ParseAddr(literal)
		if err != nil {
			return nil, false, fmt.Errorf("%s is not an address", quote(literal))
		}
		want = wide(want)
		return func(v string, _ time.Time) bool {
			have, err := netip.ParseAddr(v)
			return err == nil && op.holds(wide(have).Compare(want))
		}, false, nil
	case ecs.Long, ecs.Double:
		want, err := parseNumber(literal)
		if err != nil {
			return nil, false, err
		}
		return func(v string, _ time.Time) bool {
			c, ok := want.compare(v)
			return ok && op.holds(c)
		}, false, nil
	case ecs.Date:
		return dateTest(op, literal)
	case ecs.Boolean, ecs.GeoPoint:
		return nil, false, errors.New("its values have no order")
	default:
		return func(v string, _ time.Time) bool { return op.holds(cmp.Compare(v, literal)) }, false, nil
	}
}

// dateTest compares with a time. One that names a day, or another span, takes all
// of it or nothing of it.
func dateTest(op Op, literal string) (t test, timed bool, err error) {
	m, err := ParseDateMath(literal)
	if err != nil {
		return nil, false, err
	}
	bound := m.At
	if op == LessOrEqual || op == Greater {
		bound = m.End
	}
	if m.Relative() {
		return func(v string, now time.Time) bool {
			have, ok := parseInstant(v)
			return ok && op.holds(have.Compare(bound(now).Truncate(time.Millisecond)))
		}, true, nil
	}
	want := bound(time.Time{}).Truncate(time.Millisecond)
	return func(v string, _ time.Time) bool {
		have, ok := parseInstant(v)
		return ok && op.holds(have.Compare(want))
	}, false, nil
}

// addressTest tests whether an address is one of those listed, or in one of the
// blocks listed.
func addressTest(literals []string) (test, error) {
	all := make(addresses, 0, len(literals))
	for _, l := range literals {
		if strings.Contains(l, "/") {
			p, err := netip.ParsePrefix(l)
			if err != nil {
				return nil, fmt.Errorf("%s is not a CIDR block", quote(l))
			}
			all = append(all, block(p))
			continue
		}
		a, err := netip.ParseAddr(l)
		if err != nil {
			return nil, fmt.Errorf("%s is neither an address nor a CIDR block", quote(l))
		}
		all = append(all, addressSpan{wide(a), wide(a)})
	}
	all = all.merged()
	return func(v string, _ time.Time) bool { return all.has(v) }, nil
}

// wide gives IPv4 and IPv6 addresses one order: an IPv4 address equals its
// v4-mapped form. Zones do not count.
func wide(a netip.Addr) netip.Addr { return netip.AddrFrom16(a.As16()) }

// A number is a decimal number, kept exactly: account numbers and offsets are
// larger than a float holds.
type number struct {
	small int64 // if exact is nil
	exact *big.Rat
}

func parseNumber(s string) (number, error) {
	if n, ok := smallNumber(s); ok {
		return number{small: n}, nil
	}
	bad := fmt.Errorf("%s is not a number", quote(s))
	if len(s) > 64 || s == "" || strings.Trim(s, "0123456789.eE+-") != "" {
		return number{}, bad
	}
	if i := strings.IndexAny(s, "eE"); i >= 0 { // 1e999999 would be costly
		if e, err := strconv.Atoi(s[i+1:]); err != nil || e > 400 || e < -400 {
			return number{}, bad
		}
	}
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		return number{}, bad
	}
	return number{exact: r}, nil
}

// smallNumber reads whole numbers up to 18 digits without allocating.
func smallNumber(s string) (int64, bool) {
	digits := strings.TrimPrefix(s, "-")
	if digits == "" || len(digits) > 18 || countDigits(digits) != len(digits) {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

// compare returns how the number in v stands to n: negative if it is less.
func (n number) compare(v string) (c int, ok bool) {
	if n.exact == nil {
		if have, ok := smallNumber(v); ok {
			return cmp.Compare(have, n.small), true
		}
	}
	have, err := parseNumber(v)
	if err != nil {
		return 0, false
	}
	return have.rat().Cmp(n.rat()), true
}

func (n number) rat() *big.Rat {
	if n.exact != nil {
		return n.exact
	}
	return new(big.Rat).SetInt64(n.small)
}

// quote quotes what a user wrote for a message, and no more of it than is needed.
func quote(s string) string {
	const most = 80
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return strconv.Quote(s)
}
