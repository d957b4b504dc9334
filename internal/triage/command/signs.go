package command

// Parts of patterns.
const (
	// word begins a command: what stands before it ends another word.
	word = `(?:^|[\s;&|({}"'` + "`" + `/\\=!])`
	// args are arguments of a simple command.
	args = `[^\n;|&]*?`
	// sh is a program that runs the text that it is given.
	sh = `(?:\S*/)?(?:(?:ba|z|da|k|a)?sh|python[\d.]*|perl|ruby|php|node|pwsh|powershell)(?:\s|$|[;&|)"'` + "`" + `-])`
	// sudo may stand before a program.
	sudo = `(?:sudo\s+(?:-\S+\s+)*|nohup\s+|exec\s+)*`
	// reading are commands that only look at a file, or at its rights.
	reading = `^(?:sudo\s+)?(?:ls|stat|chmod|chown|chattr|lsattr|test|\[|restorecon|md5sum|sha\d+sum|wc|rm|auditctl|grep|-w)\b[^>]*$`
	// loop goes through paths.
	loop = `(?:for\s+\w+\s+in\s+[^\n;]*?(?:[/*~]|\$\(\s*find)[^\n;]*|find\s[^\n;]*?(?:-exec|\|\s*(?:xargs|while))|os\.walk|glob\.glob|(?:Get-ChildItem|\bgci|\bdir)\s[^\n]*?\|\s*(?:ForEach(?:-Object)?|%))`
	// encrypts is a program that encrypts a file with a password.
	encrypts = `(?:openssl\s+(?:enc|aes-?\d+\S*)\s|gpg2?\s` + args + `(?:-c\b|--symmetric)|7z[ar]?\s+a\b` + args + `\s-p|zip\s` + args + `(?:-P|-e|--encrypt)\s|rar\s+a\s` + args + `-h?p|ccrypt\s|AesManaged|CreateEncryptor|Fernet|AES\.new)`
	// protection is what watches a host.
	protection = `(?:auditd|falco\S*|falcon-sensor|csfalconservice|crowdstrike\S*|osqueryd?|wazuh\S*|ossec\S*|sysmon\S*|rsyslog|syslog-ng|systemd-journald|amazon-cloudwatch-agent|awslogsd?|amazon-ssm-agent|amazonssmagent|snap\.amazon-ssm-agent\S*|mdatp|windefend|sense|sentinelone|sentinelagent|sentinelctl|cbdaemon|cbagentd|ds_agent|tanium\S*|xagt|guardduty\S*|aide|eventlog|clamav\S*|clamd|apparmor|fluent-?bit|fluentd|td-agent|filebeat|auditbeat|elastic-agent|splunk\S*|qualys\S*|nessus\S*)`
	// miners are programs that mine.
	miners = `(?:xmrig|xmr-stak|minerd|cpuminer|ccminer|cgminer|ethminer|nbminer|lolminer|phoenixminer|teamredminer|kdevtmpfsi|kinsing|nicehashminer|randomx|cryptonight)`
)

// signs is everything that a text is searched for.
func signs() []sign {
	var all []sign
	for _, list := range [][]sign{
		shellSigns(), encryptionSigns(), transferSigns(), fetchSigns(), credentialSigns(), persistenceSigns(), evasionSigns(), otherSigns(),
	} {
		all = append(all, list...)
	}
	return all
}

func shellSigns() []sign {
	return []sign{
		{
			family: ReverseShell, what: "a connection of the shell's own to a host", needs: "/dev/tcp /dev/udp",
			pattern: `[^\s;|]*\s*/dev/(?:tcp|udp)/[\w.\-$:{}\[\]]*`, check: noPortTest,
		},
		{
			family: ReverseShell, what: "an interactive shell with its output sent elsewhere", needs: "sh",
			pattern: word + `((?:ba|z|da|k)?sh\s+-i\s*(?:\d?>&|[<>|]|\d<))`,
		},
		{
			family: ReverseShell, what: "netcat that runs a shell", needs: "nc ncat netcat",
			pattern: word + `((?:nc|ncat|netcat|nc\.traditional|nc\.openbsd)(?:\.exe)?\s` + args + `-[a-z]*(?:e|c|-exec|-sh-exec)\s+["']?\S*(?:sh|cmd|powershell)\b)`,
		},
		{
			family: ReverseShell, what: "a pipe between a shell and a connection", needs: "mkfifo mknod",
			pattern: `((?s:(?:mkfifo|mknod)\s.{0,200}?\b(?:nc|ncat|netcat|telnet|openssl\s+s_client)\s))`,
		},
		{family: ReverseShell, what: "socat that runs a program", needs: "socat", pattern: `(socat\s[^\n;]*?(?:exec|system):)`, unless: `docker-entrypoint`},
		{family: ReverseShell, what: "a terminal made for a shell", needs: "pty", pattern: `pty\.spawn`},
		{family: ReverseShell, what: "a TCP client with a stream", needs: "tcpclient", pattern: `(?s:TCPClient.{0,200}?GetStream)`},
		{family: ReverseShell, what: "a socket in a one-liner", needs: "io::socket tcpsocket fsockopen", pattern: `(?s:(?:IO::Socket.{0,200}?(?:exec|system|STDIN)|TCPSocket.{0,200}?(?:exec|popen|spawn|reopen)|fsockopen.{0,200}?(?:exec|proc_open|sh\s+-i)))`},
		{family: ReverseShell, what: "a socket that becomes a shell", needs: "socket", pattern: `(?s:socket\.socket.{0,300}?(?:os\.dup2|subprocess|/bin/(?:ba)?sh))`},
	}
}

func encryptionSigns() []sign {
	return []sign{
		{
			family: EncryptionLoop, what: "encryption of one file after another", needs: "openssl gpg 7z zip rar ccrypt aesmanaged createencryptor fernet aes.new",
			pattern: `((?s:` + loop + `.{0,200}?` + encrypts + `))`, check: noDecryption,
		},
		{family: Encryption, what: "a file encrypted with openssl", needs: "openssl", pattern: `(openssl\s+(?:enc|aes-?\d+\S*)(?:\s+-[\w-]+)*)`, check: noDecryption},
		{family: Encryption, what: "a file encrypted with gpg and a password", needs: "gpg", pattern: `(gpg2?\s` + args + `(?:-c\b|--symmetric))`},
		{family: Encryption, what: "an archive with a password", needs: "7z zip rar", pattern: word + `(7z[ar]?(?:\.exe)?\s+a\b` + args + `\s-p|zip\b` + args + `\s(?:(?-i:-P)|-e|--encrypt)\s|rar\s+a\b` + args + `\s-h?p)`},
		{family: Encryption, what: "a disk encrypted", needs: "luksformat manage-bde enable-bitlocker", pattern: `cryptsetup\s` + args + `luksFormat|manage-bde(?:\.exe)?\s` + args + `-on\b|Enable-BitLocker`},
		{
			family: Encryption, what: "backups or free space destroyed", needs: "cipher vssadmin wbadmin shadowcopy bcdedit",
			pattern: `cipher(?:\.exe)?\s+/w|vssadmin(?:\.exe)?\s+(?:delete|resize)\s+shadow|wbadmin(?:\.exe)?\s+delete|shadowcopy\s+delete|Win32_Shadowcopy[^\n]*delete|bcdedit[^\n]*recoveryenabled\s+no`,
		},
		{family: Encryption, what: "files renamed as encrypted ones", needs: ".enc .lock .crypt .encrypted", pattern: `(?:mv|ren|Rename-Item)\s` + args + `\.(?:enc|locked|locky|crypt|crypted|encrypted)\b`},
		{
			family: Encryption, what: "a ransom note", needs: "readme decrypt recover restore ransom",
			pattern: `(?:HOW[_-]TO[_-]|READ[_-]?ME[_-](?:TO|FOR|NOW)[_-]?|RANSOM|(?:DECRYPT|RECOVER|RESTORE)[_-](?:YOUR|MY|ALL|INSTRUCTIONS?|FILES?))[\w-]*\.(?:txt|html?|hta|md)|your\s+(?:files|data)\s+(?:have|has)\s+been\s+encrypted`,
		},
	}
}

func transferSigns() []sign {
	return []sign{
		{family: Transfer, what: "a file uploaded with curl", needs: "curl", pattern: word + `(curl(?:\.exe)?\b` + args + `(?:\s(?-i:-\w*T)\s*|--upload-file[= ]\s*)["']?[^\s"']+)`},
		{family: Transfer, what: "a file posted with curl", needs: "curl", pattern: word + `(curl(?:\.exe)?\b` + args + `(?:\s(?-i:-\w*F)\s*["']?|--form[= ]\s*["']?)[\w.\[\]-]+=[@<][^\s"']+)`},
		{family: Transfer, what: "the content of a file posted with curl", needs: "curl", pattern: word + `(curl(?:\.exe)?\b` + args + `(?:\s(?-i:-d)\s*|--data(?:-binary|-raw|-urlencode|-ascii)?[= ]\s*)["']?(?:@[^\s"']+|\$\(\s*(?:cat|tar|base64|env|printenv|gzip)\b))`},
		{family: Transfer, what: "a file posted with wget", needs: "wget", pattern: word + `(wget(?:\.exe)?\s` + args + `--(?:post|body)-file[= ]\S+)`},
		{family: Transfer, what: "a copy to S3", needs: "s3", pattern: word + `(aws(?:\.exe)?\s` + args + `\bs3\s+(?:cp|sync|mv)\s[^\n;|&]+)`, check: toBucket, copies: true},
		{family: Transfer, what: "an object written to S3", needs: "put-object write-s3object", pattern: `((?:s3api\s+put-object\s|Write-S3Object\s)[^\n;|&]+)`, check: putObject, copies: true},
		{family: Transfer, what: "a copy with rclone or another cloud's tool", needs: "rclone gsutil azcopy", pattern: word + `(rclone\s` + args + `(?:copy|sync|move|copyto|moveto|rcat)\s\S+|gsutil\s` + args + `(?:cp|rsync|mv)\s[^\n;|&]*gs://\S+|azcopy\s+(?:copy|sync|cp)\s\S+)`},
		{family: Transfer, what: "a copy to a public host", needs: "scp rsync sftp", pattern: word + `((?:scp|rsync|sftp)\s[^\n;|&]+)`, check: toPublicHost},
		{
			family: Transfer, what: "data piped to a connection", needs: "nc ncat netcat socat curl",
			pattern: word + `((?:tar|cat|zip|gzip|mysqldump|pg_dump|dd|base64|find)\s[^\n;]*?\|\s*(?:(?:nc|ncat|netcat|socat)\s[^\n;|]+|curl\s` + args + `(?:(?-i:-\w*T)\s*["']?-|@-)))`,
		},
		{family: Transfer, what: "data in names that are looked up", needs: "dig nslookup host", pattern: `((?s:\b(?:for|while)\b.{0,200}?\b(?:dig|nslookup|host)\s[^\n;|&]{0,80}\$\{?\w+\}?["']?\.[\w.-]+))`},
		{
			family: Transfer, what: "a snapshot or image shared", needs: "modify-snapshot-attribute modify-image-attribute modify-db-snapshot-attribute modify-db-cluster-snapshot-attribute",
			pattern: `(modify-(?:snapshot|image|db-snapshot|db-cluster-snapshot)-attribute\s[^\n;|&]*?(?:\badd\b|--user-ids|--group-names|values-to-add)[^\n;|&]*)`,
		},
		{family: Transfer, what: "a file uploaded by PowerShell", needs: "-infile uploadfile uploadstring uploaddata", pattern: `(?:Invoke-WebRequest|Invoke-RestMethod|iwr|irm)\s` + args + `-InFile\s+\S+|\.Upload(?:File|String|Data)\(`},
		{family: Transfer, what: "a public file drop", needs: "transfer.sh file.io 0x0.st temp.sh bashupload gofile.io oshi.at", pattern: `https?://(?:[\w-]+\.)*(?:transfer\.sh|file\.io|0x0\.st|temp\.sh|bashupload\.com|gofile\.io|oshi\.at)\b`},
	}
}

func fetchSigns() []sign {
	return []sign{
		{
			family: FetchRun, what: "a download that is run at once", needs: "curl wget fetch lwp-download",
			pattern: word + `((?:curl|wget|fetch|lwp-download)(?:\.exe)?\s` + clause + `*?(?:\|\s*(?:base64\s+-\S+|gunzip\S*|zcat|tar\s[^\n;|]*|tee\s[^\n;|]*|sed\s[^\n;|]*|tr\s[^\n;|]*)\s*)*\|\s*` + sudo + sh + `)`,
			check:   noJSONTool,
		},
		{
			family: FetchRun, what: "a download as the text of a shell", needs: "curl wget",
			pattern: `((?:(?:ba|z|da|k)?sh|eval|source|\.)\s+(?:-c\s+)?["']?(?:<\(|\$\(|` + "`" + `)\s*(?:curl|wget)\s[^\n;|)]*)`,
		},
		{family: FetchRun, what: "a downloaded file that is run", needs: "curl wget invoke-webrequest iwr", pattern: word + `((?:curl|wget|Invoke-WebRequest|iwr)(?:\.exe)?\s[^\n;|&]+)`, check: runsLater},
		{
			family: FetchRun, what: "a download as an expression of PowerShell", needs: "iex invoke-expression",
			pattern: `((?s:\b(?:iex|Invoke-Expression)\b.{0,200}?(?:Download(?:String|Data|File)|Invoke-WebRequest|Invoke-RestMethod|\biwr\b|\birm\b|WebClient|\bcurl\b|\bwget\b))|(?:Download(?:String|Data)|Invoke-WebRequest|Invoke-RestMethod|\biwr\b|\birm\b)[^\n;]{0,200}?\|\s*(?:iex|Invoke-Expression)\b)`,
		},
		{
			family: FetchRun, what: "a download by a program that is not made for it", needs: "certutil bitsadmin mshta regsvr32 start-bitstransfer",
			pattern: `(certutil(?:\.exe)?\s[^\n]*?-urlcache|bitsadmin(?:\.exe)?\s[^\n]*?/transfer|Start-BitsTransfer\s[^\n;|]*?https?:|mshta(?:\.exe)?\s+["']?https?:|regsvr32(?:\.exe)?\s[^\n;|]*?/i:https?:)`,
		},
		{
			family: FetchRun, what: "a hidden text that is run", needs: "base64 xxd frombase64string -enc",
			pattern: `(base64\s+(?:-d|-D|-di|--decode)\b[^\n;]*?\|\s*` + sudo + sh + `|openssl\s+(?:base64|enc\s+-base64)\s[^\n;|]*-d[^\n;]*?\|\s*` + sudo + sh + `|xxd\s[^\n;|]*-r[^\n;]*?\|\s*` + sudo + sh + `|(?s:\b(?:iex|Invoke-Expression|Assembly\]?::Load)\b.{0,200}?FromBase64String|FromBase64String.{0,200}?\|\s*(?:iex|Invoke-Expression)\b)|(?:eval|sh\s+-c|source)\s+["']?(?:<\(|\$\(|` + "`" + `)[^\n]{0,200}?base64\s+(?:-d|--decode))`,
		},
		{family: FetchRun, what: "code that is fetched and executed", needs: "urlopen requests.get", pattern: `(?:exec|eval)\(.{0,100}?(?:urlopen|requests\.get)\(`},
		{
			family: FetchRun, what: "a paste, raw source or tunnel host", needs: "pastebin paste. hastebin ghostbin rentry termbin githubusercontent ngrok trycloudflare serveo localhost.run loca.lt interact.sh oast",
			pattern: `(?:https?://)?(?:[\w-]+\.)*(?:pastebin\.com|paste\.ee|paste\.rs|hastebin\.com|ghostbin\.\w+|rentry\.co|termbin\.com|raw\.githubusercontent\.com|gist\.githubusercontent\.com|ngrok(?:-free)?\.(?:io|app|dev)|trycloudflare\.com|serveo\.net|localhost\.run|loca\.lt|interact\.sh|oast\.\w+)\b`,
		},
		{family: FetchRun, what: "a URL of a bare public address", needs: "http:// https:// ftp://", pattern: `(?:https?|ftp)://(?:[^\s/@"']*@)?(?:\d{1,3}\.){3}\d{1,3}(?::\d+)?[^\s"']*`, check: publicAddress},
	}
}

func credentialSigns() []sign {
	return []sign{
		{
			family: Credentials, what: "the instance's credentials", needs: "iam/ 2852039166 0xa9fea9fe",
			pattern: `[^\s"'(]*/iam/security-credentials[^\s"')]*|https?://(?:2852039166|0xa9fea9fe)\S*`,
		},
		{family: Credentials, what: "the container's credentials", needs: "169.254.170. aws_container_", pattern: `(?:https?://)?169\.254\.170\.(?:2|23)\b[^\s"']*|AWS_CONTAINER_(?:CREDENTIALS_(?:RELATIVE|FULL)_URI|AUTHORIZATION_TOKEN)`},
		{family: Credentials, what: "the hashes of passwords", needs: "shadow ntds.dit", pattern: `[^\s;|&"'(]*/etc/g?shadow-?(?:\b|$)|ntds\.dit`, unless: reading},
		{family: Credentials, what: "files of credentials", needs: ".aws/credentials .aws\\credentials .git-credentials serviceaccount/token", pattern: `[^\s;|&"'(]*(?:\.aws[/\\]credentials|\.git-credentials|/serviceaccount/token)\b`, unless: reading},
		{
			family: Credentials, what: "private keys or sign-ins of users", needs: "id_rsa id_ed25519 id_ecdsa id_dsa .kube/config .docker/config.json",
			pattern: `\b((?:cat|cp|tar|zip|base64|scp|curl|less|head|tail|strings|xxd)\s[^\n;|&]*?(?:id_(?:rsa|ed25519|ecdsa|dsa)\b|\.kube/config|\.docker/config\.json))`, unless: `id_\w+\.pub`,
		},
		{family: Credentials, what: "the environment of processes", needs: "/environ", pattern: `/proc/[^\s/]+/environ`},
		{family: Credentials, what: "the memory of the sign-in process", needs: "lsass mimikatz sekurlsa procdump comsvcs", pattern: `lsass(?:\.exe|\.dmp)?\b|mimikatz|sekurlsa|comsvcs(?:\.dll)?[^\n]{0,40}MiniDump`},
		{family: Credentials, what: "the registry's secrets", needs: "save", pattern: `reg(?:\.exe)?\s+save\s+["']?(?:hklm|hkey_local_machine)\\*(?:sam|system|security)\b`},
	}
}

func persistenceSigns() []sign {
	return []sign{
		{family: Persistence, what: "keys that may sign in by SSH", needs: "authorized_keys", pattern: `[^\s;|&"'(]*authorized_keys2?\b`, unless: `^(?:sudo\s+)?(?:ls|stat|chmod|chown|cat|grep|wc|md5sum|sha\d+sum|test|\[|restorecon|diff)\b[^>]*$`},
		{
			family: Persistence, what: "a user", needs: "useradd adduser /add new-localuser",
			pattern: word + `((?:useradd|adduser)\s[^\n;|&]+|net1?(?:\.exe)?\s+(?:user|localgroup)\s[^\n;|&]*?/add\b|New-LocalUser\s[^\n;|&]*|Add-LocalGroupMember\s[^\n;|&]*)`,
			unless:  `\s(?:-r|--system|-[a-z]*r[a-z]*)\s.*(?:nologin|/bin/false)|(?:nologin|/bin/false)\b.*\s(?:-r|--system)\s|--help`,
		},
		{family: Persistence, what: "rights of an administrator", needs: "usermod gpasswd sudoers", pattern: `(usermod\s[^\n;|&]*?-(?:a?G|-groups)\s*["']?\S*(?:sudo|wheel|admin|root)\b[^\n;|&]*|(?:>>?|tee(?:\s+-a)?|cp\s[^\n;|&]*)\s*["']?/etc/sudoers(?:\.d/\S+)?)`},
		{
			family: Persistence, what: "a scheduled job", needs: "cron schtasks scheduledtask",
			pattern: `((?:^|[;&|(\n]|\bsudo\s|\bxargs\s)\s*crontab(?:\s+-u\s+\S+)?\s+(?:-(?:\s|$|["')])|-e|[^\s-]\S*)|(?:>>?|tee(?:\s+-a)?|(?:cp|mv|install|curl|wget)\s[^\n;|&]*?)\s*["']?/(?:etc/cron\S*|var/spool/cron\S*)|schtasks(?:\.exe)?\s[^\n]*?/create|(?:Register|New)-ScheduledTask\b)`,
		},
		{
			family: Persistence, what: "a new service", needs: "systemd systemctl new-service create",
			pattern: `((?:>>?|tee(?:\s+-a)?|(?:cp|mv|install|ln|curl|wget)\s[^\n;|&]*?)\s*["']?(?:/etc|/usr/lib|/lib|\S*/\.config)/systemd/(?:system|user)/\S+\.(?:service|timer)|systemctl\s+(?:--\S+\s+)*(?:enable|link)\s+(?:--\S+\s+)*/\S+|New-Service\s|\bsc(?:\.exe)?\s+(?:\\\\\S+\s+)?create\s)`,
		},
		{family: Persistence, what: "what runs at start", needs: "rc.local profile.d .bashrc .profile .bash_profile ld.so.preload currentversion", pattern: `((?:>>?|tee(?:\s+-a)?|(?:cp|mv|sed|echo)\s[^\n;|&]*?)\s*["']?(?:\S*/)?(?:etc/rc\.local|etc/rc\.d/rc\.local|etc/profile\.d/\S+|\.bashrc|\.profile|\.bash_profile|etc/ld\.so\.preload)|reg(?:\.exe)?\s+add\s[^\n]*?CurrentVersion\\*Run)`},
		{family: Registration, what: "the agent of Systems Manager registered anew", needs: "-register", pattern: `(?:amazon-ssm-agent|ssm-setup-cli|AmazonSSMAgent)(?:\.exe)?["']?\s[^\n;|&]*?-register\b`},
	}
}

func evasionSigns() []sign {
	return []sign{
		{
			family: Evasion, what: "the shell's history removed", needs: "hist",
			pattern: `(history\s+-\w*c\b|unset\s+HISTFILE|HISTFILE=(?:/dev/null|["';\s]|$)|HIST(?:FILE)?SIZE=0|(?:rm|shred|truncate|ln)\s[^\n;|&]*?_history\b|>\s*\S*\.(?:bash|zsh|sh)_history|Clear-History)`,
		},
		{
			family: Evasion, what: "logs removed", needs: "/var/log journalctl",
			pattern: `((?:rm|shred|truncate|unlink)\s[^\n;|&]*?/var/log\b[^\n;|&]*|(?:^|[;&|\n]|/dev/null|\becho(?:\s+-n)?\s*(?:""|'')?|\s:|^:)\s*>\s*/var/log/\S+|find\s+/var/log\b[^\n;|]*?(?:-delete|-exec\s+(?:rm|shred|truncate))|journalctl\s[^\n;|&]*?--vacuum-(?:time=\d+s\b|size=\d{1,3}[BKM]?\b))`,
			unless:  `/var/log/\S*(?:\.gz|\.\d+|\.old|\.xz|\.bz2|-\d{8})(?:["'\s]|$)|-m?time\s+\+`,
		},
		{family: Evasion, what: "event logs cleared", needs: "wevtutil eventlog usn", pattern: `wevtutil(?:\.exe)?\s+(?:cl|clear-log)\b|(?:Clear|Remove|Limit)-EventLog|fsutil\s+usn\s+deletejournal`},
		{
			family: Evasion, what: "a watching program stopped", needs: "stop disable mask kill remove purge erase auditctl rpm",
			pattern: `((?:systemctl|rc-service|service|initctl)\s+(?:--?\S+\s+)*(?:stop|disable|mask|kill)\s+(?:--?\S+\s+)*(?:\S+\s+)*?["']?` + protection + `\b|(?:service|rc-service|/etc/init\.d/\S*?)\s*["']?` + protection + `\s+stop\b|(?:pkill|killall|taskkill)\s[^\n;|&]*?\b` + protection + `\b|(?:Stop-Service|Set-Service|sc(?:\.exe)?\s+(?:stop|delete|config)|net1?\s+stop)\s[^\n;|&]*?\b` + protection + `\b|(?:apt(?:-get)?|yum|dnf|zypper|snap|rpm|dpkg)\s[^\n;|&]*?(?:remove|purge|erase|(?-i:-e)|(?-i:-P)|(?-i:-r))\s[^\n;|&]*?\b` + protection + `\b|amazon-cloudwatch-agent-ctl\s[^\n;|&]*?-a\s+stop|auditctl\s+(?:-e\s*0|(?-i:-D)))`,
			unless:  `Set-Service\s.*-StartupType\s+(?:Automatic|Manual)|-Status\s+Running|config\s.*start=\s*auto`,
		},
		{family: Evasion, what: "Defender's settings changed", needs: "mppreference", pattern: `(?:Set|Add)-MpPreference\b`, unless: `Set-MpPreference\s+-Disable\w+\s+(?:\$?false|0)\s*$`},
		{
			family: Evasion, what: "the firewall or mandatory access control switched off", needs: "ufw iptables firewall nft setenforce",
			pattern: `(ufw\s+(?:--force\s+)?(?:disable|reset)|systemctl\s+(?:--?\S+\s+)*(?:stop|disable|mask)\s+(?:--?\S+\s+)*(?:firewalld|iptables|nftables|ufw)\b|ip6?tables\s+(?:(?-i:-F)|--flush|-P\s+(?:INPUT|OUTPUT|FORWARD)\s+ACCEPT)|nft\s+flush\s+ruleset|netsh\s+(?:advfirewall\s+set\s+\S+\s+state\s+off|firewall\s+set\s+opmode\s+(?:mode=)?disable)|Set-NetFirewallProfile\s[^\n;|&]*?-Enabled\s+\$?false|setenforce\s+(?:0|permissive))`,
		},
		{family: Evasion, what: "the account's logging switched off", needs: "stop-logging delete-trail delete-detector put-event-selectors delete-flow-logs stop-configuration-recorder", pattern: `aws\s` + args + `(?:stop-logging|delete-trail|delete-detector|put-event-selectors|delete-flow-logs|stop-configuration-recorder)\b`},
	}
}

func otherSigns() []sign {
	const clearing = `^(?:sudo\s+)?(?:pkill|killall|pgrep|ps|grep|rm|which|find|kill|apt(?:-get)?\s+(?:remove|purge)|yum\s+(?:remove|erase))\b`
	return []sign{
		{family: Mining, what: "a miner's name", needs: "xmrig xmr-stak miner kdevtmpfsi kinsing randomx cryptonight", pattern: `\b` + miners + `(?:\b|\d|_)`, unless: clearing},
		{family: Mining, what: "the protocol of a pool", needs: "stratum", pattern: `stratum2?\+(?:tcp|ssl|tls|udp)://[^\s"']*`, unless: clearing},
		{family: Mining, what: "a miner's option", needs: "--donate-level --coin -a", pattern: `--donate-level|--coin[= ]["']?(?:monero|xmr)\b|\bt-rex\s+-a\s`},
		{family: Mining, what: "a known pool", needs: "minexmr supportxmr nanopool 2miners f2pool moneroocean hashvault ethermine nicehash c3pool herominers unmineable", pattern: `(?:[\w-]+\.)*(?:minexmr\.com|supportxmr\.com|nanopool\.org|2miners\.com|f2pool\.com|moneroocean\.stream|hashvault\.pro|ethermine\.org|nicehash\.com|c3pool\.\w+|herominers\.com|unmineable\.com)\b`, unless: clearing},
		{
			family: Recon, what: "who and where one is",
			pattern: `(?:^|[;&|(` + "`" + `])\s*(?:sudo\s+)?((?:/usr)?(?:/bin/|/sbin/)?(?:id|whoami(?:\s+/\w+)?|uname\s+-a|hostname|ip\s+a(?:ddr)?(?:\s+show)?|ifconfig|ipconfig(?:\s+/all)?|ss\s+-\w+|netstat\s+-\w+|env|printenv|w|last|systeminfo|tasklist|arp\s+-a|net\s+(?:user|view|localgroup)|cat\s+/etc/(?:passwd|os-release)|ps\s+-?(?:aux|ef)\w*))\s*(?:$|[;&|)` + "`" + `]|[12]?>)`,
		},
	}
}
