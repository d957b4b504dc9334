package cloudtrail_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/zstd"

	"github.com/debutsec/debut/cloudtrail"
)

// logObject returns a log object of n records of about 1.2 KB each, as S3 has it before
// compression.
func logObject(n int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"Records":[`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(sampleRecord(i))
	}
	b.WriteString(`]}`)
	return b.Bytes()
}

// sampleRecord returns record number i of about 1.2 KB. As in real trails, most of it
// has been there before, and some 110 bytes of it are random.
func sampleRecord(i int) string {
	state := uint64(i)
	random := func() uint64 { // splitmix64
		state += 0x9E3779B97F4A7C15
		z := (state ^ state>>30) * 0xBF58476D1CE4E5B9
		z = (z ^ z>>27) * 0x94D049BB133111EB
		return z ^ z>>31
	}
	pick := func(of ...string) string { return of[random()%uint64(len(of))] }
	id := func() string {
		a, b := random(), random()
		return fmt.Sprintf("%08x-%04x-4%03x-a%03x-%012x", uint32(a), uint16(a>>32), a>>48&0xfff, b>>48&0xfff, b&(1<<48-1))
	}
	at := fmt.Sprintf("2026-03-%02dT%02d:%02d:%02dZ", 1+i/86400%28, i/3600%24, i/60%60, i%60)
	user := pick("alice", "deploy", "backup-agent", "carol", "ci-runner", "terraform")
	service := pick("ssm", "ec2", "s3", "kms", "iam", "sts")
	var request string
	switch random() % 4 {
	case 0:
		request = fmt.Sprintf(`{"instanceIds":["i-%017x"],"documentName":"AWS-RunShellScript","parameters":{"commands":["echo \"%d\""]},"timeoutSeconds":3600}`, random()>>4, i)
	case 1:
		request = fmt.Sprintf(`{"filterSet":{"items":[{"name":"tag:Name","valueSet":{"items":[{"value":"web-%d"}]}}]},"maxResults":50,"dryRun":false}`, random()%1000)
	case 2:
		request = fmt.Sprintf(`{"name":"/app/%s/%x","withDecryption":true}`, user, random()>>40)
	default:
		request = "null"
	}
	return fmt.Sprintf(`{"eventVersion":"1.08","userIdentity":{"type":"AssumedRole","principalId":"AROAEXAMPLE%[2]s:session-%[5]d",`+
		`"arn":"arn:aws:sts::111122223333:assumed-role/%[2]s/session-%[5]d","accountId":"111122223333","accessKeyId":"ASIA%016[5]X",`+
		`"sessionContext":{"sessionIssuer":{"type":"Role","principalId":"AROAEXAMPLE%[2]s","arn":"arn:aws:iam::111122223333:role/%[2]s",`+
		`"accountId":"111122223333","userName":"%[2]s"},"webIdFederationData":{},"attributes":{"creationDate":"%[4]s","mfaAuthenticated":"false"}}},`+
		`"eventTime":"%[4]s","eventSource":"%[6]s.amazonaws.com","eventName":"%[3]s","awsRegion":"%[7]s","sourceIPAddress":"203.0.113.%[8]d",`+
		`"userAgent":"%[9]s","requestParameters":%[10]s,"responseElements":null,"requestID":"%[1]s","eventID":"%[11]s","readOnly":%[12]s,`+
		`"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"111122223333","eventCategory":"Management",`+
		`"tlsDetails":{"tlsVersion":"TLSv1.3","cipherSuite":"TLS_AES_128_GCM_SHA256","clientProvidedHostHeader":"%[6]s.%[7]s.amazonaws.com"}}`,
		id(), user, pick("DescribeInstances", "SendCommand", "GetParameter", "ListBuckets", "AssumeRole", "Decrypt", "ListUsers"),
		at, i/7, service, pick("eu-central-1", "us-east-1", "ap-southeast-2"), random()%250+1,
		pick("aws-cli/2.15.0 Python/3.11.6 Linux/6.1 exe/x86_64 prompt/off command/ssm.describe", "Boto3/1.34.5 md/Botocore#1.34.5 ua/2.0 os/linux#5.10.205 md/arch#x86_64 lang/python#3.9.16",
			"aws-sdk-go-v2/1.24.0 os/linux lang/go#1.21.5 md/GOOS#linux md/GOARCH#amd64", "s3.amazonaws.com"),
		request, id(), pick("true", "true", "false"))
}

func gzipped(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// decode returns a summary and the codes of the problems, and sees that the records
// come whole and in order from first on.
func decode(t testing.TB, d *cloudtrail.Decoder, r io.Reader, first int) (cloudtrail.Summary, []string) {
	t.Helper()
	var codes []string
	n := first
	sum, err := d.Decode(t.Context(), "test", r, cloudtrail.Visitor{
		Record: func(r *cloudtrail.Record) error {
			if want := sampleRecord(n); string(r.Raw()) != want {
				return fmt.Errorf("record %d is %.300s", n, r.Raw())
			}
			n++
			return nil
		},
		Problem: func(p cloudtrail.Problem) error {
			codes = append(codes, p.Code)
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return sum, codes
}

func TestCompressed(t *testing.T) {
	t.Parallel()
	const n = 3000
	object := logObject(n)
	whole := gzipped(t, object)
	zw, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	zstandard := zw.EncodeAll(object, nil)
	var members []byte // cut where it hurts
	for from, to := 0, 0; to < len(object); from = to {
		to = min(len(object), from+from/2+7)
		members = append(members, gzipped(t, object[from:to])...)
	}
	damaged := bytes.Clone(whole)
	damaged[len(damaged)-5] ^= 1
	oneMember := gzipped(t, object[:len(object)/2])
	badBlock := append(bytes.Clone(oneMember), append(whole[:10:10], 7)...)
	broken := errors.New("the disk is broken")

	tests := map[string]struct {
		data  io.Reader
		codes string
		n     int // records; -1: some
	}{
		"plain":               {data: bytes.NewReader(object), n: n},
		"gzip":                {data: bytes.NewReader(whole), n: n},
		"zstd":                {data: bytes.NewReader(zstandard), n: n},
		"gzip, byte by byte":  {data: iotest.OneByteReader(bytes.NewReader(whole[:len(whole)/8])), n: -1, codes: "truncated"},
		"gzip, error at data": {data: iotest.DataErrReader(bytes.NewReader(whole)), n: n},
		"many members":        {data: bytes.NewReader(members), n: n},
		"an empty member":     {data: bytes.NewReader(append(gzipped(t, nil), whole...)), n: n},
		"cut":                 {data: bytes.NewReader(whole[:len(whole)/2]), codes: "truncated", n: -1},
		"cut in the trailer":  {data: bytes.NewReader(whole[:len(whole)-1]), codes: "truncated", n: n},
		"cut in the header":   {data: bytes.NewReader(whole[:5]), codes: "truncated"},
		"cut in the next one": {data: bytes.NewReader(append(oneMember, whole[:7]...)), codes: "truncated", n: -1},
		"zstd, cut":           {data: bytes.NewReader(zstandard[:len(zstandard)/2]), codes: "truncated", n: -1},
		"checksum":            {data: bytes.NewReader(damaged), codes: "bad-checksum", n: n},
		"damaged":             {data: bytes.NewReader(badBlock), codes: "bad-compression", n: -1},
		"garbage behind":      {data: bytes.NewReader(append(bytes.Clone(whole), "garbage"...)), codes: "trailing-data", n: n},
		"zeros behind":        {data: bytes.NewReader(append(bytes.Clone(whole), 0, 0)), n: n},
		"not gzip after all":  {data: strings.NewReader("\x1f\x8bnothing of the kind"), codes: "bad-compression"},
		"reading fails":       {data: io.MultiReader(bytes.NewReader(whole[:len(whole)/2]), iotest.ErrReader(broken)), codes: "unreadable", n: -1},
		"reading fails, zstd": {data: io.MultiReader(bytes.NewReader(zstandard[:len(zstandard)/2]), iotest.ErrReader(broken)), codes: "unreadable", n: -1},
		"reading is cut":      {data: io.MultiReader(bytes.NewReader(whole[:len(whole)/2]), iotest.ErrReader(io.ErrUnexpectedEOF)), codes: "truncated", n: -1},
		"reading fails first": {data: iotest.ErrReader(broken), codes: "unreadable"},
		"reading stalls":      {data: stalled{}, codes: "unreadable"},
		"nothing":             {data: strings.NewReader(""), codes: "empty"},
		"nothing, gzip":       {data: bytes.NewReader(gzipped(t, nil)), codes: "empty"},
		"one byte":            {data: strings.NewReader("\x1f"), codes: "not-cloudtrail"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var d cloudtrail.Decoder
			sum, codes := decode(t, &d, tc.data, 0)
			if got := strings.Join(codes, " "); got != tc.codes {
				t.Errorf("problems: %s, want %s", got, tc.codes)
			}
			if tc.n >= 0 && sum.Records != int64(tc.n) || tc.n < 0 && (sum.Records == 0 || sum.Records >= n) {
				t.Errorf("%d records, want %d", sum.Records, tc.n)
			}
			// And the Decoder is as good as new.
			if sum, codes := decode(t, &d, bytes.NewReader(whole), 0); sum.Records != n || len(codes) > 0 || sum.Bytes != int64(len(object)) || sum.InBytes != int64(len(whole)) {
				t.Errorf("the input after it: %+v, %v", sum, codes)
			}
		})
	}
}

type stalled struct{}

func (stalled) Read([]byte) (int, error) { return 0, nil }

// TestBombs sees that limits hold at whatever size, and that what was read before
// counts.
func TestBombs(t *testing.T) {
	t.Parallel()
	record := []byte(sampleRecord(0) + "\n")
	bomb := gzipped(t, append(record, bytes.Repeat([]byte{' '}, 70<<20)...))
	var d cloudtrail.Decoder
	d.Limits.Ratio = 100
	if sum, codes := decode(t, &d, bytes.NewReader(bomb), 0); sum.Records != 1 || len(codes) != 1 || codes[0] != "decompression-bomb" {
		t.Errorf("a bomb: %+v %v", sum, codes)
	}
	d.Limits = cloudtrail.Limits{Input: 1 << 20}
	if sum, codes := decode(t, &d, bytes.NewReader(bomb), 0); sum.Records != 1 || len(codes) != 1 || codes[0] != "too-large" || sum.Bytes > 2<<20 {
		t.Errorf("an input over the limit: %+v %v", sum, codes)
	}
	d.Limits = cloudtrail.Limits{Ratio: 1 << 20}
	if sum, codes := decode(t, &d, bytes.NewReader(bomb), 0); sum.Records != 1 || len(codes) > 0 {
		t.Errorf("a ratio that is allowed: %+v %v", sum, codes)
	}
}

func TestTinyObjectsAllocateLittle(t *testing.T) {
	object := gzipped(t, logObject(3))
	var d cloudtrail.Decoder
	r := bytes.NewReader(object)
	v := cloudtrail.Visitor{Record: func(*cloudtrail.Record) error { return nil }}
	n := testing.AllocsPerRun(20, func() {
		r.Reset(object)
		if _, err := d.Decode(t.Context(), "test", r, v); err != nil {
			t.Fatal(err)
		}
	})
	if n > 2 {
		t.Errorf("%v allocations an object", n)
	}
}
