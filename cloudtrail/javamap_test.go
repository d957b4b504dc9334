package cloudtrail

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/debutsec/debut/ecs"
)

// The lazy rendering and that of the document, of one value.
func renderings(t *testing.T, value string) (lazy, built string) {
	t.Helper()
	cat := ecs.NewCatalogue()
	var rec Record
	if _, err := rec.Parse([]byte(`{"requestParameters":` + value + `}`)); err != nil {
		t.Fatalf("%v: %s", err, value)
	}
	ev := NewEvent(cat, nil)
	ev.Reset(&rec)
	const name = "aws.cloudtrail.request_parameters"
	return first(ev.Values(cat.Resolve(name))), first(ev.Document().Values(name))
}

func TestRendering(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ in, want string }{
		// Orders that java.util.HashMap is known to have.
		{`{"quotaCode":"q","serviceCode":"s"}`, `{serviceCode=s, quotaCode=q}`},
		{`{"enabled":false,"types":["a"]}`, `{types=[a], enabled=false}`},
		{`{"key":"k","value":"v"}`, `{value=v, key=k}`},
		{`{"roleSessionName":"s","roleArn":"r"}`, `{roleArn=r, roleSessionName=s}`},
		{
			`{"credentials":{"accessKeyId":1,"expiration":2,"sessionToken":3},"assumedRoleUser":{"assumedRoleId":5,"arn":4}}`,
			`{assumedRoleUser={assumedRoleId=5, arn=4}, credentials={accessKeyId=1, sessionToken=3, expiration=2}}`,
		},
		{`{"key":1,"Host":2,"x-amz-copy-source":3,"bucketName":4}`, `{bucketName=4, Host=2, x-amz-copy-source=3, key=1}`},
		// In one bucket the order is that of the record.
		{`{"Host":1,"x-amz-server-side-encryption-aws-kms-key-id":2}`, `{Host=1, x-amz-server-side-encryption-aws-kms-key-id=2}`},
		{`{"x-amz-server-side-encryption-aws-kms-key-id":2,"Host":1}`, `{x-amz-server-side-encryption-aws-kms-key-id=2, Host=1}`},
		// What is pruned counts for the size of the table all the same.
		{`{"name":1,"type":1}`, `{name=1, type=1}`},
		{`{"name":1,"type":1,"k03":"","k04":null,"k05":"-","k06":"none","k07":[],"k08":{},"k09":[{}],"k10":"","k11":"","k12":""}`, `{name=1, type=1}`},
		{`{"name":1,"type":1,"k03":"","k04":null,"k05":"-","k06":"none","k07":[],"k08":{},"k09":[{}],"k10":"","k11":"","k12":"","k13":""}`, `{type=1, name=1}`},
		{`{"name":1,"type":1,"k03":"","k04":null,"k05":"-","k06":"none","k07":[],"k08":{},"k09":[{}],"k10":"","k11":"","k12":"","k12":""}`, `{name=1, type=1}`},
		{`{"a":{"b":["none",{"c":"-"}]},"d":false,"e":0}`, `{d=false, e=0}`},
		{`{"a":["none","x",null,["y",""]]}`, `{a=[x, [y]]}`},
		// The first of duplicate names counts, however it is spelt.
		{`{"a":1,"\u0061":2,"b":3}`, `{a=1, b=3}`},
		{`{"a":"-","a":2,"b":3}`, `{b=3}`},
		// Text is copied as it is.
		{`{"policy":"{\"Effect\": \"Allow\",\n\"Principal\":\"*\"}"}`, "{policy={\"Effect\": \"Allow\",\n\"Principal\":\"*\"}}"},
		{`{"":"x","é":"\u00e9"}`, `{=x, é=é}`},
		// Numbers as Java reads and prints them.
		{`[0,-0,12345678901234567890123,1726046908000]`, `[0, 0, 12345678901234567890123, 1726046908000]`},
		{`[0.0,-0.0,243.0,1.50,100.25,1e2]`, `[0.0, -0.0, 243.0, 1.5, 100.25, 100.0]`},
		{`[9999999.0,1e7,1.0e7,12345678.9,1e21,-1.5E+30]`, `[9999999.0, 1.0E7, 1.0E7, 1.23456789E7, 1.0E21, -1.5E30]`},
		{`[0.001,0.00099,1e-4,5e-324,0.1,3.141592653589793]`, `[0.001, 9.9E-4, 1.0E-4, 4.9E-324, 0.1, 3.141592653589793]`},
		{`[1e400,-1E400,1e-400]`, `[Infinity, -Infinity, 0.0]`},
		// What is no object.
		{`"text"`, `text`},
		{`["a",{"b":1}]`, `[a, {b=1}]`},
		{`true`, `true`},
		{`2.50`, `2.5`},
		{`7`, `7`},
		{`""`, ``},
		{`"none"`, ``},
		{`null`, ``},
		{`{}`, ``},
		{`[[],{}]`, ``},
	} {
		lazy, built := renderings(t, tc.in)
		if lazy != tc.want {
			t.Errorf("%s is rendered\n%s, want\n%s", tc.in, lazy, tc.want)
		}
		if built != tc.want {
			t.Errorf("%s is rendered in the document\n%s, want\n%s", tc.in, built, tc.want)
		}
	}
}

func TestJavaHash(t *testing.T) {
	t.Parallel()
	// "Aa" and "BB" have one hash code; hash codes are over UTF-16 units.
	for s, want := range map[string]uint32{"": 0, "a": 97, "Aa": 2112, "BB": 2112, "é": 233, "\U0001F600": 1772899 ^ 1772899>>16} {
		if got := javaHash(s); got != want {
			t.Errorf("javaHash(%q) = %d, want %d", s, got, want)
		}
	}
	got := make(map[int]uint32)
	for _, n := range []int{0, 1, 12, 13, 24, 25, 48, 49, 97} {
		got[n] = tableSize(n)
	}
	if diff := cmp.Diff(map[int]uint32{0: 16, 1: 16, 12: 16, 13: 32, 24: 32, 25: 64, 48: 64, 49: 128, 97: 256}, got); diff != "" {
		t.Error(diff)
	}
}

// Names that all fall into one bucket must not take time in their square.
func TestRenderingHostileNames(t *testing.T) {
	t.Parallel()
	var members []string
	for i := range 1 << 16 {
		name := strings.NewReplacer("0", "Aa", "1", "BB").Replace(fmt.Sprintf("%016b", i))
		members = append(members, fmt.Sprintf("%q:%d", name, i))
	}
	in := "{" + strings.Join(members, ",") + "}"
	lazy, built := renderings(t, in)
	if lazy != built || !strings.HasPrefix(lazy, "{AaAaAaAaAaAaAaAaAaAaAaAaAaAaAaAa=0, AaAaAaAaAaAaAaAaAaAaAaAaAaAaAaBB=1, ") {
		t.Errorf("rendered %.100s and %.100s", lazy, built)
	}
}

// A text of 32766 UTF-16 units is kept, but has no flattened copy.
func TestFlattenedLimits(t *testing.T) {
	t.Parallel()
	cat := ecs.NewCatalogue()
	const root = "aws.cloudtrail.flattened.request_parameters"
	member := cat.Resolve(root + ".a")
	text := cat.Resolve("aws.cloudtrail.request_parameters")
	ev := NewEvent(cat, nil)
	for value, flattened := range map[string]bool{
		strings.Repeat("x", maxFlattened-5):          true, // {a=…}
		strings.Repeat("x", maxFlattened-4):          false,
		strings.Repeat("é", maxFlattened-5):          true,
		strings.Repeat("\U0001F600", maxFlattened/2): false,
	} {
		var rec Record
		if _, err := rec.Parse([]byte(`{"requestParameters":{"a":"` + value + `"}}`)); err != nil {
			t.Fatal(err)
		}
		ev.Reset(&rec)
		if got := ev.Values(member) != nil; got != flattened {
			t.Errorf("a text of %d bytes: flattened %v, want %v", len(value)+4, got, flattened)
		}
		if got := ev.Document().Values(root) != nil; got != flattened {
			t.Errorf("a text of %d bytes: flattened in the document %v, want %v", len(value)+4, got, flattened)
		}
		if got := first(ev.Values(text)); got != "{a="+value+"}" {
			t.Errorf("a text of %d bytes is not kept", len(value)+4)
		}
	}

	deep := func(n int) string { return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) }
	for n, want := range map[int]bool{maxFlattenedDepth: true, maxFlattenedDepth + 1: false} {
		var rec Record
		if _, err := rec.Parse([]byte(`{"requestParameters":` + deep(n) + `}`)); err != nil {
			t.Fatal(err)
		}
		ev.Reset(&rec)
		leaf := cat.Resolve(root + strings.Repeat(".a", n))
		if got := ev.Values(leaf) != nil; got != want {
			t.Errorf("%d levels: found %v, want %v", n, got, want)
		}
		if ev.Values(text) == nil {
			t.Errorf("%d levels: the text is gone", n)
		}
	}
}
