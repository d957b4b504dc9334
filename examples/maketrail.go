//go:build ignore

// This program makes the sample trail in examples/trail, in the layout in which
// CloudTrail delivers: go run examples/maketrail.go
//
// The account of a small team over ten days: patching and deployments that send
// commands every day, an operator who opens a session now and then, service noise,
// and on the tenth day an access key that is used from somewhere else.
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/klauspost/compress/gzip"
)

const (
	account = "111122223333"
	region  = "eu-west-1"
	folder  = "examples/trail"
)

// object is an ordered list of members, so that records look as CloudTrail writes them.
type object []member

type member struct {
	name  string
	value any
}

func (o object) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for i, m := range o {
		if i > 0 {
			b = append(b, ',')
		}
		v, err := json.Marshal(m.value)
		if err != nil {
			return nil, err
		}
		b = append(append(append(b, '"'), m.name...), '"', ':')
		b = append(b, v...)
	}
	return append(b, '}'), nil
}

type caller struct {
	identity       object
	address, agent string
}

// trail is records by delivery object.
type trail struct {
	objects map[string][]object
	n       int
}

// id is made of a counter: the same trail at every run.
func (t *trail) id(kind string) string {
	t.n++
	h := sha256.Sum256(fmt.Appendf(nil, "%s %d", kind, t.n))
	s := hex.EncodeToString(h[:16])
	return s[:8] + "-" + s[8:12] + "-4" + s[13:16] + "-a" + s[17:20] + "-" + s[20:32]
}

func (t *trail) add(at time.Time, who caller, service, action string, readOnly bool, request, response any, failure ...string) {
	r := object{
		{"eventVersion", "1.11"},
		{"userIdentity", who.identity},
		{"eventTime", at.Format(time.RFC3339)},
		{"eventSource", service + ".amazonaws.com"},
		{"eventName", action},
		{"awsRegion", region},
		{"sourceIPAddress", who.address},
		{"userAgent", who.agent},
	}
	if len(failure) == 2 {
		r = append(r, member{"errorCode", failure[0]}, member{"errorMessage", failure[1]})
	}
	r = append(
		r, member{"requestParameters", request}, member{"responseElements", response},
		member{"requestID", t.id("request")}, member{"eventID", t.id("event")}, member{"readOnly", readOnly},
		member{"eventType", "AwsApiCall"}, member{"managementEvent", true},
		member{"recipientAccountId", account}, member{"eventCategory", "Management"},
	)
	if who.address != service+".amazonaws.com" {
		r = append(r, member{"tlsDetails", object{
			{"tlsVersion", "TLSv1.3"},
			{"cipherSuite", "TLS_AES_128_GCM_SHA256"},
			{"clientProvidedHostHeader", service + "." + region + ".amazonaws.com"},
		}})
	}
	slot := at.Truncate(5 * time.Minute).Add(10 * time.Minute)
	h := sha256.Sum256([]byte(slot.String()))
	name := fmt.Sprintf("AWSLogs/%s/CloudTrail/%s/%s/%s_CloudTrail_%s_%s_%s.json.gz", account, region, slot.Format("2006/01/02"),
		account, region, slot.Format("20060102T1504Z"), hex.EncodeToString(h[:8]))
	t.objects[name] = append(t.objects[name], r)
}

func user(name, key, address, agent string) caller {
	return caller{object{
		{"type", "IAMUser"},
		{"principalId", "AIDA" + key[4:]},
		{"arn", "arn:aws:iam::" + account + ":user/" + name},
		{"accountId", account},
		{"accessKeyId", key},
		{"userName", name},
	}, address, agent}
}

func role(name, session, key, address, agent string, since time.Time) caller {
	return caller{object{
		{"type", "AssumedRole"},
		{"principalId", "AROA" + key[4:] + ":" + session},
		{"arn", "arn:aws:sts::" + account + ":assumed-role/" + name + "/" + session},
		{"accountId", account},
		{"accessKeyId", key},
		{"sessionContext", object{
			{"sessionIssuer", object{
				{"type", "Role"},
				{"principalId", "AROA" + key[4:]},
				{"arn", "arn:aws:iam::" + account + ":role/" + name},
				{"accountId", account},
				{"userName", name},
			}},
			{"attributes", object{{"creationDate", since.Format(time.RFC3339)}, {"mfaAuthenticated", "false"}}},
		}},
	}, address, agent}
}

func service(host string) caller {
	return caller{object{{"type", "AWSService"}, {"invokedBy", host}}, host, host}
}

const hidden = "HIDDEN_DUE_TO_SECURITY_REASONS"

// command is a SendCommand; targets are instances, or tags if tag is not empty.
func (t *trail) command(at time.Time, who caller, document string, instances []string, tag string) string {
	id := t.id("command")
	request := object{{"documentName", document}, {"interactive", false}, {"parameters", hidden}}
	targets := []object{}
	if tag != "" {
		targets = []object{{{"key", "tag:Name"}, {"values", []string{tag}}}}
		request = append(request, member{"targets", targets})
	} else {
		request = append(request, member{"instanceIds", instances})
	}
	t.add(at, who, "ssm", "SendCommand", false, request, object{{"command", object{
		{"commandId", id},
		{"documentName", document},
		{"documentVersion", "$DEFAULT"},
		{"instanceIds", append([]string{}, instances...)},
		{"interactive", false},
		{"parameters", hidden},
		{"requestedDateTime", at.Format("Jan 2, 2006, 3:04:05 PM")},
		{"status", "Pending"},
		{"statusDetails", "Pending"},
		{"targetCount", len(instances)},
		{"targets", targets},
		{"timeoutSeconds", 3600},
	}}})
	return id
}

func (t *trail) day(day time.Time) {
	at := func(h, m, s int) time.Time {
		return day.Add(time.Duration(h)*time.Hour + time.Duration(m)*time.Minute + time.Duration(s)*time.Second)
	}
	for h := 0; h < 24; h += 6 { // noise that every account has
		t.add(at(h, 7, 12), service("ec2.amazonaws.com"), "sts", "AssumeRole", true,
			object{{"roleArn", "arn:aws:iam::" + account + ":role/web-server"}, {"roleSessionName", "i-0a1b2c3d4e5f60718"}},
			object{{"credentials", object{{"accessKeyId", "ASIAEXAMPLEWEBSERVER"}, {"expiration", at(h+6, 7, 12).Format("Jan 2, 2006, 3:04:05 PM")}}}})
		t.add(at(h, 8, 41), service("cloudtrail.amazonaws.com"), "s3", "GetBucketAcl", true, object{{"bucketName", "example-trail-logs"}, {"acl", ""}}, nil)
		t.add(at(h, 9, 3), role("web-server", "i-0a1b2c3d4e5f60718", "ASIAEXAMPLEWEBSERVER", "10.0.4.17", "aws-sdk-go-v2/1.32.6 os/linux lang/go#1.23.4", day),
			"secretsmanager", "GetSecretValue", true, object{{"secretId", "web/session-key"}}, nil)
	}
	// The SSM agents themselves and the nightly patch run.
	patch := role("patch-automation", "nightly", "ASIAEXAMPLEPATCHRUNS", "198.51.100.24", "Boto3/1.35.90 md/Botocore#1.35.90 ua/2.0 os/linux md/arch#x86_64 lang/python#3.12.8", at(2, 29, 0))
	t.add(at(2, 29, 58), patch, "ssm", "DescribeInstanceInformation", true, object{{"filters", []object{{{"key", "PingStatus"}, {"values", []string{"Online"}}}}}}, nil)
	t.command(at(2, 30, 4), patch, "AWS-RunPatchBaseline", []string{"i-0a1b2c3d4e5f60718", "i-0b2c3d4e5f6071829"}, "")
	deploy := role("deploy", "pipeline", "ASIAEXAMPLEDEPLOYING", "198.51.100.40", "aws-cli/2.22.35 md/awscrt#0.23.4 ua/2.0 os/linux#6.8.0 md/arch#x86_64 lang/python#3.12.6", at(9, 0, 0))
	if wd := day.Weekday(); wd != time.Saturday && wd != time.Sunday {
		t.add(at(9, 14, 30), deploy, "ec2", "DescribeInstances", true, object{{"instancesSet", object{}}, {"filterSet", object{}}}, nil)
		t.command(at(9, 15, 2), deploy, "example-deploy", nil, "web")
		t.add(at(9, 15, 40), deploy, "ssm", "GetCommandInvocation", true, object{{"commandId", t.id("poll")}, {"instanceId", "i-0a1b2c3d4e5f60718"}}, nil)
		export := user("report-export", "AKIAEXAMPLEREPORTEXP", "198.51.100.61", "Boto3/1.35.90 md/Botocore#1.35.90 ua/2.0 os/linux md/arch#x86_64 lang/python#3.12.8")
		t.add(at(18, 0, 5), export, "s3", "ListBuckets", true, nil, nil)
		t.add(at(18, 0, 6), export, "athena", "StartQueryExecution", false, object{{"queryString", hidden}, {"workGroup", "reports"}}, object{{"queryExecutionId", t.id("athena")}})
	}
}

// attack is the tenth day: the reporting user's key in other hands.
func (t *trail) attack(day time.Time) {
	who := user("report-export", "AKIAEXAMPLEREPORTEXP", "203.0.113.77", "aws-cli/2.15.17 Python/3.11.8 Linux/6.6.9-amd64 exe/x86_64.kali.2024 prompt/off")
	at := func(m, s int) time.Time {
		return day.Add(3*time.Hour + time.Duration(m)*time.Minute + time.Duration(s)*time.Second)
	}
	t.add(at(11, 2), who, "sts", "GetCallerIdentity", true, nil, nil)
	t.add(at(11, 40), who, "iam", "ListUsers", true, nil, nil, "AccessDenied",
		"User: arn:aws:iam::"+account+":user/report-export is not authorized to perform: iam:ListUsers on resource: arn:aws:iam::"+account+":user/")
	t.add(at(12, 13), who, "ec2", "DescribeInstances", true, object{{"instancesSet", object{}}, {"filterSet", object{}}}, nil)
	t.add(at(13, 1), who, "ssm", "DescribeInstanceInformation", true, nil, nil)
	for i, m := range []int{14, 15, 16} {
		t.add(at(m, 9*i), who, "ssm", "SendCommand", false, object{
			{"documentName", "AWS-RunShellScript"}, {"instanceIds", []string{fmt.Sprintf("i-0ffffffffffffff0%d", i)}}, {"interactive", false}, {"parameters", hidden},
		}, nil, "InvalidInstanceId", "Instances not in a valid state for account")
	}
	instances := []string{"i-0a1b2c3d4e5f60718", "i-0b2c3d4e5f6071829", "i-0c3d4e5f607182930"}
	id := t.command(at(17, 25), who, "AWS-RunShellScript", instances, "")
	for i := range 4 {
		t.add(at(17, 30+5*i), who, "ssm", "GetCommandInvocation", true, object{{"commandId", id}, {"instanceId", instances[i%3]}}, nil)
	}
	t.add(at(20, 51), who, "ssm", "GetParametersByPath", true, object{{"path", "/prod/"}, {"recursive", true}, {"withDecryption", true}}, nil)
	t.add(at(24, 7), who, "ssm", "StartSession", false, object{{"target", "i-0c3d4e5f607182930"}},
		object{{"sessionId", "report-export-0a1b2c3d4e5f60718"}, {"tokenValue", hidden}, {"streamUrl", hidden}})
	t.add(at(31, 18), who, "cloudtrail", "StopLogging", false, object{{"name", "management"}}, nil, "AccessDenied",
		"User: arn:aws:iam::"+account+":user/report-export is not authorized to perform: cloudtrail:StopLogging")
}

func main() {
	t := &trail{objects: map[string][]object{}}
	first := time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)
	for d := range 10 {
		t.day(first.AddDate(0, 0, d))
	}
	t.attack(first.AddDate(0, 0, 9))
	if err := os.RemoveAll(filepath.Join(folder, "AWSLogs")); err != nil {
		log.Fatal(err)
	}
	for name, records := range t.objects {
		if err := write(filepath.Join(folder, filepath.FromSlash(name)), records); err != nil {
			log.Fatal(err)
		}
	}
}

func write(path string, records []object) error {
	body, err := json.Marshal(object{{"Records", records}})
	if err != nil {
		return err
	}
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(body); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, b.Bytes(), 0o644)
}
