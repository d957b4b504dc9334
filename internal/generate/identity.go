package generate

import "fmt"

// fixedIdentity is what is the same in all records of a principal, ready to be written.
type fixedIdentity struct {
	ip, agent, key string
	// The pieces of userIdentity between what changes: session name, session name again,
	// access key, time of the session.
	pieces [5][]byte
}

// agents are the user agents of each kind.
var agents = [...][]string{ //nolint:gochecknoglobals // a table
	service: {""},
	workload: {
		"aws-sdk-java/2.20.162 Linux/5.10.198-187.748.amzn2.x86_64 OpenJDK_64-Bit_Server_VM/17.0.9+8-LTS Java/17.0.9 vendor/Amazon.com_Inc. io/sync http/Apache cfg/retry-mode/standard",
		"Boto3/1.28.62 md/Botocore#1.31.62 ua/2.0 os/linux#5.10.196-185.743.amzn2.x86_64 md/arch#x86_64 lang/python#3.11.6 md/pyimpl#CPython cfg/retry-mode#legacy Botocore/1.31.62",
		"aws-sdk-go-v2/1.21.2 os/linux lang/go#1.21.3 md/GOOS#linux md/GOARCH#amd64 api/service#1.40.1 ft/credential#imds m/E exec-env/AWS_ECS_EC2",
		"aws-sdk-js/3.414.0 ua/2.0 os/linux#5.10.192-183.736.amzn2.x86_64 lang/js md/nodejs#18.18.2 api/client#3.414.0 exec-env/AWS_ECS_FARGATE",
		"amazon-ssm-agent/3.2.1705.0 aws-sdk-go/1.44.260 (go1.20.7; linux; amd64)",
	},
	scanner: {
		"aws-sdk-go/1.45.24 (go1.21.1; linux; amd64) S3Manager exec-env/AWS_ECS_FARGATE inventory/4.12.0 (+https://inventory.example.com)",
		"Boto3/1.26.165 Python/3.9.18 Linux/5.15.0-1045-aws Botocore/1.29.165 exec-env/CloudShell audit/3.11.3",
	},
	deployer: {
		"APN/1.0 HashiCorp/1.0 Terraform/1.5.7 (+https://www.terraform.io) terraform-provider-aws/5.20.1 (+https://registry.terraform.io/providers/hashicorp/aws) aws-sdk-go-v2/1.21.1 os/linux lang/go#1.20.8 md/GOOS#linux md/GOARCH#amd64",
		"aws-cli/2.13.25 Python/3.11.5 Linux/6.2.0-1014-azure exe/x86_64.ubuntu.22 prompt/off command/cloudformation.deploy",
	},
	human: {
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/118.0.0.0 Safari/537.36",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.6 Safari/605.1.15",
		"AWS Internal",
		"aws-cli/2.13.22 Python/3.11.5 Darwin/22.6.0 exe/x86_64 prompt/off command/ec2.describe-instances",
	},
	dataUser: {"[aws-sdk-java/2.20.162 Linux/5.10.198-187.748.amzn2.x86_64 OpenJDK_64-Bit_Server_VM/17.0.9+8-LTS Java/17.0.9 vendor/Amazon.com_Inc. io/async http/NettyNio cfg/retry-mode/legacy ft/s3-transfer]"},
	special:  {"aws-cli/2.13.30 Python/3.11.6 Linux/6.1.55-75.123.amzn2023.x86_64 exe/x86_64.amzn.2023 prompt/off command/ssm.send-command"},
}

// fix derives what is fixed for the principal. Its name and session must be set.
func (p *principal) fix(a *account) {
	s := stream(under(p.addr, forName))
	f := &p.fixed
	f.ip = fmt.Sprintf("198.%d.%d.%d", 18+s.below(2), s.below(256), 1+s.below(254))
	list := agents[p.kind]
	f.agent = list[s.below(len(list))]
	id := upperText(&s, 17)
	switch {
	case p.kind == service:
		f.ip, f.agent = p.name, p.name
		f.pieces[0] = fmt.Appendf(nil, `{"type":"AWSService","invokedBy":"%s"}`, p.name)
		f.pieces[1] = fmt.Appendf(nil, `{"accountId":"%s","invokedBy":"%s"}`, a.id, p.name)
	case p.user:
		f.key = "AKIA" + upperText(&s, 16)
		f.pieces[0] = fmt.Appendf(nil, `{"type":"IAMUser","principalId":"AIDA%s","arn":"%s","accountId":"%s","accessKeyId":"%s","userName":"%s"`,
			id, p.stable, a.id, f.key, p.name)
	default:
		mfa := "false"
		if p.mail {
			mfa = "true"
		}
		f.pieces = [5][]byte{
			fmt.Appendf(nil, `{"type":"AssumedRole","principalId":"AROA%s:`, id),
			fmt.Appendf(nil, `","arn":"arn:aws:sts::%s:assumed-role/%s/`, a.id, p.name),
			fmt.Appendf(nil, `","accountId":"%s","accessKeyId":"ASIA`, a.id),
			fmt.Appendf(nil, `","sessionContext":{"sessionIssuer":{"type":"Role","principalId":"AROA%s","arn":"%s","accountId":"%s","userName":"%s"},`+
				`"webIdFederationData":{},"attributes":{"creationDate":"`, id, p.stable, a.id, p.name),
			fmt.Appendf(nil, `","mfaAuthenticated":"%s"}`, mfa),
		}
		if p.kind == workload || p.kind == dataUser {
			f.pieces[4] = append(f.pieces[4], `,"ec2RoleDelivery":"2.0"`...)
		}
		f.pieces[4] = append(f.pieces[4], '}')
	}
}

func upperText(s *stream, n int) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	return text(s, n, alphabet)
}

// sessionSpan is how long a machine keeps a session's key.
const sessionSpan = 6 * hour

// appendIdentity appends userIdentity.
func (r *renderer) appendIdentity(b []byte, p *principal, ev *event, serviceEvent, onBehalf bool) []byte {
	f := &p.fixed
	switch {
	case serviceEvent:
		return append(b, f.pieces[1]...)
	case p.kind == service:
		return append(b, f.pieces[0]...)
	case p.user:
		b = append(b, f.pieces[0]...)
	default:
		session, began := ev.session, ev.began
		if p.session != "" && !p.mail {
			began = ev.t / sessionSpan * sessionSpan
			session = under(p.addr, uint64(began))
		}
		b = append(b, f.pieces[0]...)
		b = p.appendSession(b, ev.session)
		b = append(b, f.pieces[1]...)
		b = p.appendSession(b, ev.session)
		b = append(b, f.pieces[2]...)
		key := stream(under(session, forName))
		b = appendText(b, &key, 16, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")
		b = append(b, f.pieces[3]...)
		b = r.appendTime(b, began)
		b = append(b, f.pieces[4]...)
	}
	if onBehalf || p.invoked != "" {
		by := p.invoked
		if by == "" {
			by = "autoscaling.amazonaws.com"
		}
		b = append(b, `,"invokedBy":"`...)
		b = append(b, by...)
		b = append(b, '"')
	}
	return append(b, '}')
}
