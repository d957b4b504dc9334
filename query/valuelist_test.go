package query_test

import (
	"fmt"
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/query"
)

func TestValueList(t *testing.T) {
	t.Parallel()
	f := ecs.NewCatalogue().Resolve("x")
	for _, c := range []struct {
		typ     string
		values  []string
		in, out []string
		wrong   string
	}{
		{typ: "keyword", values: []string{"a", "B*"}, in: []string{"a", "B*"}, out: []string{"A", "B", "Bx", ""}},
		{typ: "text", values: []string{"two words"}, in: []string{"two words"}, out: []string{"two"}},
		{
			typ: "ip_range", values: []string{"192.0.2.0/24", "198.51.100.5-198.51.100.7", "198.51.100.6 - 198.51.100.9", "2001:db8::/32", "203.0.113.1"},
			in:  []string{"192.0.2.0", "192.0.2.255", "::ffff:192.0.2.7", "198.51.100.5", "198.51.100.9", "2001:db8::1", "203.0.113.1"},
			out: []string{"192.0.1.255", "192.0.3.0", "198.51.100.4", "198.51.100.10", "2001:db9::", "203.0.113.2", "AWS Internal", "", "192.0.2.01"},
		},
		{typ: "ip", values: []string{"192.0.2.1"}, in: []string{"192.0.2.1"}, out: []string{"192.0.2.2"}},
		{typ: "ip", values: nil, out: []string{"192.0.2.2"}},
		{typ: "ip", values: []string{"0.0.0.0/0"}, in: []string{"192.0.2.1"}, out: []string{"2001:db8::"}},
		{typ: "long", values: []string{"64496", "1.0"}, in: []string{"64496", "1", "1.0"}, out: []string{"64497", "x"}},
		{typ: "double", values: []string{"0.5"}, in: []string{"0.50", "5e-1"}, out: []string{"1e999999", "5"}},
		{typ: "ip", values: []string{"192.0.2.1", "home"}, wrong: `value 2: "home" is not an address, a CIDR block or a span of addresses`},
		{typ: "ip_range", values: []string{"192.0.2.9-192.0.2.1"}, wrong: `value 1: "192.0.2.9-192.0.2.1" is not an address, a CIDR block or a span of addresses`},
		{typ: "ip_range", values: []string{"192.0.2.9-2001:db8::"}, wrong: `value 1: "192.0.2.9-2001:db8::" is not an address, a CIDR block or a span of addresses`},
		{typ: "ip", values: []string{"192.0.2.0/33"}, wrong: `value 1: "192.0.2.0/33" is not an address, a CIDR block or a span of addresses`},
		{typ: "integer", values: []string{"one"}, wrong: `value 1: "one" is not a number`},
		{typ: "geo_point", values: []string{"1,2"}, wrong: `value lists of type "geo_point" are not supported`},
	} {
		e, err := query.InList(f, c.typ, c.values)
		if got := fmt.Sprint(err); err != nil && got != c.wrong || err == nil && c.wrong != "" {
			t.Errorf("%s %q: error %v, want %q", c.typ, c.values, err, c.wrong)
		}
		if err != nil {
			continue
		}
		decide := func(v string) query.Truth {
			return e.Decide(func(*ecs.Field) ([]string, bool) { return []string{v}, true })
		}
		for _, v := range c.in {
			if decide(v) != query.True {
				t.Errorf("%s %q does not have %q", c.typ, c.values, v)
			}
		}
		for _, v := range c.out {
			if decide(v) != query.False {
				t.Errorf("%s %q has %q", c.typ, c.values, v)
			}
		}
		if e.Decide(func(*ecs.Field) ([]string, bool) { return nil, false }) != query.Maybe {
			t.Errorf("%s decides without knowing", c.typ)
		}
	}
}

// An address is in the merged ranges exactly if it is in one of the list.
func TestRangesProperty(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		addr := rapid.Custom(func(t *rapid.T) netip.Addr {
			return netip.AddrFrom4([4]byte{192, 0, 2, rapid.Byte().Draw(t, "byte")})
		})
		prefixes := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) netip.Prefix {
			return netip.PrefixFrom(addr.Draw(t, "addr"), rapid.IntRange(24, 32).Draw(t, "bits"))
		}), 0, 8).Draw(t, "prefixes")
		var values []string
		for _, p := range prefixes {
			values = append(values, p.String())
		}
		f := ecs.NewCatalogue().Resolve("source.ip")
		list, err := query.InList(f, "ip_range", values)
		if err != nil {
			t.Fatal(err)
		}
		either, err := query.AnyOf(f, values)
		if err != nil {
			t.Fatal(err)
		}
		a, want := addr.Draw(t, "a"), query.False
		for _, p := range prefixes {
			if p.Contains(a) {
				want = query.True
			}
		}
		known := func(*ecs.Field) ([]string, bool) { return []string{a.String()}, true }
		if got := list.Decide(known); got != want {
			t.Fatalf("the list %v has %v: %v, want %v", values, a, got, want)
		}
		if got := either.Decide(known); got != want {
			t.Fatalf("any of %v is %v: %v, want %v", values, a, got, want)
		}
	})
}
