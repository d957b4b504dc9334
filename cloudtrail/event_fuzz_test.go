package cloudtrail_test

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/debutsec/debut/cloudtrail"
	"github.com/debutsec/debut/ecs"
)

// FuzzEvent holds the accessors and the document together on any record, and both to
// what they promise.
func FuzzEvent(f *testing.F) {
	for _, seed := range hostile {
		f.Add([]byte(seed), "a.b")
	}
	records(f, "testdata/ecs", func(_ string, raw []byte) { f.Add(raw, "targets.values") })
	a := newAgreement()
	f.Fuzz(func(t *testing.T, raw []byte, path string) {
		var rec cloudtrail.Record
		if n, err := rec.Parse(raw); err != nil || n != len(raw) || n > 1<<16 || strings.Count(path, ".") > 40 {
			return
		}
		a.check(t, raw, path, "aws.cloudtrail.flattened.request_parameters."+path)
		ev := cloudtrail.NewEvent(ecs.NewCatalogue(), nil)
		ev.Reset(&rec)
		checkDocument(t, ev.Document())
	})
}

// checkDocument checks what holds for every document.
func checkDocument(t tester, doc ecs.Document) {
	t.Helper()
	for _, name := range []string{"event.kind", "event.outcome", "event.type", "event.dataset", "data_stream.dataset", "ecs.version"} {
		if doc.Values(name) == nil {
			t.Errorf("no %s", name)
		}
	}
	var walk func(name string, v any)
	walk = func(name string, v any) {
		switch v := v.(type) {
		case nil:
			t.Errorf("%s is null", name)
		case string:
			if v == "" {
				t.Errorf("%s is empty", name)
			}
		case map[string]any:
			if len(v) == 0 {
				t.Errorf("%s is an empty object", name)
			}
			for k, child := range v {
				walk(name+"."+k, child)
			}
		case []any:
			if len(v) == 0 {
				t.Errorf("%s is an empty list", name)
			}
			for _, child := range v {
				walk(name, child)
			}
		case bool, ecs.Number:
		default:
			t.Errorf("%s is a %T", name, v)
		}
	}
	walk("", map[string]any(doc))
	back, err := ecs.ParseDocument(doc.AppendJSON(nil))
	if err != nil {
		t.Errorf("the document is no JSON: %v", err)
		return
	}
	for name, want := range doc.Leaves() {
		if got := back.Values(name); fmt.Sprint(got) != fmt.Sprint(doc.Values(name)) {
			t.Errorf("%s came back as %q, not %q", name, got, want)
		}
	}
}

// Names that records have, and some that they should not.
var vocabulary = strings.Fields(`eventVersion eventTime userIdentity eventSource eventName awsRegion sourceIPAddress
	userAgent errorCode errorMessage requestParameters responseElements additionalEventData requestID eventID eventType
	apiVersion readOnly resources recipientAccountId sharedEventID sharedEventId serviceEventDetails managementEvent
	eventCategory insightDetails addendum tlsDetails @timestamp digestStartTime digestEndTime digestS3Object logFiles awsAccountId
	type principalId arn accountId accessKeyId userName sessionContext attributes sessionIssuer invokedBy onBehalfOf
	userId identityStoreArn webIdFederationData creationDate mfaAuthenticated ARN account_id UserName MFAUsed LoginTo
	ConsoleLogin tlsVersion clientProvidedHostHeader cipherSuite instanceIds targets values newUserName user group groupId
	a b c a.b b.c a.b.c`)

var topLevel = vocabulary[:34]

var texts = []string{
	"", "-", "none", "x", "AssumedRole", "IAMUser", "AWSService", "Root", "IdentityCenterUser", "FederatedUser",
	"arn:aws:sts::111122223333:assumed-role/role/session@example.com", "arn:aws:iam::111122223333:role/role",
	"arn:aws:iam::111122223333:role/aws-service-role/x.amazonaws.com/AWSServiceRoleForX", "i-0a1b2c3d4e5f60001",
	"ConsoleLogin", "UserAuthentication", "SendCommand", "AssumeRole", "CreateUser", "ssm.amazonaws.com", "sts.amazonaws.com",
	"2026-01-31T08:00:00Z", "20260131T080000Z", "192.0.2.1", "2001:db8::1", "host.example.com", "Success", "No", "TLSv1.3",
	"tlsVersion", "*", "\u00e9\U0001F600", "user@example.com", `quote " slash \`,
}

// jsonValue generates JSON text: what records hold, and what they should not.
func jsonValue(depth int) *rapid.Generator[string] {
	scalar := rapid.OneOf(
		rapid.Map(rapid.SampledFrom(texts), spell(false)),
		rapid.Custom(func(t *rapid.T) string { return spell(true)(rapid.SampledFrom(texts).Draw(t, "escaped")) }),
		rapid.SampledFrom([]string{"null", "true", "false", "0", "-0", "1.50", "1e6", "1E400", "12345678901234567890", `"\ud800"`, "\"\xff\""}),
	)
	if depth == 0 {
		return scalar
	}
	return rapid.OneOf(scalar, jsonObject(depth-1, vocabulary), rapid.Custom(func(t *rapid.T) string {
		return "[" + strings.Join(rapid.SliceOfN(jsonValue(depth-1), 0, 3).Draw(t, "list"), ",") + "]"
	}))
}

func jsonObject(depth int, names []string) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		var members []string
		for range rapid.IntRange(0, 8).Draw(t, "members") {
			name := spell(rapid.IntRange(0, 5).Draw(t, "escape") == 0)(rapid.SampledFrom(names).Draw(t, "name"))
			members = append(members, name+rapid.SampledFrom([]string{":", " : "}).Draw(t, "colon")+jsonValue(depth).Draw(t, "value"))
		}
		return "{" + strings.Join(members, ",") + "}"
	})
}

// spell returns how to write a text as JSON: as it is, or with every character escaped.
func spell(escape bool) func(string) string {
	return func(s string) string {
		var b strings.Builder
		b.WriteByte('"')
		for _, r := range s {
			switch {
			case r > 0xFFFF:
				fmt.Fprintf(&b, `\u%04x\u%04X`, 0xD800+(r-0x10000)>>10, 0xDC00+(r-0x10000)&0x3FF)
			case escape, r == '"', r == '\\':
				fmt.Fprintf(&b, `\u%04x`, r)
			default:
				b.WriteRune(r)
			}
		}
		b.WriteByte('"')
		return b.String()
	}
}

// Generated records, one event for all: what was read of one must not show in the next.
func TestAgreementOnGeneratedRecords(t *testing.T) {
	t.Parallel()
	a := newAgreement()
	rapid.Check(t, func(t *rapid.T) {
		raw := []byte(jsonObject(5, topLevel).Draw(t, "record"))
		path := strings.Join(rapid.SliceOfN(rapid.SampledFrom(vocabulary), 1, 4).Draw(t, "path"), ".")
		a.check(t, raw, path, "aws.cloudtrail.flattened.request_parameters."+path, "aws.cloudtrail.flattened.additional_eventdata."+path)
		checkDocument(t, a.ev.Document())
	})
}
