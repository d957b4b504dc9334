package enrich

import (
	"strings"

	"github.com/ua-parser/uap-go/uaparser"

	"github.com/debutsec/debut/cloudtrail"
)

// other is what is said of an agent that is not known, as Elasticsearch says it.
const other = "Other"

func compilePatterns() *uaparser.Parser {
	p, err := uaparser.New(uaparser.WithCacheSize(1)) // our own cache holds the answers
	if err != nil {
		panic(err) // the patterns are part of the program
	}
	return p
}

// parseAgent parses an agent with the patterns of uap-core.
func parseAgent(p *uaparser.Parser, original string) cloudtrail.Agent {
	ua, os, device := p.ParseUserAgent(original), p.ParseOs(original), p.ParseDevice(original)
	a := cloudtrail.Agent{Name: ua.Family, Version: version(ua.Major, ua.Minor, ua.Patch), Device: device.Family}
	if os.Family != other {
		a.OSName, a.OSVersion = os.Family, version(os.Major, os.Minor, os.Patch, os.PatchMinor)
		if a.OSVersion != "" {
			a.OSFull = a.OSName + " " + a.OSVersion
		}
	}
	return a
}

// version joins the parts before the first that is empty.
func version(parts ...string) string {
	for i, p := range parts {
		if p == "" {
			parts = parts[:i]
			break
		}
	}
	return strings.Join(parts, ".")
}

// awsAgent tells AWS's own clients without patterns:
//
//   - services, which sign with their host name or as "AWS Internal": Other;
//   - the command line and the SDKs, by the token that they begin with;
//   - consoles and Terraform, which name the SDK that they are built on.
//
// S3 puts brackets around every agent.
func awsAgent(s string) (cloudtrail.Agent, bool) {
	s = strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")
	a := cloudtrail.Agent{Name: other, Device: other}
	if isService(s) {
		return a, true
	}
	first, _, _ := strings.Cut(s, " ")
	name, ver, ok := client(first)
	if !ok {
		if !strings.HasPrefix(s, "APN/1.0 HashiCorp/") && !strings.Contains(s, ", aws-internal/") && !strings.HasPrefix(s, "aws-internal/") {
			return a, false
		}
		for token := range strings.FieldsSeq(s) {
			if name, ver, ok = client(token); ok {
				break
			}
		}
	}
	if ok {
		a.Name, a.Version = name, ver
	}
	a.OSName, a.OSVersion = system(s)
	if a.OSVersion != "" {
		a.OSFull = a.OSName + " " + a.OSVersion
	}
	return a, true
}

// isService reports whether an agent is a service: ssm.amazonaws.com, AWS Internal.
func isService(s string) bool {
	if strings.HasPrefix(s, "AWS Internal") {
		return true
	}
	host, _ := strings.CutSuffix(s, ".cn")
	return strings.HasSuffix(host, ".amazonaws.com") && !strings.ContainsAny(host, " /()")
}

// client parses NAME/VERSION if the name is that of an AWS client.
func client(token string) (name, ver string, ok bool) {
	name, rest, found := strings.Cut(token, "/")
	switch {
	case !found:
		return "", "", false
	case strings.HasPrefix(name, "aws-sdk-") && len(name) > len("aws-sdk-"):
	case name == "aws-cli", name == "Boto3", name == "Boto", name == "Botocore", name == "Go-http-client":
	default:
		return "", "", false
	}
	return name, leadingVersion(rest), true
}

// leadingVersion returns up to three numbers with dots between them that s begins with.
func leadingVersion(s string) string {
	end := 0
	for n := 3; n > 0; n-- {
		i := end
		for i < len(s) && s[i] >= '0' && s[i] <= '9' {
			i++
		}
		if i == end {
			return strings.TrimSuffix(s[:end], ".")
		}
		if end = i; n == 1 || end == len(s) || s[end] != '.' {
			break
		}
		end++
	}
	return s[:end]
}

// system tells the operating system that a client names. The kernel's version is
// given as Linux/5.10.184-… by older clients; newer ones (os/linux#6.8) are read as the
// processor reads them, without it. It does not know macOS by what clients call it.
func system(s string) (name, ver string) {
	for token := range strings.FieldsFuncSeq(s, func(r rune) bool { return r == ' ' || r == '(' || r == ')' || r == ';' }) {
		key, value, _ := strings.Cut(token, "/")
		switch {
		case key == "Linux":
			return "Linux", leadingVersion(value)
		case key == "Windows":
			return "Windows", ""
		case key == "linux", strings.EqualFold(key, "os") && len(value) >= 5 && strings.EqualFold(value[:5], "linux"):
			return "Linux", ""
		case strings.EqualFold(key, "os") && len(value) >= 7 && strings.EqualFold(value[:7], "windows"):
			return "Windows", ""
		}
	}
	return "", ""
}
