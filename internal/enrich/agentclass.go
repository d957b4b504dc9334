package enrich

import (
	"cmp"
	"strings"
)

// Classes of user agents: what kind of client an agent says it is.
const (
	ClientNone     = "none"          // no agent at all
	ClientService  = "service"       // an AWS service
	ClientConsole  = "console"       // a browser, or the console on its behalf
	ClientCLI      = "command line"  // the AWS command line
	ClientSDK      = "SDK"           // an AWS SDK, or AWS's tools for PowerShell
	ClientIaC      = "IaC"           // infrastructure as code
	ClientCI       = "automation"    // a client inside of a build, a function or a container
	ClientShell    = "CloudShell"    // a client inside of CloudShell or Cloud9
	ClientHostile  = "offensive"     // a tool for attacks
	ClientAudit    = "audit"         // a tool for tests or audits
	ClientTransfer = "mass transfer" // a program for moving many files
	ClientBare     = "library"       // a library that does not know AWS
	ClientOther    = "other"
)

// An AgentKind is what a user agent says about the client. Whoever calls chooses it, so
// none of it is proof of anything.
type AgentKind struct {
	Class   string // one of the Client constants
	Tool    string // such as "aws-cli"; empty: not told
	Version string
	OS      string // Linux, Windows, macOS, Android, iOS, FreeBSD; empty: not told
	ExecEnv string // where it runs, such as "AWS_Lambda_python3.12" or "github-actions"
	Command string // of the AWS command line, such as "ssm.send-command"
	// Mark is a sign of an offensive or of an audit tool, wherever in the agent it
	// stands, such as "kali". Audit says that it is of an audit tool.
	Mark  string
	Audit bool
}

// AgentClass tells the class of a user agent and its parts. It also takes the names of
// agents alone, as [Enricher.UserAgent] gives them. Brackets around the agent are left
// out. What a client calls itself first decides what it is: nothing behind it renames
// an AWS client. Marks of tools count anywhere.
func AgentClass(original string) AgentKind {
	if len(original) > maxAgent {
		original = original[:maxAgent]
	}
	s := strings.TrimSpace(original)
	s = strings.TrimSpace(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
	if s == "" || s == "-" {
		return AgentKind{Class: ClientNone}
	}
	lower := strings.ToLower(s)
	k := AgentKind{Class: ClientOther, OS: agentOS(lower)}
	k.Mark, k.Audit = agentMark(lower)
	k.Tool, k.Version = agentTool(s)
	k.ExecEnv, k.Command = tokenAfter(s, "exec-env/"), tokenAfter(s, "md/command#")
	switch {
	case isService(s):
		if k.Class, k.Tool = ClientService, s; consoleHosts[s] || strings.HasPrefix(s, "AWS Internal") {
			k.Class = ClientConsole
		}
	case strings.HasPrefix(s, "aws-internal/"), strings.Contains(s, ", aws-internal/"), strings.HasPrefix(s, "S3Console/"), isBrowser(k.Tool, s):
		k.Class = ClientConsole
	default:
		k.classify(s, lower)
	}
	return k
}

// consoleHosts are services that are the console.
var consoleHosts = map[string]bool{ //nolint:gochecknoglobals // a constant table
	"console.amazonaws.com": true, "signin.amazonaws.com": true, "console.aws.amazon.com": true,
}

// classify tells what is neither a service nor the console.
func (k *AgentKind) classify(s, lower string) {
	tool := toolKey(k.Tool)
	iac := iacName(s)
	switch {
	case iac != "":
		k.Class, k.Tool = ClientIaC, iac
		k.Version = leadingVersion(tokenAfter(s, iac+"/"))
	case tool == "aws-cli", tool == "boto3", tool == "boto", tool == "botocore", tool == "awspowershell", strings.HasPrefix(tool, "aws-sdk-"):
		k.Class = ClientSDK
		if tool == "aws-cli" {
			k.Class = ClientCLI
		}
		switch env := strings.ToLower(k.ExecEnv); {
		case strings.Contains(env, "cloudshell"), strings.Contains(env, "cloud9"):
			k.Class = ClientShell
		case ciEnvironment(env), runner(lower) != "":
			k.Class, k.ExecEnv = ClientCI, cmp.Or(k.ExecEnv, runner(lower))
		}
	case k.Mark != "" && k.Audit:
		k.Class = ClientAudit
	case k.Mark != "":
		k.Class = ClientHostile
	case transferTools[tool]:
		k.Class = ClientTransfer
	case runner(lower) != "":
		k.Class, k.ExecEnv = ClientCI, cmp.Or(k.ExecEnv, runner(lower))
	case bareLibraries[tool]:
		k.Class = ClientBare
	}
}

// agentTool returns what a client calls itself first, and its version. A name alone is
// its own.
func agentTool(s string) (name, ver string) {
	if rest, ok := strings.CutPrefix(s, s3Browser+"/"); ok {
		return s3Browser, leadingVersion(rest)
	}
	first, _, _ := strings.Cut(s, " ")
	name, rest, found := strings.Cut(first, "/")
	if !found {
		s, _, _ = strings.Cut(s, ", ") // RDS Console, aws-internal/3 …
		return s[:min(len(s), maxTool)], ""
	}
	return name[:min(len(name), maxTool)], leadingVersion(rest)
}

// s3Browser is a client with a space in its name.
const s3Browser = "S3 Browser"

// maxTool is how many bytes of a name are kept.
const maxTool = 64

// toolKey is a name as the tables have it: uap-core writes some with spaces.
func toolKey(name string) string { return strings.ToLower(strings.ReplaceAll(name, " ", "-")) }

// Marks of tools; of those that an agent has, the first here is told.
var (
	hostileMarks = []string{ //nolint:gochecknoglobals // a constant table
		"kali", "parrot", "pentoo", "blackarch", "pacu", "cloudfox", "scoutsuite", "scout suite", "enumerate-iam", "peirates", "leonidas", "weirdaal",
	}
	auditMarks = []string{"stratus-red-team", "grimoire", "prowler", "trufflehog"} //nolint:gochecknoglobals // a constant table
)

func agentMark(lower string) (mark string, audit bool) {
	for _, m := range hostileMarks {
		if hasWord(lower, m) {
			return m, false
		}
	}
	for _, m := range auditMarks {
		if hasWord(lower, m) {
			return m, true
		}
	}
	return "", false
}

// hasWord reports whether a word stands in s, both in lower case, with no letter right
// before or behind it.
func hasWord(s, word string) bool {
	for from := 0; ; {
		i := strings.Index(s[from:], word)
		if i < 0 {
			return false
		}
		i += from
		end := i + len(word)
		if (i == 0 || !letter(s[i-1])) && (end == len(s) || !letter(s[end])) {
			return true
		}
		from = i + 1
	}
}

func letter(c byte) bool { return c >= 'a' && c <= 'z' }

// iacName returns the tool of infrastructure as code that an agent names, as it stands
// there, or "".
func iacName(s string) string {
	if rest, ok := strings.CutPrefix(s, "APN/1.0 HashiCorp/"); ok {
		_, rest, _ = strings.Cut(rest, " ")
		if name, _, ok := strings.Cut(rest, "/"); ok && !strings.Contains(name, " ") {
			return name[:min(len(name), maxTool)]
		}
		return "HashiCorp"
	}
	for _, name := range [...]string{"Terraform", "OpenTofu", "Pulumi", "aws-cdk", "Ansible", "ansible"} {
		// An AWS client that only carries such a name behind is what it says first.
		if strings.HasPrefix(s, name) || strings.Contains(s, " "+name+"/") && !awsClient(s) {
			return name
		}
	}
	return ""
}

func awsClient(s string) bool {
	first, _, _ := strings.Cut(s, " ")
	name, _, ok := client(first)
	return ok && name != "Go-http-client"
}

// ciEnvironment reports whether an execution environment, in lower case, is one of
// builds, functions or containers.
func ciEnvironment(env string) bool {
	for _, p := range [...]string{"aws_lambda", "aws_ecs", "codebuild", "aws_codebuild", "aws_batch", "apprunner", "aws_apprunner"} {
		if strings.HasPrefix(env, p) {
			return true
		}
	}
	return false
}

// runner returns what an agent, in lower case, says of the service that runs builds, or "".
func runner(lower string) string {
	for _, w := range [...]string{"configure-aws-credentials", "github-actions", "gitlab-runner", "gitlab-ci", "jenkins", "circleci", "buildkite", "codepipeline"} {
		if hasWord(lower, w) {
			return w
		}
	}
	return ""
}

var transferTools = map[string]bool{ //nolint:gochecknoglobals // a constant table
	"s3-browser": true, "cyberduck": true, "winscp": true, "rclone": true,
}

var bareLibraries = map[string]bool{ //nolint:gochecknoglobals // a constant table
	"python-requests": true, "python-urllib": true, "python-urllib3": true, "urllib3": true, "curl": true, "wget": true, "go-http-client": true,
	"aiohttp": true, "python": true, "java": true, "okhttp": true, "axios": true, "node-fetch": true, "apache-httpclient": true, "libwww-perl": true,
	"postmanruntime": true, "ruby": true,
}

// isBrowser reports whether an agent is a browser's, or the name of one.
func isBrowser(name, s string) bool {
	if name == "Mozilla" && strings.HasPrefix(s, "Mozilla/") {
		return true
	}
	if strings.Contains(s, "/") {
		return false
	}
	for _, b := range [...]string{"Chrome", "Chromium", "Firefox", "Safari", "Mobile Safari", "Edge", "Opera", "Samsung Internet", "HeadlessChrome"} {
		if s == b || strings.HasPrefix(s, b+" ") {
			return true
		}
	}
	return false
}

// systems are operating systems with what agents call them, in lower case.
var systems = []struct { //nolint:gochecknoglobals // a constant table
	name  string
	words []string
}{
	{"Android", []string{"android"}},
	{"iOS", []string{"os/ios", "iphone", "ipad"}},
	{"macOS", []string{"os/macos", "os/darwin", "darwin/", "mac os x", "macos/", "lang/darwin", "os x", "macosx"}},
	{"Windows", []string{"os/windows", "windows/", "windows nt", "windows_", "win32", "windows;"}},
	{"FreeBSD", []string{"freebsd"}},
	{"Linux", []string{"os/linux", "linux/", "linux_", "linux;", "x11; linux", "linux-", "linux x86_64", "linux#"}},
}

// agentOS returns the operating system that an agent, in lower case, names.
func agentOS(s string) string {
	for _, sys := range systems {
		for _, w := range sys.words {
			if strings.Contains(s, w) {
				return sys.name
			}
		}
	}
	return ""
}

// tokenAfter returns what follows a mark up to the next space, comma or bracket.
func tokenAfter(s, mark string) string {
	i := strings.Index(s, mark)
	if i < 0 {
		return ""
	}
	s = s[i+len(mark):]
	if end := strings.IndexAny(s, " ,;()[]"); end >= 0 {
		s = s[:end]
	}
	return s[:min(len(s), 2*maxTool)]
}
