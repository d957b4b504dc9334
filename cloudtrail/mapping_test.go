package cloudtrail

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/debutsec/debut/ecs"
)

// The mapping's tables and the catalogue of fields name the same fields.
func TestEveryFieldHasAReader(t *testing.T) {
	t.Parallel()
	// What an event cannot know: arrival stamps and the record as text.
	absent := []string{"event.created", "event.ingested", "event.original"}
	known := make(map[string]bool)
	for f := range ecs.NewCatalogue().Known() {
		known[f.Name] = true
		name := f.Name
		if f.Of != "" {
			name = f.Of
		}
		if readers()[name] == nil && !slices.Contains(absent, name) {
			t.Errorf("nothing reads %s", f.Name)
		}
	}
	for name := range readers() {
		if !known[name] {
			t.Errorf("%s is read, but no field of the catalogue", name)
		}
	}
}

func TestMoves(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for _, m := range moves {
		if seen[m.target] {
			t.Errorf("%s has two sources", m.target)
		}
		seen[m.target] = true
		path := strings.Split(m.source, ".")
		member, ok := memberOf([]byte(path[0]))
		if !ok {
			t.Errorf("%s: no member %s", m.target, path[0])
		}
		if member == UserIdentity {
			if p, ok := partAt(path[1:]); !ok || partNames[p] != path[len(path)-1] {
				t.Errorf("%s: no part %v", m.target, path[1:])
			}
		}
	}
	for _, path := range []string{"", "x", "type.x", "sessionContext.x", "sessionContext.attributes.creationDate.x"} {
		if p, ok := partAt(strings.Split(path, ".")); ok {
			t.Errorf("partAt(%q) = %d", path, p)
		}
	}
}

func TestCategories(t *testing.T) {
	t.Parallel()
	if len(categories) != 91 {
		t.Errorf("%d actions have a category, want 91", len(categories))
	}
	for action, want := range map[string]category{
		"SendCommand":      {[]string{"process"}, []string{"start"}},
		"AttachUserPolicy": {[]string{"iam"}, []string{"user", "change"}},
		"AttachRolePolicy": {[]string{"iam"}, []string{"change"}},
		"DeleteObject":     {[]string{"file"}, []string{"deletion"}},
		"CopyObject":       {nil, []string{"info"}},
		"sendcommand":      {nil, []string{"info"}},
		"":                 {nil, []string{"info"}},
	} {
		if diff := cmp.Diff(want, categoryOf(action), cmp.AllowUnexported(category{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", action, diff)
		}
	}
}

func TestClassOf(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]class{
		"arn:aws:iam::111122223333:user/path/operator":                       user,
		"arn:aws-cn:sts::111122223333:assumed-role/deploy/x":                 user,
		"arn:aws:iam::111122223333:mfa/device":                               user,
		"arn:aws:ec2:eu-central-1:111122223333:instance/i-0a1b2c3d":          host,
		"arn:aws:s3:::example":                                               service,
		"arn:aws:logs:eu-central-1:111122223333:log-group:/x:*":              service,
		"arn:aws:ssm:eu-central-1:111122223333:document/D":                   service,
		"arn:aws:sts::111122223333:assumed-role/AWSServiceRoleForX/y":        service,
		"arn:aws:iam::111122223333:role/aws-service-role/x.amazonaws.com/y":  service,
		"arn:aws:ssm:eu-central-1:111122223333:managed-instance/mi-0a1b2c3d": generic,
		"arn:aws:sns:eu-central-1:111122223333:alerts":                       generic,
		"arn:aws:iam":          generic,
		"AKIAEXAMPLEKEY000001": user,
		"AKIAEXAMPLE":          generic,
		"i-0a1b2c3d":           host,
		"sg-0a1b2c3d":          service,
		"sgr-0a1b2c3d":         service,
		"vpce-0a1b2c3d":        service,
		"sgx-0a1b2c3d":         generic,
		"vol-0a1b2c3d":         generic,
		"111122223333":         generic,
		"":                     generic,
	} {
		if got := classOf(id); got != want {
			t.Errorf("classOf(%q) = %d, want %d", id, got, want)
		}
	}
}

func TestServiceAndSession(t *testing.T) {
	t.Parallel()
	const linked = "arn:aws:iam::111122223333:role/aws-service-role/ssm.amazonaws.com/AWSServiceRoleForAmazonSSM"
	for _, tc := range []struct {
		actor            actor
		service, session string
	}{
		{actor{kind: "AWSService", invokedBy: "ec2.amazonaws.com"}, "ec2.amazonaws.com", ""},
		{actor{kind: "AWSService"}, "", ""},
		{actor{kind: "AssumedRole", issuerARN: linked}, "ssm.amazonaws.com", ""},
		{actor{kind: "AssumedRole", issuerARN: linked, invokedBy: "x.amazonaws.com"}, "x.amazonaws.com", ""},
		{actor{kind: "IAMUser", issuerARN: linked, invokedBy: "x.amazonaws.com"}, "", ""},
		{actor{kind: "AssumedRole", arn: "arn:aws-us-gov:sts::1:assumed-role/r/s@x", issuerARN: "arn:aws-us-gov:iam::1:role/r"}, "", "s@x"},
		{actor{kind: "FederatedUser", arn: "arn:aws:sts::1:federated-user/visitor"}, "", "visitor"},
		{actor{kind: "IAMUser", arn: "arn:aws:sts::1:x/y"}, "", ""},
		{actor{kind: "AssumedRole", arn: "arn:aws:iam::1:role/r"}, "", ""},
		{actor{kind: "AssumedRole", arn: "arn:aws:sts::1:assumed-root"}, "", ""},
	} {
		if got := tc.actor.service(); got != tc.service {
			t.Errorf("%+v: service %q, want %q", tc.actor, got, tc.service)
		}
		if got := tc.actor.session(); got != tc.session {
			t.Errorf("%+v: session %q, want %q", tc.actor, got, tc.session)
		}
	}
}

func TestTLSVersion(t *testing.T) {
	t.Parallel()
	for in, want := range map[string][2]string{
		"TLSv1.3": {"tls", "1.3"}, "SSLv3": {"ssl", "3"}, "1.2": {"", "1.2"}, "v1": {"", "1"}, "TLSv": {"tls", ""}, "": {"", ""},
	} {
		protocol, version := tlsVersion(in)
		if got := [2]string{protocol, version}; got != want {
			t.Errorf("tlsVersion(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestParseAddr(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]bool{
		"192.0.2.1": true, "::1": true, "2001:DB8::1": true, "::ffff:192.0.2.1": true, "10.0.0.1": true,
		"": false, "192.0.2.01": false, "192.0.2.1:443": false, "[::1]": false, "fe80::1%eth0": false, "192.0.2.1/32": false,
		"AWS Internal": false, "ec2.amazonaws.com": false, "cafe": false, " 192.0.2.1": false,
	} {
		if _, got := parseAddr(s); got != want {
			t.Errorf("parseAddr(%q) is %v", s, got)
		}
	}
}

// An Event is used again for ever: what it counts records with wraps around.
func TestGenerationWraps(t *testing.T) {
	t.Parallel()
	cat := ecs.NewCatalogue()
	action := cat.Resolve("event.action")
	ev := NewEvent(cat, nil)
	var one, two Record
	for rec, raw := range map[*Record]string{&one: `{"eventName":"One"}`, &two: `{"eventName":"Two"}`} {
		if _, err := rec.Parse([]byte(raw)); err != nil {
			t.Fatal(err)
		}
	}
	ev.Reset(&one)
	if got := ev.Values(action); !slices.Equal(got, []string{"One"}) {
		t.Errorf("got %q", got)
	}
	ev.gen = ^uint32(0)
	ev.Reset(&two)
	if ev.gen == 0 {
		t.Error("generation 0 is what cells have before their first record")
	}
	if got := ev.Values(action); !slices.Equal(got, []string{"Two"}) {
		t.Errorf("got %q", got)
	}
}

// A field of another catalogue is answered, though it may share an index with ours.
func TestFieldOfAnotherCatalogue(t *testing.T) {
	t.Parallel()
	ev := NewEvent(ecs.NewCatalogue(), nil)
	var rec Record
	if _, err := rec.Parse([]byte(`{"eventName":"GetUser","eventSource":"iam.amazonaws.com"}`)); err != nil {
		t.Fatal(err)
	}
	ev.Reset(&rec)
	ours, theirs := ecs.NewCatalogue(), ecs.NewCatalogue()
	ours.Resolve("event.x")
	theirs.Resolve("event.y")
	for _, f := range []*ecs.Field{ev.cat.Resolve("event.action"), ours.Resolve("event.action"), theirs.Resolve("event.provider"), {Name: "event.action"}} {
		want := "GetUser"
		if f.Name == "event.provider" {
			want = "iam.amazonaws.com"
		}
		if got := ev.Values(f); !slices.Equal(got, []string{want}) {
			t.Errorf("%s is %q", f.Name, got)
		}
	}
}
