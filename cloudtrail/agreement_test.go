package cloudtrail_test

import (
	"compress/gzip"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/debutsec/debut/cloudtrail"
	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/rawjson"
)

// The data of others, where it is there.
const (
	shared      = "../../shared/data"
	sharedTrail = shared + "/cloudtrail"
	sharedPairs = shared + "/ecs-tests"
)

// skipAbsent skips the test, and says so, if dir is not there.
func skipAbsent(t testing.TB, dir string) {
	t.Helper()
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("SKIPPED: no data at %s", dir)
	}
}

// enricher knows everything about everybody.
type enricher struct{}

func (enricher) UserAgent(s string) cloudtrail.Agent {
	name, version, _ := strings.Cut(s, "/")
	return cloudtrail.Agent{Name: name, Version: version, Device: "Other", OSName: "Linux", OSVersion: "6", OSFull: "Linux 6"}
}

func (enricher) Address(a netip.Addr) cloudtrail.Place {
	if a.Is6() {
		return cloudtrail.Place{Country: "Iceland", ASN: 64496}
	}
	return cloudtrail.Place{
		City: "Vik", Continent: "Europe", CountryISO: "IS", Country: "Iceland", RegionISO: "IS-8", Region: "Sudurland",
		Lat: 63.4186, Lon: -19, HasLocation: true, ASN: 64497, ASOrg: "Example Net",
	}
}

// tester is what [testing.TB] and [rapid.T] have in common.
type tester interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// An agreement holds accessors and documents together.
type agreement struct {
	cat *ecs.Catalogue
	ev  *cloudtrail.Event
	rec cloudtrail.Record
}

func newAgreement() *agreement {
	cat := ecs.NewCatalogue()
	return &agreement{cat: cat, ev: cloudtrail.NewEvent(cat, enricher{})}
}

// check compares, for one record, every field of the mapping, every leaf of the
// document and the names asked for besides. It returns how many fields had values.
func (a *agreement) check(t tester, raw []byte, names ...string) (fields int) {
	t.Helper()
	if _, err := a.rec.Parse(raw); err != nil {
		t.Fatalf("%v: %s", err, raw)
	}
	a.ev.Reset(&a.rec)
	doc := a.ev.Document()
	compare := func(f *ecs.Field) {
		t.Helper()
		name := f.Name
		if f.Of != "" {
			name = f.Of
		}
		want := doc.Values(name)
		got := a.ev.Values(f)
		if !slices.Equal(got, want) {
			t.Errorf("%s: the accessor says %q, the document %q\nrecord: %s", f.Name, got, want, raw)
		}
		if again := a.ev.Values(f); !slices.Equal(again, want) {
			t.Errorf("%s: asked again, the accessor says %q, not %q\nrecord: %s", f.Name, again, want, raw)
		}
		if len(want) > 0 {
			fields++
		}
	}
	for f := range a.cat.Known() {
		compare(f)
	}
	// Each leaf below a flattened field makes a field of the catalogue: one for the
	// common names, one that is forgotten for the others.
	for name, want := range doc.Leaves() {
		f := a.cat.Resolve(name)
		compare(f)
		if !f.Known && !strings.HasPrefix(name, "aws.cloudtrail.resources") {
			t.Errorf("the document has %s = %q, which the mapping does not know", name, want)
		}
		for i := range len(name) { // the objects that hold it
			if name[i] == '.' {
				compare(a.cat.Resolve(name[:i]))
			}
		}
	}
	for _, name := range names {
		compare(a.cat.Resolve(name))
	}
	if a.cat.Len() > 20000 {
		*a = *newAgreement()
	}
	return fields
}

// records yields every record under dir: of gzipped log objects, JSON arrays, lines.
func records(t testing.TB, dir string, yield func(file string, raw []byte)) {
	t.Helper()
	err := filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := readFile(file)
		if err != nil {
			return err
		}
		switch name := d.Name(); {
		case strings.HasSuffix(name, ".gz"):
			for c := rawjson.Walk(rawjson.Get(data, "Records")); c.Next(); {
				yield(file, c.Value())
			}
		case strings.HasSuffix(name, ".log"):
			for line := range strings.Lines(string(data)) {
				if strings.TrimSpace(line) != "" {
					yield(file, []byte(strings.TrimSpace(line)))
				}
			}
		case strings.HasSuffix(name, "-expected.json"), strings.HasSuffix(name, ".ecs.json"), name == "MANIFEST.json":
		case strings.HasSuffix(name, ".json"):
			for c := rawjson.Walk(data); c.Next(); {
				yield(file, c.Value())
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func readFile(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	if !strings.HasSuffix(file, ".gz") {
		return io.ReadAll(f)
	}
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

// For every field of every record that we have, the accessor and the built document
// agree.
func TestAgreementOnSharedData(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{sharedTrail, sharedPairs} {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			t.Parallel()
			skipAbsent(t, dir)
			a := newAgreement()
			n, fields := 0, 0
			records(t, dir, func(_ string, raw []byte) {
				n++
				fields += a.check(t, raw)
			})
			if n == 0 {
				t.Error("no record was read")
			}
			fmt.Fprintf(os.Stderr, "%s: %d records, %d values compared\n", dir, n, fields)
		})
	}
}

// Records that are wrong in every way that we thought of.
func TestAgreementOnHostileRecords(t *testing.T) {
	t.Parallel()
	const requests = "aws.cloudtrail.flattened.request_parameters."
	a := newAgreement()
	for _, tc := range hostile {
		a.check(t, []byte(tc), requests+"a", requests+"a.b", requests+"a.b.c", requests+"", requests+".", requests+"a..b",
			requests+"\uFFFD", "aws", "aws.cloudtrail.resources", "aws.cloudtrail.resources.tags", "nosuchfield", "event.action.text",
			"aws.cloudtrail.flattened.additional_eventdata.UserName", "")
	}
}

var hostile = []string{
	`{}`,
	`{"userIdentity":null,"requestParameters":{},"resources":[]}`,
	`{"userIdentity":"text","requestParameters":"text","responseElements":["a",1,{"b":"-"}],"resources":"x","tlsDetails":7}`,
	`{"userIdentity":[{"type":"Root"}],"eventName":["ConsoleLogin","x"],"eventSource":{"a":1},"sourceIPAddress":["192.0.2.1"]}`,
	`{"\u0075serIdentity":{"\u0074ype":"IAM\u0055ser","\u0061rn":"arn:aws:iam::1:user/x"},"eventN\u0061me":"Get\u0055ser"}`,
	`{"eventName":"A","eventName":"B","userIdentity":{"type":"Root","type":"IAMUser","arn":null,"arn":"x"},"userIdentity":{}}`,
	`{"requestParameters":{"a":{"b":1},"a":{"b":2},"a.b":3,"a.b.c":4,"a":5}}`,
	`{"requestParameters":{"a.b.c":1,"a.b":2,"a.bc":3,"a.c":{"d":[4,"-"]},"a":5,"a..b":6,"a.":7,"a.b.c":8}}`,
	`{"requestParameters":{"a":{"b.c":1,"b":2,"b.":3},"a.b.d":4,".b":5,"..":6,"":{"a":7}}}`,
	`{"requestParameters":{"a":[{"b":[1,{"c":2}]},{"b.c":3},"x",null,"none"],"":"empty",".":"dot","a..b":1}}`,
	`{"requestParameters":{"a":{"":{"b":1}},"x":"-","y":["-","none",{"z":""}]}}`,
	`{"requestParameters":{"n":1E400,"m":-0,"o":-0.0,"p":1e7,"q":0.0001,"r":12345678901234567890,"s":1.0,"t":5e-324}}`,
	"{\"requestParameters\":{\"\xff\":\"\xfe\",\"\xc3\xa9\":\"\\ud800\",\"\\udfff\":1,\"a\":\"\\u0000\"}}",
	`{"requestParameters":{"a":` + strings.Repeat(`{"a":`, 30) + `1` + strings.Repeat(`}`, 30) + `}}`,
	`{"requestParameters":{"a":` + strings.Repeat(`[`, 30) + `{"b":1}` + strings.Repeat(`]`, 30) + `}}`,
	`{"requestParameters":{` + strings.Repeat(`"k":"v",`, 50) + `"a":"` + strings.Repeat("x", 32755) + `"}}`,
	`{"requestParameters":{"a":"` + strings.Repeat("x", 32761) + `"},"responseElements":{"a":"` + strings.Repeat("x", 32762) + `"}}`,
	`{"requestParameters":{"a":[` + strings.Repeat("1e6,", 4000) + `1]}}`,
	`{"requestParameters":{"a":{"b":"x"},"c":"` + strings.Repeat("x", 300_000) + `"},"eventName":"X"}`,
	`{"requestParameters":{` + manyMembers(100) + `},"additionalEventData":{` + manyMembers(13) + `}}`,
	`{"requestParameters":[1,2.50,"x"],"responseElements":1.50,"serviceEventDetails":true,"additionalEventData":"-"}`,
	`{"eventName":"UserAuthentication","additionalEventData":{"UserName":"operator@example.com","x":1}}`,
	`{"eventName":"UserAuthentication","additionalEventData":{"UserName":"operator"}}`,
	`{"eventName":"\u002d","additionalEventData":"quote \" slash \\"}`,
	`{"eventName":"\u002d","additionalEventData":{"a":["` + strings.Repeat(`\u0061`, 4000) + `"]}}`,
	`{"eventName":"UserAuthentication","additionalEventData":{"UserName":{"a":1},"b":2}}`,
	`{"eventName":"UserAuthentication","userIdentity":{"userName":"x"},"additionalEventData":{"UserName":"operator"}}`,
	`{"eventName":"UserAuthentication","userIdentity":{"type":"AWSService","userName":"x","invokedBy":"s"},"additionalEventData":{"UserName":"operator"}}`,
	`{"eventName":"ConsoleLogin","responseElements":{"ConsoleLogin":"Weird"},"additionalEventData":{"MFAUsed":{"a":1},"MobileVersion":"none","LoginTo":["a","-"]}}`,
	`{"eventName":"ConsoleLogin","responseElements":{"ConsoleLogin":["-","FAILURE"]},"additionalEventData":{"MFAUsed":"N\u006f","MobileVersion":false}}`,
	`{"eventName":"ConsoleLogin","errorMessage":"x","responseElements":null,"additionalEventData":["MFAUsed"]}`,
	`{"eventName":"X","errorCode":{"a":1}}`,
	`{"eventName":"X","errorCode":"-","errorMessage":["none"]}`,
	`{"eventTime":"2026-01-31","eventName":"X"}`,
	`{"eventTime":["2026-01-31T08:00:00Z"],"eventName":"X"}`,
	`{"eventTime":20260131,"eventName":"X"}`,
	`{"eventTime":"2026-01-31T08:00:00.123456789+02:00"}`,
	`{"@timestamp":"2026-01-31T08:00:00Z"}`, `{"@timestamp":"soon"}`, `{"@timestamp":["-","2026-01-31T08:00:00Z"]}`,
	`{"@timestamp":"2026-01-31T08:00:00Z","eventTime":null}`, `{"@timestamp":"2026-01-31T08:00:00Z","eventTime":"2026-01-31 09:00:00.000 UTC"}`,
	`{"sourceIPAddress":192,"userAgent":7}`,
	`{"sourceIPAddress":"::ffff:192.0.2.1","serviceEventDetails":{"sourceIpAddress":"192.0.2.7"}}`,
	`{"sourceIPAddress":"fe80::1%eth0","serviceEventDetails":{"sourceIpAddress":"192.0.2.7:443"}}`,
	`{"sourceIPAddress":"192.0.2.01","userAgent":["a","b"]}`,
	`{"sourceIPAddress":"host.example.com","requestParameters":{"computerName":["a","b"],"instanceId":"i-0123456789","target":"i-short"}}`,
	`{"managementEvent":true,"readOnly":"true"}`, `{"managementEvent":[true,"x"],"readOnly":[false]}`, `{"managementEvent":"false"}`,
	`{"sharedEventId":"b"}`, `{"sharedEventID":"a","sharedEventId":"b"}`, `{"sharedEventID":{},"sharedEventId":["b","c"]}`,
	`{"tlsDetails":{"tlsVersion":"tlsVersion","cipherSuite":"x","keyExchange":"y","clientProvidedHostHeader":"h.example.com"}}`,
	`{"tlsDetails":{"tlsVersion":"SSLv","cipherSuite":["x"],"clientProvidedHostHeader":"h.example.com"}}`,
	`{"tlsDetails":{"tlsVersion":1.3,"keyExchange":"x25519"}}`, `{"tlsDetails":{"tlsVersion":"v1"}}`, `{"tlsDetails":[{"tlsVersion":"TLSv1.3"}]}`,
	`{"resources":[{"ARN":{"a":null,"a":1},"arn":"b"},{"type":null,"type":"t"}],"eventName":"ConsoleLogin","additionalEventData":{"MFAUsed":{"a":"-","a":1}}}`,
	`{"resources":{"ARN":"a","accountId":"b"}}`, `{"resources":{"arn":["a",{"x":1}],"type":{"y":true},"account_id":"-"}}`,
	`{"resources":[{"ARN":"a","arn":"b","type":"t"},{"arn":"b","tags":{"x":[1]}},{"ARN":"a","type":"t","accountId":null},7,[],{"ARN":{"x":1}},{"ARN":"-"},{"ARN":["p","q"],"accountId":3}]}`,
	`{"eventName":"X","resources":[` + manyResources(40) + `]}`,
	`{"userIdentity":{"type":"AssumedRole","arn":"arn:aws:sts::1:assumed-role/r/","sessionContext":{"sessionIssuer":{"arn":"arn:aws:iam::1:role/r","userName":"r"}}},"eventName":"X"}`,
	`{"userIdentity":{"type":"AssumedRole","arn":"arn:aws-cn:sts::1:assumed-role/r/@s","sessionContext":{"sessionIssuer":{"arn":["-","arn:aws:iam::1:role/r"]}}},"eventName":"X"}`,
	`{"userIdentity":{"type":"AssumedRole","userName":"u","sessionContext":{"sessionIssuer":{"arn":"arn:aws:iam::1:role/aws-service-role/x.amazonaws.com/AWSServiceRoleForX"}}},"eventName":"X"}`,
	`{"userIdentity":{"type":"AssumedRole","invokedBy":"y","sessionContext":{"sessionIssuer":{"arn":"arn:aws:iam::1:role/aws-service-role/"}}},"eventName":"X"}`,
	`{"userIdentity":{"type":["AWSService"],"invokedBy":["a","b"],"principalId":"p"},"eventName":"AssumeRole","eventSource":"sts.amazonaws.com"}`,
	`{"userIdentity":{"type":"IdentityCenterUser","arn":"","onBehalfOf":{"userId":"u","identityStoreArn":"s"},"principalId":"-"},"eventName":"X"}`,
	`{"userIdentity":{"type":"IAMUser","userName":"@a","principalId":7,"accountId":true},"eventID":["a"],"recipientAccountId":{}}`,
	`{"userIdentity":{"type":"IAMUser","userName":["a@b","c"]},"requestParameters":{"userName":["x","x",{"y":1}],"newUserName":"z"}}`,
	`{"userIdentity":{"sessionContext":{"attributes":{"creationDate":"20260131T070000Z","mfaAuthenticated":true},"webIdFederationData":{"attributes":{"a.b":["x",{"c":"-"}]},"federatedProvider":"p"}}}}`,
	`{"userIdentity":{"sessionContext":{"attributes":{"creationDate":"soon"},"webIdFederationData":{"attributes":"x"},"sessionIssuer":"x"}}}`,
	`{"eventName":"SendCommand","eventSource":"ssm.amazonaws.com","recipientAccountId":"1","requestParameters":{"targets":[{"key":"InstanceIds","values":["*"]}]}}`,
	`{"eventName":"SendCommand","eventSource":"ssm.amazonaws.com","requestParameters":{"instanceIds":["i-1","arn:aws:ec2:r:1:instance/i-2","mi-3","i-1"]}}`,
	`{"eventName":"AddPermission20150331v2","eventSource":"lambda.amazonaws.com","requestParameters":{"functionName":"f"}}`,
	`{"digestStartTime":"2026-01-31T07:00:00Z","digestEndTime":"2026-01-31T08:00:00Z","logFiles":[],"digestS3Object":"k","awsAccountId":"1","previousDigestHashValue":"ff"}`,
	`{"digestStartTime":"2026-01-31T07:00:00Z","digestEndTime":"2026-01-31T08:00:00Z","logFiles":[],"@timestamp":"2026-01-01T00:00:00Z"}`,
	`{"digestStartTime":"x","digestEndTime":"x","logFiles":[{"s3Object":"k"}],"userIdentity":{"type":"Root"}}`,
	`{"insightDetails":{"state":"Start","x":{"y":["none",1]}},"eventCategory":"Insight"}`, `{"insightDetails":"x"}`,
	`{"addendum":{"reason":"DELIVERY_DELAY","updatedFields":["a","b"]}}`, `{"addendum":"x"}`,
}

func manyMembers(n int) string {
	var members []string
	for i := range n {
		members = append(members, fmt.Sprintf(`"Aa%dBB":%d,"BB%dAa":"-","BB%dBB":"x%d"`, i, i, i, i, i))
	}
	return strings.Join(members, ",")
}

func manyResources(n int) string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf(`{"ARN":"arn:aws:ec2:r:1:instance/i-%010d","accountId":"1"}`, i%(n-3)))
	}
	return strings.Join(list, ",")
}

// An ID does not depend on where the event comes from.
func TestIDOfRecordAndDocument(t *testing.T) {
	t.Parallel()
	cat := ecs.NewCatalogue()
	ev := cloudtrail.NewEvent(cat, nil)
	for _, raw := range append(slices.Clone(hostile),
		`{"eventTime":"2026-01-31T08:00:00Z","eventID":"a","recipientAccountId":"111122223333"}`,
		`{"eventTime":"2026-01-31T08:00:00Z","eventID":"a","userIdentity":{"accountId":"111122223333"}}`,
		`{"eventTime":"2026-01-31T08:00:00Z","eventID":"a","recipientAccountId":"111122223333","userIdentity":{"accountId":"444455556666"}}`,
		`{"eventTime":"2026-01-31T08:00:00Z","eventID":"a"}`,
	) {
		var rec cloudtrail.Record
		if _, err := rec.Parse([]byte(raw)); err != nil {
			t.Fatal(err)
		}
		ev.Reset(&rec)
		doc := ev.Document()
		if doc.Values("@timestamp") == nil || doc.Values("event.id") == nil {
			continue
		}
		back, err := ecs.ParseJSON(cat, doc.AppendJSON(nil))
		if err != nil {
			t.Fatal(err)
		}
		if got, want := back.ID(), ev.ID(); got != want {
			t.Errorf("the document's ID is %s, the record's %s: %s", got, want, raw)
		}
		if !back.Time().Equal(ev.Time()) {
			t.Errorf("the document's time is %s, the record's %s", back.Time(), ev.Time())
		}
	}
}

// An event that comes as an ECS document answers as the record does.
func TestDocumentAsInput(t *testing.T) {
	t.Parallel()
	cat := ecs.NewCatalogue()
	ev := cloudtrail.NewEvent(cat, enricher{})
	compare := func(raw []byte) {
		var rec cloudtrail.Record
		if _, err := rec.Parse(raw); err != nil {
			t.Fatal(err)
		}
		ev.Reset(&rec)
		doc := ev.Document()
		if doc.Values("@timestamp") == nil {
			return
		}
		back, err := ecs.ParseJSON(cat, doc.AppendJSON(nil))
		if err != nil {
			t.Fatal(err)
		}
		for f := range cat.Known() {
			if got, want := back.Values(f), ev.Values(f); !slices.Equal(got, want) {
				t.Errorf("%s: the document says %q, the record %q: %s", f.Name, got, want, raw)
			}
		}
		if diff := cmp.Diff(doc, back.Document()); diff != "" {
			t.Errorf("the document came back different (-want +got):\n%s", diff)
		}
		// Without the principal it is found again.
		delete(doc, "debut")
		if back, err = ecs.ParseJSON(cat, doc.AppendJSON(nil)); err != nil {
			t.Fatal(err)
		}
		f := cat.Resolve("debut.principal")
		if got, want := back.Values(f), ev.Values(f); !slices.Equal(got, want) {
			t.Errorf("the document's principal is %q, the record's %q: %s", got, want, raw)
		}
	}
	for _, raw := range hostile {
		compare([]byte(raw))
	}
	if _, err := os.Stat(sharedTrail); err == nil {
		records(t, filepath.Join(sharedTrail, "stratus"), func(_ string, raw []byte) { compare(raw) })
	}
}
