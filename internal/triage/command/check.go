package command

import (
	"net/netip"
	"path"
	"regexp"
	"slices"
	"strings"
)

var (
	portTest = regexp.MustCompile(`(?i)(?:^|[\s;&|(])(?:ba)?sh\s+-c\s+["']?\s*(?:echo\s*|:\s*|true\s*)?[<>]\s*/dev/tcp/[\w.$:{}-]+/[\w${}]+\s*(?:["'\n;|]|$|&&|\s+2?>)`)
	decrypts = regexp.MustCompile(`(?i)(?:openssl\s+(?:enc|aes)\S*\s[^\n;|&]*?(?-i:-d)\b|gpg2?\s[^\n;|&]*(?:-d\b|--decrypt))`)
	jsonTool = regexp.MustCompile(`(?i)^\s*(?:\S*/)?(?:python[\d.]*\s+-m\s+json\.tool|python[\d.]*\s+-c\s+["']?import\s+(?:sys,\s*json|json,\s*sys)|(?:perl|ruby)\s+-n?e|node\s+-[ep])`)
	output   = regexp.MustCompile(`\s(?:-o|-O|--output|--output-document|-OutFile|(?-i:-[a-zA-Z]*[oO]))[= ]\s*["']?([^\s"';|&-][^\s"';|&]*)`)
	lastName = regexp.MustCompile(`https?://[^\s"'/]+/(?:[^\s"'?#]*/)?([\w.-]+)`)
	s3url    = regexp.MustCompile(`^s3://([^/]*)`)
)

// noPortTest leaves out the usual test whether a port is open, which opens a
// connection and sends nothing.
func noPortTest(text string, start, end int) (bool, string) {
	for _, m := range portTest.FindAllStringIndex(text, maxTries) {
		if m[0] <= start && end <= m[1] {
			return false, ""
		}
	}
	return true, ""
}

// noDecryption leaves out commands that decrypt.
func noDecryption(text string, start, end int) (bool, string) {
	return !decrypts.MatchString(simple(text, max(start, end-1), end)), ""
}

// noJSONTool leaves out a download that is only formatted.
func noJSONTool(text string, start, end int) (bool, string) {
	i := strings.LastIndexByte(text[start:end], '|')
	return !jsonTool.MatchString(text[start+i+1:]), ""
}

// runsLater reports whether a file that a command downloads is run after it.
func runsLater(text string, start, end int) (bool, string) {
	cmd, rest := text[start:end], text[end:]
	var names []string
	for _, m := range output.FindAllStringSubmatch(cmd, 10) {
		names = append(names, m[1])
	}
	if len(names) == 0 {
		for _, m := range lastName.FindAllStringSubmatch(cmd, 10) {
			names = append(names, m[1])
		}
	}
	for _, name := range names {
		if len(name) < 2 || strings.HasPrefix(name, "/dev/") {
			continue
		}
		run := `(?im)(?:^|[;&|(]|\bthen\b|\bdo\b)\s*` + sudo + `(?:` + sh[:len(sh)-len(shEnd)] + `\s+(?:-\S+\s+)*|\.\s+|source\s+|chmod\s+(?:\S*\+\S*x\S*|[0-7]*7[0-7]{2})\s+|&\s*|Start-Process\s+(?:-\S+\s+)?)?["']?(?:\./|\.\\)?` +
			regexp.QuoteMeta(name) + `(?:$|[\s;&|)"'])`
		re, err := regexp.Compile(run)
		if err == nil && re.MatchString(rest) {
			return true, ""
		}
		if base := path.Base(name); base != name && strings.Contains(rest, "./"+base) {
			return true, ""
		}
	}
	return false, ""
}

// shEnd is the end of sh: what must follow a shell's name.
const shEnd = `(?:\s|$|[;&|)"'` + "`" + `-])`

// publicAddress reports whether a URL's host is an address on the Internet.
func publicAddress(text string, start, end int) (bool, string) {
	_, host, _ := strings.Cut(text[start:end], "://")
	host, _, _ = strings.Cut(host, "/")
	if i := strings.LastIndexByte(host, '@'); i >= 0 {
		host = host[i+1:]
	}
	host, _, _ = strings.Cut(host, ":")
	return publicHost(host, false), ""
}

// publicHost reports whether a host is on the Internet, as far as its name tells.
func publicHost(host string, names bool) bool {
	if a, err := netip.ParseAddr(host); err == nil {
		return a.IsGlobalUnicast() && !a.IsPrivate() && !netip.MustParsePrefix("100.64.0.0/10").Contains(a)
	}
	if !names || !strings.Contains(host, ".") || strings.ContainsAny(host, "$*[]{}") {
		return false
	}
	for _, end := range []string{".internal", ".local", ".lan", ".corp", ".intra", ".localdomain", ".home.arpa"} {
		if strings.HasSuffix(strings.ToLower(host), end) {
			return false
		}
	}
	return true
}

// positional returns the arguments of a command that are no options, without quotation
// marks. Options of takes are followed by a value.
func positional(cmd string, takes []string) (list []string) {
	words := strings.Fields(cmd)
	for i := 0; i < len(words); i++ {
		w := strings.Trim(words[i], `"')`)
		switch {
		case strings.HasPrefix(w, "-") && w != "-":
			if slices.Contains(takes, w) {
				i++
			}
		case w == ">" || w == "2>" || w == ">>" || strings.HasPrefix(w, "2>") || strings.HasPrefix(w, ">"):
			return list
		case w != "":
			list = append(list, w)
		}
	}
	return list
}

// toBucket reads where an `aws s3 cp`, `sync` or `mv` goes: only to S3 is it a transfer.
func toBucket(text string, start, end int) (ok bool, bucket string) {
	_, after, _ := strings.Cut(text[start:end], "s3 ")
	list := positional(after, []string{
		"--acl", "--sse", "--sse-kms-key-id", "--sse-c", "--sse-c-key", "--profile", "--region", "--exclude", "--include", "--endpoint-url",
		"--storage-class", "--metadata", "--content-type", "--cache-control", "--expires", "--grants", "--source-region", "--page-size", "--output",
		"--expected-size", "--tagging", "--ca-bundle", "--cli-read-timeout", "--cli-connect-timeout", "--metadata-directive", "--checksum-algorithm",
	})
	if len(list) < 3 {
		return false, ""
	}
	m := s3url.FindStringSubmatch(list[2])
	if m == nil {
		return strings.HasPrefix(list[2], "$") && !strings.HasPrefix(list[1], "s3://"), "?"
	}
	if strings.Contains(after, "--endpoint-url") {
		return true, "" // not AWS's S3: nobody's bucket here
	}
	return true, bucketName(m[1])
}

func putObject(text string, start, end int) (ok bool, bucket string) {
	words := strings.Fields(strings.ReplaceAll(text[start:end], "=", " "))
	for i, w := range words[:len(words)-1] {
		if strings.EqualFold(w, "--bucket") || strings.EqualFold(w, "-BucketName") {
			return true, bucketName(strings.Trim(words[i+1], `"'`))
		}
	}
	return true, "?"
}

func bucketName(s string) string {
	if s == "" || strings.ContainsAny(s, "$`{}%[") {
		return "?"
	}
	return s
}

// toPublicHost reports whether scp, rsync or sftp go to a host on the Internet.
func toPublicHost(text string, start, end int) (bool, string) {
	list := positional(text[start:end], []string{"-i", "-P", "-p", "-o", "-F", "-l", "-c", "-e", "--rsh", "-b", "--exclude", "--include", "-J"})
	if len(list) < 2 {
		return false, ""
	}
	to := list[len(list)-1]
	if list[0] != "sftp" {
		host, _, ok := strings.Cut(strings.TrimPrefix(to, "rsync://"), ":")
		if !ok && !strings.HasPrefix(to, "rsync://") || len(list) < 3 {
			return false, ""
		}
		to = host
	}
	if i := strings.LastIndexByte(to, '@'); i >= 0 {
		to = to[i+1:]
	}
	to, _, _ = strings.Cut(to, ":")
	to, _, _ = strings.Cut(to, "/")
	return publicHost(to, true), ""
}
