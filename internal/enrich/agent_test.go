package enrich_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/debutsec/debut/cloudtrail"
)

func TestUserAgent(t *testing.T) {
	t.Parallel()
	e := open(t)
	linux := func(name, version, kernel string) cloudtrail.Agent {
		a := cloudtrail.Agent{Name: name, Version: version, Device: "Other", OSName: "Linux", OSVersion: kernel}
		if kernel != "" {
			a.OSFull = "Linux " + kernel
		}
		return a
	}
	windows := func(name, version string) cloudtrail.Agent {
		return cloudtrail.Agent{Name: name, Version: version, Device: "Other", OSName: "Windows"}
	}
	plain := func(name, version string) cloudtrail.Agent {
		return cloudtrail.Agent{Name: name, Version: version, Device: "Other"}
	}
	other := plain("Other", "")
	for original, want := range map[string]cloudtrail.Agent{
		"": {},

		// AWS's own.
		"aws-cli/1.16.248 Python/3.4.7 Linux/4.9.184-0.1.x86_64 botocore/1.12.239":       linux("aws-cli", "1.16.248", "4.9.184"),
		"aws-cli/2.18.17 md/awscrt#0.22.0 ua/2.0 os/linux#6.8.0-1016-aws md/arch#x86_64": linux("aws-cli", "2.18.17", ""),
		"[aws-cli/2.17.60 md/awscrt#0.21.2 ua/2.0 os/macos#23.6.0 md/command#s3.cp]":     plain("aws-cli", "2.17.60"),
		"aws-cli/1.3.2 Python/2.7.5 Windows/7":                                           windows("aws-cli", "1.3.2"),
		"aws-cli/2.0.0dev4 Python/3.8.2 Darwin/19.4.0":                                   plain("aws-cli", "2.0.0"),
		"Boto3/1.26.165 Python/3.10.6 Linux/5.19.0-46-generic Botocore/1.29.165":         linux("Boto3", "1.26.165", "5.19.0"),
		"[Boto3/1.26.165 Python/3.10.6 Linux/5.19.0-46-generic Botocore/1.29.165]":       linux("Boto3", "1.26.165", "5.19.0"),
		"Botocore/1.29.165 Python/3.10.6":                                                plain("Botocore", "1.29.165"),
		"aws-sdk-go/1.55.5 (go1.23.8; windows; amd64) exec-env/EC2 amazon-ssm-agent/3.3": plain("aws-sdk-go", "1.55.5"),
		"aws-sdk-go/1.41.4 (go1.18.3; linux; amd64) amazon-ssm-agent/":                   linux("aws-sdk-go", "1.41.4", ""),
		"aws-sdk-go-v2/1.32.3 os/linux lang/go#1.23.1 md/GOOS#linux api/sts#1.26.2":      linux("aws-sdk-go-v2", "1.32.3", ""),
		"aws-sdk-nodejs/2.1384.0 darwin/v20.16.0 promise":                                plain("aws-sdk-nodejs", "2.1384.0"),
		"aws-sdk-js/3.40.0 os/linux lang/js md/nodejs/16.0":                              linux("aws-sdk-js", "3.40.0", ""),
		"aws-sdk-java/2.20.0 Linux/5.4 Java_HotSpot(TM)":                                 linux("aws-sdk-java", "2.20.0", "5.4"),
		"aws-sdk-dotnet-core/3.7.0 .NET_Core/6.0 OS/Microsoft_Windows_10.0.19045":        plain("aws-sdk-dotnet-core", "3.7.0"),
		"aws-sdk-ruby3/3.0 ruby/2.7":                                                     plain("aws-sdk-ruby3", "3.0"),
		"aws-sdk-rust/0.54 os/windows lang/rust/1.67":                                    windows("aws-sdk-rust", "0.54"),
		"Go-http-client/1.1":      plain("Go-http-client", "1.1"),
		"ssm.amazonaws.com":       other,
		"lambda.amazonaws.com.cn": other,
		"AWS Internal":            other,
		"AWS Internal/3":          other,
		"aws-internal/3":          other,
		"[S3Console/0.4, aws-internal/3 aws-sdk-java/1.12.488 Linux/5.10.184-153 java/8]":                                linux("aws-sdk-java", "1.12.488", "5.10.184"),
		"RDS Console, aws-internal/3 aws-sdk-java/1.11.975 Linux/5.4.247-168 OpenJDK":                                    linux("aws-sdk-java", "1.11.975", "5.4.247"),
		"APN/1.0 HashiCorp/1.0 Terraform/1.1.2 (+https://www.terraform.io) aws-sdk-go/1.44.157 (go1.19.3; linux; amd64)": linux("aws-sdk-go", "1.44.157", ""),
		"APN/1.0 HashiCorp/1.0 Terraform/1.1.2 (+https://www.terraform.io)":                                              other,

		// What is behind the first token renames nobody.
		"aws-cli/2.0.0 exec-env/Mozilla/5.0 Chrome/114.0.0.0 Googlebot/2.1": plain("aws-cli", "2.0.0"),
		"Boto3/1.0 Boto3/2.0": plain("Boto3", "1.0"),
		// Nor are these AWS's.
		"aws-cli":                  other,
		"my-aws-cli/1.0.0":         plain("aws-cli", "1.0.0"), // to the patterns, it is
		"evil.com/ .amazonaws.com": other,
		"aws-sdk-/1":               other,

		// Others.
		"Mozilla/5.0 (Windows NT 6.1; WOW64; rv:24.0) Gecko/20100101 Firefox/24.0": {
			Name: "Firefox", Version: "24.0", Device: "Other", OSName: "Windows", OSVersion: "7", OSFull: "Windows 7",
		},
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/114.0.0.0 Safari/537.36": {
			Name: "Chrome", Version: "114.0.0", Device: "Mac", OSName: "Mac OS X", OSVersion: "10.15.7", OSFull: "Mac OS X 10.15.7",
		},
		"curl/7.68.0":              plain("curl", "7.68.0"),
		"stratus-red-team_4f7b":    other,
		"\xff\xfe\x00":             other,
		"aws-cli/\xff":             plain("aws-cli", ""),
		"Boto3/":                   plain("Boto3", ""),
		"Boto3/1.":                 plain("Boto3", "1"),
		"[":                        other,
		"]":                        other,
		strings.Repeat("x", 1<<16): other,
	} {
		for range 2 { // the second from the cache
			if diff := cmp.Diff(want, e.UserAgent(original)); diff != "" {
				t.Errorf("%.80q (-want +got):\n%s", original, diff)
			}
		}
	}
}

// The quick way agrees with the patterns wherever they know the agent, but for the
// device: botocore is no spider.
func TestAgreesWithPatterns(t *testing.T) {
	t.Parallel()
	e := open(t)
	agents := map[string]bool{
		"aws-cli/2.14.5 Python/3.11.6 Darwin/23.6.0 exe/x86_64":                true,
		"aws-cli/1.18.69 Python/3.8.10 Linux/5.4.0-1045-aws botocore/1.16.19":  true,
		"aws-sdk-go/1.41.4 (go1.18.3; linux; amd64) amazon-ssm-agent/":         true,
		"aws-sdk-java/1.12.488 Linux/5.10.184-153.731.amzn2int.x86_64 OpenJDK": true,
		"Boto3/1.26.165 Python/3.10.6 Windows/10 Botocore/1.29.165":            true,

		"Go-http-client/2.0":                             true,
		"aws-sdk-nodejs/2.1384.0 linux/v20.16.0 promise": true,

		"S3Console/0.4, aws-internal/3 aws-sdk-java/1.12.488 Linux/5.10.184 java/8": true,
	}
	eachSharedAgent(t, func(original string) { agents[original] = true })
	quick := 0
	for original := range agents {
		want, got := e.ByPatterns(original), e.UserAgent(original)
		if want.Name == "Other" {
			want.Name, want.Version = got.Name, got.Version
		}
		if want.Device == "Spider" {
			want.Device = "Other"
			quick++
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-patterns +got):\n%s", original, diff)
		}
	}
	t.Logf("%d agents, %d called spiders", len(agents), quick)
}

const shared = "../../../shared/data"

// eachSharedAgent yields the agents of the shared trails, if they are there.
func eachSharedAgent(t *testing.T, yield func(string)) {
	t.Helper()
	if _, err := os.Stat(shared); err != nil {
		t.Log("the data is not there: ", err)
		return
	}
	var d cloudtrail.Decoder
	err := filepath.WalkDir(filepath.Join(shared, "cloudtrail"), func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() || entry.Name() == "LICENSE" {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		_, err = d.Decode(t.Context(), path, f, cloudtrail.Visitor{Record: func(r *cloudtrail.Record) error {
			yield(strings.Clone(r.Text(cloudtrail.UserAgent)))
			return nil
		}})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// What Elastic's integration made of agents. A version of two parts ends in a dot there,
// until Elasticsearch 8.16.2; newer ones do without.
func TestElasticPairs(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob(filepath.Join(shared, "ecs-tests", "*-expected.json"))
	if err != nil || len(paths) == 0 {
		t.Skip("the data is not there: ", err)
	}
	e := open(t)
	n := 0
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var docs struct {
			Expected []struct {
				UserAgent *struct {
					Original, Name, Version string
					Device                  struct{ Name string }
					OS                      struct{ Name, Version, Full string }
				} `json:"user_agent"`
			}
		}
		if err := json.Unmarshal(b, &docs); err != nil {
			t.Fatal(path, err)
		}
		for _, doc := range docs.Expected {
			ua := doc.UserAgent
			if ua == nil || ua.Name == "" {
				continue
			}
			n++
			want := cloudtrail.Agent{
				Name: ua.Name, Version: strings.TrimSuffix(ua.Version, "."), Device: ua.Device.Name,
				OSName: ua.OS.Name, OSVersion: ua.OS.Version, OSFull: ua.OS.Full,
			}
			if want.Device == "Spider" {
				want.Device = "Other"
			}
			if diff := cmp.Diff(want, e.UserAgent(ua.Original)); diff != "" {
				t.Errorf("%s: %q (-want +got):\n%s", filepath.Base(path), ua.Original, diff)
			}
		}
	}
	if n == 0 {
		t.Error("no agent in any pair")
	}
}

// Many goroutines ask, in different orders; each gets what one alone would, and the
// caches stay within bounds.
func TestConcurrent(t *testing.T) {
	t.Parallel()
	alone := open(t, city(t), asn(t))
	together := open(t, city(t), asn(t))
	addr := func(i int) netip.Addr {
		if i%7 == 0 {
			return netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})
		}
		return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
	}
	agent := func(i int) string { return fmt.Sprintf("tool-%d/1.2", i%50) }
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for k := range 40_000 {
				i := k
				if g%2 == 1 {
					i = 40_000 - k
				}
				if got := together.Address(addr(i)); i%997 == 0 && got != alone.Address(addr(i)) {
					t.Errorf("%v: %+v", addr(i), got)
				}
				if i%100 == 0 {
					if got := together.UserAgent(agent(i)); got.Device != "Other" {
						t.Errorf("%s: %+v", agent(i), got)
					}
				}
			}
		})
	}
	wg.Wait()
	if agents, places := together.Cached(); agents > 8<<10 || places > 64<<10 {
		t.Errorf("%d agents and %d places are kept", agents, places)
	}
}

// The caches forget rather than grow, and forget nothing that is wanted now.
func TestCachesAreBounded(t *testing.T) {
	t.Parallel()
	e := open(t, asn(t))
	want := e.Address(netip.MustParseAddr("192.0.2.1"))
	for i := range 200_000 {
		e.Address(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}))
	}
	if _, n := e.Cached(); n > 64<<10 || n < 32<<10 {
		t.Errorf("%d places are kept", n)
	}
	if got := e.Address(netip.MustParseAddr("192.0.2.1")); got != want {
		t.Errorf("afterwards: %+v, want %+v", got, want)
	}
}

func FuzzUserAgent(f *testing.F) {
	for _, s := range []string{
		"aws-cli/2.18.17 os/linux#6.8", "[S3Console/0.4, aws-internal/3 aws-sdk-java/1.12.488 Linux/5.10]", "AWS Internal",
		"Boto3/1. Windows/", "APN/1.0 HashiCorp/1.0 aws-sdk-go/1 (linux;", "ssm.amazonaws.com", "Mozilla/5.0 (X11; Linux) Firefox/1.0",
	} {
		f.Add(s)
	}
	e := open(f)
	f.Fuzz(func(t *testing.T, original string) {
		got := e.UserAgent(original)
		if original != "" && (got.Name == "" || got.Device == "") {
			t.Errorf("%q: %+v", original, got)
		}
		if again := e.UserAgent(original); again != got {
			t.Errorf("%q: %+v, then %+v", original, got, again)
		}
		if (got.OSFull != "") != (got.OSVersion != "") || got.OSVersion != "" && got.OSName == "" {
			t.Errorf("%q: half a system: %+v", original, got)
		}
		// Whatever is put behind it, a client is what it says first.
		const cli = "aws-cli/2.18.17 "
		if behind := e.UserAgent(cli + original); behind.Name != "aws-cli" || behind.Version != "2.18.17" {
			t.Errorf("%q: %+v", cli+original, behind)
		}
	})
}

func BenchmarkUserAgent(b *testing.B) {
	e := open(b)
	for name, original := range map[string]string{
		"own":    "aws-sdk-go-v2/1.32.3 os/linux lang/go#1.23.1 md/GOOS#linux md/GOARCH#amd64 api/sts#1.26.2",
		"cached": "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:102.0) Gecko/20100101 Firefox/102.0",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				e.UserAgent(original)
			}
		})
	}
}

func BenchmarkAddress(b *testing.B) {
	e := open(b, city(b), asn(b))
	b.Run("cached", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			e.Address(netip.AddrFrom4([4]byte{192, 0, 2, 1}))
		}
	})
	b.Run("new", func(b *testing.B) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			i++
			e.Address(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 12: byte(i >> 24), 13: byte(i >> 16), 14: byte(i >> 8), 15: byte(i)}))
		}
	})
}
