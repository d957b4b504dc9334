package generate

import (
	"strconv"
	"time"
)

// A renderer writes the records of one account. It keeps no state between records but
// its buffers; use one per goroutine.
type renderer struct {
	a         *account
	resources [200]uint64 // what the account's calls are about
}

func newRenderer(a *account) *renderer {
	r := &renderer{a: a}
	for i := range r.resources {
		r.resources[i] = hash(a.cfg.Seed, forResource, a.addr, uint64(i))
	}
	return r
}

// resource draws something from the account's pool: few things are used often.
func (r *renderer) resource(s *stream) uint64 {
	u := s.uniform()
	return r.resources[int(float64(len(r.resources))*u*u*u)]
}

// fixedParts are what is the same in all records of an action: what comes between the
// time and the region, and what comes after eventID.
func fixedParts(a *action) (head, tail []byte) {
	head = append(head, `","eventSource":"`...)
	head = append(head, a.service...)
	head = append(head, `.amazonaws.com","eventName":"`...)
	head = append(head, a.name...)
	head = append(head, `","awsRegion":"`...)
	tail = strconv.AppendBool(append(tail, `","readOnly":`...), a.read)
	return head, tail
}

// append appends the record of an event.
func (r *renderer) append(b []byte, ev *event) []byte {
	a := r.a
	p := &a.members[ev.who]
	act := &a.cat.actions[ev.action]
	s := stream(ev.seed)
	s.next() // eventID
	s.next()
	request := [2]uint64{s.next(), s.next()}
	data := p.kind == dataUser
	byService := p.kind == service
	serviceEvent := byService && s.chance(0.01)
	onBehalf := p.kind == workload && s.chance(0.05)
	how := r.outcome(ev, &s, byService)
	region := a.regions[a.regionOf(p.region, act)]

	b = append(b, `{"eventVersion":"1.08","userIdentity":`...)
	b = r.appendIdentity(b, p, ev, serviceEvent, onBehalf)
	b = append(b, `,"eventTime":"`...)
	b = r.appendTime(b, ev.t)
	b = append(b, act.head...)
	b = append(b, region...)
	b = append(b, `","sourceIPAddress":"`...)
	b = append(b, p.fixed.ip...)
	b = append(b, `","userAgent":"`...)
	b = append(b, p.fixed.agent...)
	b = append(b, '"')
	b = r.appendError(b, p, ev, act, how, region)
	b = append(b, `,"requestParameters":`...)
	b = r.appendRequest(b, ev, act, &s)
	b = append(b, `,"responseElements":`...)
	b = r.appendResponse(b, ev, act, &s, how, region)
	if act.service == "s3" {
		b = appendTransfer(b, &s, data)
	}
	b = append(b, `,"requestID":"`...)
	if act.service == "s3" {
		b = appendText(b, (*stream)(&request[0]), 16, "0123456789ABCDEFGHJKMNPQRSTVWXYZ")
	} else {
		b = appendUUID(b, request)
	}
	b = append(b, `","eventID":"`...)
	b = appendUUID(b, ev.id)
	b = append(b, act.tail...)
	b = r.appendResources(b, act, &s, data)
	if serviceEvent {
		b = append(b, `,"eventType":"AwsServiceEvent"`...)
	} else {
		b = append(b, `,"eventType":"AwsApiCall"`...)
	}
	b = append(b, `,"managementEvent":`...)
	b = strconv.AppendBool(b, !data)
	b = append(b, `,"recipientAccountId":"`...)
	b = append(b, a.id...)
	if byService {
		b = append(b, `","sharedEventID":"`...)
		b = appendUUID(b, [2]uint64{s.next(), s.next()})
	}
	if data {
		b = append(b, `","eventCategory":"Data"`...)
	} else {
		b = append(b, `","eventCategory":"Management"`...)
	}
	if !byService && s.chance(0.8) {
		b = append(b, `,"tlsDetails":{"tlsVersion":"TLSv1.2","cipherSuite":"ECDHE-RSA-AES128-GCM-SHA256","clientProvidedHostHeader":"`...)
		b = append(b, act.service...)
		b = append(b, '.')
		b = append(b, region...)
		b = append(b, `.amazonaws.com"}`...)
	}
	return append(b, '}')
}

// outcome says how a call ends: as the overlay plans, else 6 % are denied.
func (r *renderer) outcome(ev *event, s *stream, byService bool) outcome {
	u := s.uniform()
	switch {
	case ev.call >= 0:
		return r.a.overlay.calls[ev.call].outcome
	case ev.refused:
		return denied
	case r.a.members[ev.who].kind == special || byService || u >= 0.06:
		return succeeds
	}
	return denied
}

func (r *renderer) appendError(b []byte, p *principal, ev *event, act *action, how outcome, region string) []byte {
	switch how {
	case denied:
		b = append(b, `,"errorCode":"AccessDenied","errorMessage":"User: `...)
		b = r.appendARN(b, p, ev.session)
		b = append(b, ` is not authorized to perform: `...)
		b = append(append(append(b, act.service...), ':'), act.name...)
		b = append(b, ` on resource: arn:aws:`...)
		b = append(append(append(b, act.service...), ':'), region...)
		b = append(append(append(b, ':'), r.a.id...), `:* because no identity-based policy allows the action"`...)
	case fails:
		b = append(b, `,"errorCode":"InvalidInstanceId","errorMessage":"Instances not in a valid state for account `...)
		b = append(append(b, r.a.id...), '"')
	case succeeds:
	}
	return b
}

func (r *renderer) appendARN(b []byte, p *principal, session uint64) []byte {
	if p.user {
		return append(b, p.stable...)
	}
	b = append(append(b, `arn:aws:sts::`...), r.a.id...)
	b = append(append(append(b, `:assumed-role/`...), p.name...), '/')
	return p.appendSession(b, session)
}

// extras are members that requests have besides what they are about; each action
// begins at a place of its own.
var extras = [...]string{ //nolint:gochecknoglobals // a table
	`"maxResults":100`, `"nextToken":"AAEAAbFq7wUPl1k0pOAHTyz0iJ4m2ZQhP9kD3h2oVh6cQx5nCkw"`, `"includeDeleted":false`,
	`"filterSet":{"items":[{"name":"instance-state-name","valueSet":{"items":[{"value":"running"}]}}]}`, `"dryRun":false`,
	`"limit":50`, `"tags":[{"key":"team","value":"platform"},{"key":"stage","value":"production"}]`, `"versionId":"$LATEST"`,
	`"statuses":["ACTIVE","CREATING","UPDATING"]`, `"detailed":true`, `"clientToken":"terraform-20230911083000000000000001"`,
	`"pathPrefix":"/service-role/"`, `"startTime":"2025-01-01T00:00:00Z"`, `"sortOrder":"Descending"`, `"scope":"Local"`,
	`"attributeNames":["All"]`, `"description":"managed by the platform team, do not change by hand"`, `"pageSize":25`,
}

// appendRequest appends requestParameters: a name from the account's pool and, up to a
// length that is drawn, more.
func (r *renderer) appendRequest(b []byte, ev *event, act *action, s *stream) []byte {
	some, size := s.chance(0.885), s.lognormal(105, 0.55)
	about := r.resource(s)
	if act.service == "ssm" {
		if done, ok := r.appendSSMRequest(b, ev, about); ok {
			return done
		}
	}
	if !some && r.a.members[ev.who].kind != dataUser {
		return append(b, "null"...)
	}
	limit := len(b) + min(int(size), 4000)
	b = append(append(append(b, `{"`...), act.key...), `":"`...)
	b = appendName(b, act.service, about)
	b = append(b, '"')
	at := int(ev.action) * 7 % len(extras)
	if act.service == "s3" {
		b = append(append(append(b, `,"Host":"`...), "s3.amazonaws.com"...), '"')
		if r.a.members[ev.who].kind == dataUser {
			b = append(b, `,"key":"year=2025/month=01/part-`...)
			b = appendDigits(b, s, 5)
			b = append(b, `-c000.snappy.parquet"`...)
		}
	}
	for i := 0; i < len(extras) && len(b) < limit-12; i++ {
		b = append(append(b, ','), extras[(at+i)%len(extras)]...)
	}
	return append(b, '}')
}

// appendResponse appends responseElements.
func (r *renderer) appendResponse(b []byte, ev *event, act *action, s *stream, how outcome, region string) []byte {
	share := 0.015
	if !act.read {
		share = 0.47
	}
	some, size := s.chance(share), s.lognormal(250, 1)
	if rare := s.uniform(); r.a.cfg.RareLarge {
		switch {
		case rare < 1e-6:
			some, size = true, 258_000
		case rare < 1.1e-5:
			some, size = true, 5000+95_000*s.uniform()
		}
	}
	if how != succeeds {
		return append(b, "null"...)
	}
	if act.service == "ssm" {
		if done, ok := r.appendSSMResponse(b, ev, region); ok {
			return done
		}
	}
	if !some {
		return append(b, "null"...)
	}
	limit := len(b) + int(size)
	b = append(append(append(b, `{"`...), act.key...), `":"`...)
	b = appendName(b, act.service, r.resource(s))
	b = append(b, `","items":[`...)
	for n := 0; len(b) < limit-150; n++ {
		if n > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"id":"`...)
		b = appendName(b, act.service, r.resource(s))
		b = append(b, `","state":"available","ownerId":"`...)
		b = append(b, r.a.id...)
		b = append(b, `","attributes":{"encrypted":true,"tier":"standard"}}`...)
	}
	return append(b, `],"status":"ACTIVE","result":true}`...)
}

// appendTransfer appends what S3 adds: the random part is its request token.
func appendTransfer(b []byte, s *stream, data bool) []byte {
	b = append(b, `,"additionalEventData":{"SignatureVersion":"SigV4","CipherSuite":"ECDHE-RSA-AES128-GCM-SHA256","bytesTransferredIn":0,`+
		`"AuthenticationMethod":"AuthHeader","x-amz-id-2":"`...)
	b = appendText(b, s, 75, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
	b = append(b, `=","bytesTransferredOut":`...)
	n := 450 + s.below(8)
	if data {
		n = 1 << (8 + s.below(16))
	}
	return append(strconv.AppendInt(b, int64(n), 10), '}')
}

// appendResources appends resources for the services that fill it in.
func (r *renderer) appendResources(b []byte, act *action, s *stream, data bool) []byte {
	var kind, arn string
	switch act.service {
	case "s3":
		kind, arn = "AWS::S3::Bucket", "arn:aws:s3:::"
	case "kms":
		kind, arn = "AWS::KMS::Key", "arn:aws:kms:"
	case "ssm":
		kind, arn = "AWS::SSM::Parameter", "arn:aws:ssm:"
	default:
		return b
	}
	some, which := s.chance(0.6), r.resources[s.below(20)]
	if act.bare || !some && !data {
		return b
	}
	b = append(append(append(b, `,"resources":[{"accountId":"`...), r.a.id...), `","type":"`...)
	b = append(append(append(b, kind...), `","ARN":"`...), arn...)
	switch act.service {
	case "kms":
		b = append(append(append(append(b, r.a.regions[0]...), ':'), r.a.id...), ":key/"...)
	case "ssm":
		b = append(append(append(append(b, r.a.regions[0]...), ':'), r.a.id...), ":parameter/"...)
	}
	b = appendName(b, act.service, which)
	b = append(b, `"}`...)
	if data {
		b = append(b, `,{"type":"AWS::S3::Object","ARN":"arn:aws:s3:::`...)
		b = appendName(b, act.service, which)
		b = append(b, `/year=2025/month=01/"}`...)
	}
	return append(b, ']')
}

// appendName appends the name of a resource as a service has it.
func appendName(b []byte, service string, x uint64) []byte {
	switch service {
	case "ec2":
		return appendHex(append(b, "i-0"...), x, 16)
	case "kms":
		return appendUUID(b, [2]uint64{x, mix(x)})
	default:
		b = append(append(b, teams[x%uint64(len(teams))]...), '-')
		b = append(append(b, jobs[x>>8%uint64(len(jobs))]...), '-')
		return appendHex(b, x>>16, 8)
	}
}

func (r *renderer) appendTime(b []byte, t int64) []byte {
	return r.a.cfg.at(t).AppendFormat(b, time.RFC3339)
}

const hexDigits = "0123456789abcdef"

func appendHex(b []byte, x uint64, n int) []byte {
	for range n {
		b = append(b, hexDigits[x&15])
		x >>= 4
	}
	return b
}

// appendUUID appends 128 bits as a random UUID.
func appendUUID(b []byte, id [2]uint64) []byte {
	hi, lo := id[0]&^0xF000|0x4000, id[1]&^(3<<62)|1<<63
	n := len(b)
	b = append(b, "00000000-0000-0000-0000-000000000000"...)
	u := b[n:]
	for i := 35; i >= 0; i-- {
		if u[i] == '-' {
			continue
		}
		u[i] = hexDigits[lo&15]
		lo = lo>>4 | hi<<60
		hi >>= 4
	}
	return b
}

func appendText(b []byte, s *stream, n int, alphabet string) []byte {
	var x uint64
	for i := range n {
		if i%10 == 0 {
			x = s.next()
		}
		b = append(b, alphabet[x%uint64(len(alphabet))])
		x /= uint64(len(alphabet))
	}
	return b
}

func appendInt(b []byte, n int64) []byte { return strconv.AppendInt(b, n, 10) }
