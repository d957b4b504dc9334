package enrich_test

import (
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/debutsec/debut/cloudtrail"
	"github.com/debutsec/debut/internal/enrich"
)

func TestAgentClass(t *testing.T) {
	t.Parallel()
	type kind = enrich.AgentKind
	for original, want := range map[string]kind{
		"":   {Class: enrich.ClientNone},
		"-":  {Class: enrich.ClientNone},
		"[]": {Class: enrich.ClientNone},

		"aws-cli/2.15.0 Python/3.11.6 Linux/6.5.0-kali3-amd64 exe/x86_64.kali.2023 prompt/off command/ssm.send-command": {
			Class: enrich.ClientCLI, Tool: "aws-cli", Version: "2.15.0", OS: "Linux", Mark: "kali",
		},
		"aws-cli/2.17.60 md/awscrt#0.21.2 ua/2.0 os/linux#6.8.0-45-generic md/arch#x86_64 lang/python#3.12.6 md/pyimpl#CPython cfg/retry-mode#standard md/prompt#off md/command#ssm.send-command": {
			Class: enrich.ClientCLI, Tool: "aws-cli", Version: "2.17.60", OS: "Linux", Command: "ssm.send-command",
		},
		"aws-cli/2.17.60 md/awscrt#0.21.2 ua/2.0 os/linux#6.1.102-108.177.amzn2023.x86_64 exec-env/CloudShell md/prompt#off md/command#sts.get-caller-identity": {
			Class: enrich.ClientShell, Tool: "aws-cli", Version: "2.17.60", OS: "Linux", ExecEnv: "CloudShell", Command: "sts.get-caller-identity",
		},
		"[aws-cli/1.32.0 Python/3.9.18 Windows/10 botocore/1.34.0]": {Class: enrich.ClientCLI, Tool: "aws-cli", Version: "1.32.0", OS: "Windows"},
		"aws-cli/2.15.1 os/macos#23.1.0":                            {Class: enrich.ClientCLI, Tool: "aws-cli", Version: "2.15.1", OS: "macOS"},
		"aws-cli/2.15.0 os/linux#6.8 Terraform/1.9.0":               {Class: enrich.ClientCLI, Tool: "aws-cli", Version: "2.15.0", OS: "Linux"},
		"aws-cli/2.15.0 os/linux#6.8 curl/8.0":                      {Class: enrich.ClientCLI, Tool: "aws-cli", Version: "2.15.0", OS: "Linux"},
		"aws-cli/2.15.0 os/linux#6.8 stratus-red-team":              {Class: enrich.ClientCLI, Tool: "aws-cli", Version: "2.15.0", OS: "Linux", Mark: "stratus-red-team", Audit: true},
		"aws-cli": {Class: enrich.ClientCLI, Tool: "aws-cli"},

		"Boto3/1.34.0 md/Botocore#1.34.0 ua/2.0 os/linux#6.1 md/arch#x86_64 lang/python#3.11":                            {Class: enrich.ClientSDK, Tool: "Boto3", Version: "1.34.0", OS: "Linux"},
		"Boto3/1.26.90 Python/3.9.16 Linux/5.10.173-159.677.amzn2.x86_64 exec-env/AWS_Lambda_python3.9 Botocore/1.29.90": {Class: enrich.ClientCI, Tool: "Boto3", Version: "1.26.90", OS: "Linux", ExecEnv: "AWS_Lambda_python3.9"},
		"aws-sdk-go-v2/1.30.3 ua/2.1 os/windows lang/go#1.22.5 md/GOOS#windows":                                          {Class: enrich.ClientSDK, Tool: "aws-sdk-go-v2", Version: "1.30.3", OS: "Windows"},
		"AWSPowerShell/4.1.2.0 .NET_Core/3.1.18 OS/Microsoft_Windows_10.0.19042 PowerShellCore/7.-1":                     {Class: enrich.ClientSDK, Tool: "AWSPowerShell", Version: "4.1.2", OS: "Windows"},
		"aws-sdk-go-v2": {Class: enrich.ClientSDK, Tool: "aws-sdk-go-v2"},
		"aws-sdk-js/3.2 configure-aws-credentials-for-github-actions": {Class: enrich.ClientCI, Tool: "aws-sdk-js", Version: "3.2", ExecEnv: "configure-aws-credentials"},

		"APN/1.0 HashiCorp/1.0 Terraform/1.5.7 (+https://www.terraform.io) terraform-provider-aws/5.0 aws-sdk-go-v2/1.18": {Class: enrich.ClientIaC, Tool: "Terraform", Version: "1.5.7"},
		"APN/1.0 HashiCorp/1.0 Packer/1.9.1 aws-sdk-go/1.44":                                                              {Class: enrich.ClientIaC, Tool: "Packer", Version: "1.9.1"},
		"ansible/2.16 Boto3/1.34":    {Class: enrich.ClientIaC, Tool: "ansible", Version: "2.16"},
		"Pulumi/3.0 aws-sdk-go/1.44": {Class: enrich.ClientIaC, Tool: "Pulumi", Version: "3.0"},

		"ssm.amazonaws.com":          {Class: enrich.ClientService, Tool: "ssm.amazonaws.com"},
		"console.amazonaws.com":      {Class: enrich.ClientConsole, Tool: "console.amazonaws.com"},
		"AWS Internal":               {Class: enrich.ClientConsole, Tool: "AWS Internal"},
		"ssm.amazonaws.com curl/8.0": {Class: enrich.ClientOther, Tool: "ssm.amazonaws.com curl/8.0"},
		"[S3Console/0.4, aws-internal/3 aws-sdk-java/1.12 Linux/5.10]": {Class: enrich.ClientConsole, Tool: "S3Console", Version: "0.4", OS: "Linux"},
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36": {
			Class: enrich.ClientConsole, Tool: "Mozilla", Version: "5.0", OS: "Windows",
		},
		"RDS Console, aws-internal/3 aws-sdk-java/1.11.975 Linux/5.10.184": {Class: enrich.ClientConsole, Tool: "RDS Console", OS: "Linux"},
		"aws-sdk-go-v2/1.32.3 os/linux exec-env/grimoire_095724e3": {
			Class: enrich.ClientSDK, Tool: "aws-sdk-go-v2", Version: "1.32.3", OS: "Linux", ExecEnv: "grimoire_095724e3", Mark: "grimoire", Audit: true,
		},
		"Chrome": {Class: enrich.ClientConsole, Tool: "Chrome"},

		"stratus-red-team_5f9a7d4e-0000": {Class: enrich.ClientAudit, Tool: "stratus-red-team_5f9a7d4e-0000", Mark: "stratus-red-team", Audit: true},
		"Pacu/1.5":                       {Class: enrich.ClientHostile, Tool: "Pacu", Version: "1.5", Mark: "pacu"},
		"capacuity/1.0":                  {Class: enrich.ClientOther, Tool: "capacuity", Version: "1.0"},
		"alkaline/1.0":                   {Class: enrich.ClientOther, Tool: "alkaline", Version: "1.0"},
		"S3 Browser/11.6.7 (https://s3browser.com)": {Class: enrich.ClientTransfer, Tool: "S3 Browser", Version: "11.6.7"},
		"rclone/v1.63.1":         {Class: enrich.ClientTransfer, Tool: "rclone"},
		"python-requests/2.31.0": {Class: enrich.ClientBare, Tool: "python-requests", Version: "2.31.0"},
		"Python Requests":        {Class: enrich.ClientBare, Tool: "Python Requests"},
		"Go-http-client/1.1":     {Class: enrich.ClientBare, Tool: "Go-http-client", Version: "1.1"},
		"curl/8.5.0":             {Class: enrich.ClientBare, Tool: "curl", Version: "8.5.0"},
	} {
		if diff := cmp.Diff(want, enrich.AgentClass(original)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", original, diff)
		}
	}
}

// TestAgentClassOfAWSClients: whatever stands behind an AWS client does not rename it.
func TestAgentClassOfAWSClients(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		client := rapid.SampledFrom([]string{"aws-cli/2.17.0", "Boto3/1.34.0", "aws-sdk-go-v2/1.30.0"}).Draw(t, "client")
		behind := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{
			"curl/8", "Terraform/1.0", "Mozilla/5.0", "S3 Browser/1", "ssm.amazonaws.com", "Pacu/1", "Pulumi/3", "rclone/1", "kali",
		})).Draw(t, "behind")
		plain, got := enrich.AgentClass(client), enrich.AgentClass(client+" "+behind)
		if got.Tool != plain.Tool || got.Version != plain.Version {
			t.Fatalf("%s %q is %+v", client, behind, got)
		}
		switch got.Class {
		case plain.Class, enrich.ClientCI, enrich.ClientShell:
		default:
			if !strings.Contains(behind, "aws-internal/") {
				t.Fatalf("%s %q has the class %s", client, behind, got.Class)
			}
		}
	})
}

func FuzzAgentClass(f *testing.F) {
	for _, s := range []string{"aws-cli/2.0 os/linux#6.6-kali exec-env/CloudShell md/command#a.b", "[S3Console/0.4]", "Mozilla/5.0 (", "\xff\x00 exec-env/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		k := enrich.AgentClass(s)
		if k.Class == "" || len(k.Tool) > 128 || len(k.ExecEnv) > 128 || len(k.Command) > 128 {
			t.Errorf("%q is %+v", s, k)
		}
		if utf8.ValidString(s) && strings.Contains(strings.ToLower(s), " pacu ") && len(s) < 1000 && k.Mark == "" {
			t.Errorf("no mark in %q", s)
		}
	})
}

func TestAddressClass(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": enrich.AddressNone, "-": enrich.AddressNone,
		"ssm.amazonaws.com": enrich.AddressService, "ec2.amazonaws.com.cn": enrich.AddressService, "replicator.lambda.amazonaws.com": enrich.AddressService,
		"amazonaws.com": enrich.AddressInvalid, ".amazonaws.com": enrich.AddressInvalid, "ssm.amazonaws.com.evil.example": enrich.AddressInvalid,
		"x y.amazonaws.com": enrich.AddressInvalid, "http://ssm.amazonaws.com": enrich.AddressInvalid,
		"AWS Internal": enrich.AddressInternal, "vpce-0123456789abcdef0": enrich.AddressEndpoint,
		"10.0.0.1": enrich.AddressPrivate, "172.31.255.255": enrich.AddressPrivate, "172.32.0.1": enrich.AddressPublic, "192.168.1.1": enrich.AddressPrivate,
		"100.64.0.1": enrich.AddressPrivate, "100.128.0.1": enrich.AddressPublic, "169.254.169.254": enrich.AddressPrivate, "127.0.0.1": enrich.AddressPrivate,
		"fd00::1": enrich.AddressPrivate, "fe80::1": enrich.AddressPrivate, "fe80::1%eth0": enrich.AddressInvalid, "::ffff:10.1.2.3": enrich.AddressPrivate,
		"198.51.100.7": enrich.AddressPublic, "2001:db8::1": enrich.AddressPublic, "::ffff:8.8.8.8": enrich.AddressPublic,
		"010.1.2.3": enrich.AddressInvalid, "198.51.100.07": enrich.AddressInvalid, "198.51.100": enrich.AddressInvalid, "198.51.100.7:443": enrich.AddressInvalid,
		"0.0.0.0": enrich.AddressInvalid, "::": enrich.AddressInvalid, "224.0.0.1": enrich.AddressInvalid, "255.255.255.255": enrich.AddressInvalid,
		"HIDDEN_DUE_TO_SECURITY_REASONS": enrich.AddressInvalid, "\x1b[31m": enrich.AddressInvalid,
	} {
		if got := enrich.AddressClass(text); got != want {
			t.Errorf("%q is %s, want %s", text, got, want)
		}
	}
}

func TestTravel(t *testing.T) {
	t.Parallel()
	at := func(lat, lon float64) cloudtrail.Place {
		return cloudtrail.Place{Lat: lat, Lon: lon, HasLocation: true}
	}
	berlin, paris, sydney := at(52.52, 13.405), at(48.8566, 2.3522), at(-33.8688, 151.2093)
	for _, tt := range []struct {
		a, b       cloudtrail.Place
		between    time.Duration
		km         float64
		impossible bool
	}{
		{berlin, paris, time.Hour, 878, false},
		{berlin, paris, 30 * time.Minute, 878, true},
		{berlin, paris, -30 * time.Minute, 878, true},
		{berlin, sydney, 10 * time.Hour, 16095, true},
		{berlin, sydney, 20 * time.Hour, 16095, false},
		{berlin, berlin, 0, 0, false},
		{berlin, at(50, 13.405), 0, 280, false},              // near
		{at(0, 179.5), at(0, -179.5), time.Hour, 111, false}, // over the date line
		{at(90, 0), at(-90, 77), time.Hour, 20015, true},     // from pole to pole
		{berlin, cloudtrail.Place{}, time.Second, 0, false},  // not located
		{berlin, at(91, 0), time.Second, 0, false},           // nowhere
		{berlin, at(math.NaN(), 0), time.Second, 0, false},   // damaged
	} {
		km, impossible := enrich.ImpossibleTravel(tt.a, tt.b, tt.between, 900, 500)
		if math.Abs(km-tt.km) > 3 || impossible != tt.impossible {
			t.Errorf("%v to %v in %v: %.0f km, %v; want %.0f km, %v", tt.a, tt.b, tt.between, km, impossible, tt.km, tt.impossible)
		}
	}
}

func TestOperators(t *testing.T) {
	t.Parallel()
	for org, want := range map[string][2]bool{ // Amazon, hosting
		"AMAZON-02": {true, false}, "Amazon.com, Inc.": {true, false}, "DIGITALOCEAN-ASN": {false, true}, "Hetzner Online GmbH": {false, true},
		"OVH SAS": {false, true}, "Deutsche Telekom AG": {}, "Kawsar Networks": {}, "": {},
	} {
		if got := [2]bool{enrich.Amazon(0, org), enrich.Hosting(org)}; got != want {
			t.Errorf("%q: %v, want %v", org, got, want)
		}
	}
	if !enrich.Amazon(16509, "") {
		t.Error("AS16509 is Amazon's")
	}
}

func BenchmarkAgentClass(b *testing.B) {
	const agent = "aws-cli/2.17.60 md/awscrt#0.21.2 ua/2.0 os/linux#6.8.0-45-generic md/arch#x86_64 lang/python#3.12.6 md/pyimpl#CPython md/command#ssm.send-command"
	b.ReportAllocs()
	for b.Loop() {
		enrich.AgentClass(agent)
	}
}
