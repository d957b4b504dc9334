package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/logging"
)

// connect makes the clients. The SDK repeats what fails a few times, with growing pauses;
// what lasts longer is the source's own affair.
func connect(ctx context.Context, o *Options) (bucket, queue, error) {
	client := awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		t.MaxIdleConnsPerHost = 128
		t.ResponseHeaderTimeout = 30 * time.Second
	})
	load := []func(*config.LoadOptions) error{
		config.WithHTTPClient(client),
		// Not adaptive: that slows down all requests for one that met a busy partition.
		config.WithRetryMode(aws.RetryModeStandard),
		config.WithRetryMaxAttempts(4),
		config.WithLogger(logging.Nop{}), // what matters is in the errors
	}
	if o.Region != "" {
		load = append(load, config.WithRegion(o.Region))
	}
	cfg, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return nil, nil, fmt.Errorf("read the SDK's configuration: %w", err)
	}
	var at queueAddress
	if o.QueueURL != "" {
		if at, err = parseQueue(o.QueueURL); err != nil {
			return nil, nil, err
		}
	}
	if cfg.Region == "" {
		if cfg.Region = at.region; cfg.Region == "" {
			return nil, nil, errors.New("no region: set region, or AWS_REGION in the environment")
		}
	}
	if o.RoleARN != "" {
		cfg.Credentials = aws.NewCredentialsCache(stscreds.NewAssumeRoleProvider(sts.NewFromConfig(cfg), o.RoleARN,
			func(r *stscreds.AssumeRoleOptions) {
				r.RoleSessionName = "debut"
				if o.ExternalID != "" {
					r.ExternalID = aws.String(o.ExternalID)
				}
			}))
	}
	b := &awsBucket{name: o.Bucket, places: placesOf(o), client: s3.NewFromConfig(cfg, func(so *s3.Options) {
		so.UsePathStyle = o.PathStyle
		so.DisableLogOutputChecksumValidationSkipped = true
		so.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired // gzip has its own
		if o.Endpoint != "" {
			so.BaseEndpoint = aws.String(o.Endpoint)
		}
	})}
	if o.QueueURL == "" {
		return b, nil, nil
	}
	visible := o.VisibilityTimeout
	if visible == 0 {
		visible = 5 * time.Minute
	}
	q := &awsQueue{url: o.QueueURL, visible: visible, places: placesOf(o), client: sqs.NewFromConfig(cfg, func(so *sqs.Options) {
		so.BaseEndpoint = aws.String(at.endpoint)
		if at.region != "" {
			so.Region = at.region
		}
	})}
	return b, q, nil
}

type awsBucket struct {
	name   string
	places places
	client *s3.Client
}

func (b *awsBucket) list(ctx context.Context, q listing) (page, error) {
	in := &s3.ListObjectsV2Input{Bucket: &b.name, Prefix: &q.prefix}
	if q.delimiter != "" {
		in.Delimiter = &q.delimiter
	}
	if q.token != "" {
		in.ContinuationToken = &q.token
	} else if q.after != "" {
		in.StartAfter = &q.after
	}
	out, err := b.client.ListObjectsV2(ctx, in)
	if err != nil {
		return page{}, b.explain("list", "s3:ListBucket", q.prefix, err)
	}
	p := page{objects: make([]info, len(out.Contents))}
	for i := range out.Contents {
		o := &out.Contents[i]
		p.objects[i] = info{
			key: aws.ToString(o.Key), etag: strings.Trim(aws.ToString(o.ETag), `"`),
			size: aws.ToInt64(o.Size), modified: aws.ToTime(o.LastModified),
		}
	}
	for i := range out.CommonPrefixes {
		p.folders = append(p.folders, aws.ToString(out.CommonPrefixes[i].Prefix))
	}
	if aws.ToBool(out.IsTruncated) {
		p.next = aws.ToString(out.NextContinuationToken)
	}
	return p, nil
}

func (b *awsBucket) head(ctx context.Context, key string) (info, error) {
	out, err := b.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &b.name, Key: &key})
	if err != nil {
		return info{}, b.explain("look up", "s3:GetObject", key, err)
	}
	return info{
		key: key, etag: strings.Trim(aws.ToString(out.ETag), `"`), size: aws.ToInt64(out.ContentLength),
		modified: aws.ToTime(out.LastModified),
	}, nil
}

func (b *awsBucket) get(ctx context.Context, key, etag string, offset int64) (io.ReadCloser, info, error) {
	in := &s3.GetObjectInput{Bucket: &b.name, Key: &key}
	if etag != "" {
		in.IfMatch = aws.String(`"` + etag + `"`)
	}
	if offset > 0 {
		in.Range = aws.String("bytes=" + strconv.FormatInt(offset, 10) + "-")
	}
	out, err := b.client.GetObject(ctx, in)
	if err != nil {
		return nil, info{}, b.explain("read", "s3:GetObject", key, err)
	}
	i := info{
		key: key, etag: strings.Trim(aws.ToString(out.ETag), `"`), size: -1, modified: aws.ToTime(out.LastModified),
		signature: out.Metadata["signature"],
	}
	if out.ContentLength != nil {
		i.size = *out.ContentLength
	}
	return out.Body, i, nil
}

// explain says what an error of S3 means and what to do.
func (b *awsBucket) explain(op, action, key string, err error) error {
	code, status, header := details(err)
	wrap := func(why error, hint string) error {
		return fmt.Errorf("%s s3://%s/%s: %w%s", op, b.name, key, why, hint)
	}
	if why, ok := b.places.identity(err); ok {
		return wrap(why, "")
	}
	switch {
	case code == "NoSuchBucket":
		return wrap(errors.New("there is no such bucket"), "; check its name, and the endpoint")
	case code == "NoSuchKey", status == http.StatusNotFound:
		return wrap(errGone, "")
	case status == http.StatusPreconditionFailed:
		return wrap(errChanged, "")
	case code == "InvalidObjectState":
		return wrap(errArchive, "")
	case code == "InvalidAccessKeyId", code == "SignatureDoesNotMatch", code == "ExpiredToken", code == "InvalidToken",
		code == "RequestTimeTooSkewed":
		return wrap(errDenied, ": the credentials are not accepted ("+code+")")
	case code == "AccessDenied", status == http.StatusForbidden:
		if strings.Contains(err.Error(), "kms:Decrypt") || strings.Contains(code, "KMS") {
			return wrap(errDenied, ": the object is encrypted; allow kms:Decrypt on the trail's key, in the role's policy and in the key's")
		}
		return wrap(errDenied, b.places.hint(action))
	case status == http.StatusMovedPermanently, code == "AuthorizationHeaderMalformed", code == "PermanentRedirect":
		where := "another region"
		if r := header.Get("X-Amz-Bucket-Region"); r != "" {
			where = "region " + r
		}
		return wrap(fmt.Errorf("the bucket is in %s", where), ": set region accordingly")
	}
	return wrap(err, "")
}

// details takes an error of the SDK apart.
func details(err error) (code string, status int, header http.Header) {
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		code = e.ErrorCode()
	}
	if e, ok := errors.AsType[*awshttp.ResponseError](err); ok && e.Response != nil && e.Response.Response != nil {
		status, header = e.HTTPStatusCode(), e.Response.Header
	}
	return code, status, header
}

type awsQueue struct {
	url     string
	visible time.Duration
	places  places
	client  *sqs.Client
}

const longPoll = 20 // seconds, the most that SQS waits

func (q *awsQueue) receive(ctx context.Context) ([]message, error) {
	out, err := q.client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
		QueueUrl: &q.url, MaxNumberOfMessages: batchSize, WaitTimeSeconds: longPoll, VisibilityTimeout: seconds(q.visible),
		MessageSystemAttributeNames: []sqstypes.MessageSystemAttributeName{
			sqstypes.MessageSystemAttributeNameApproximateReceiveCount, sqstypes.MessageSystemAttributeNameSentTimestamp,
		},
	})
	if err != nil {
		return nil, q.explain("receive from", err)
	}
	list := make([]message, len(out.Messages))
	for i := range out.Messages {
		m := &out.Messages[i]
		list[i] = message{id: aws.ToString(m.MessageId), receipt: aws.ToString(m.ReceiptHandle), body: aws.ToString(m.Body)}
		list[i].receives, _ = strconv.Atoi(m.Attributes["ApproximateReceiveCount"])
		if ms, err := strconv.ParseInt(m.Attributes["SentTimestamp"], 10, 64); err == nil {
			list[i].sent = time.UnixMilli(ms).UTC()
		}
	}
	return list, nil
}

func (q *awsQueue) remove(ctx context.Context, receipts []string) error {
	in := &sqs.DeleteMessageBatchInput{QueueUrl: &q.url}
	for i := range receipts {
		in.Entries = append(in.Entries, sqstypes.DeleteMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), ReceiptHandle: &receipts[i]})
	}
	out, err := q.client.DeleteMessageBatch(ctx, in)
	if err != nil {
		return q.explain("delete from", err)
	}
	return q.partly("delete from", out.Failed)
}

func (q *awsQueue) extend(ctx context.Context, receipts []string, d time.Duration) error {
	in := &sqs.ChangeMessageVisibilityBatchInput{QueueUrl: &q.url}
	for i := range receipts {
		in.Entries = append(in.Entries, sqstypes.ChangeMessageVisibilityBatchRequestEntry{
			Id: aws.String(strconv.Itoa(i)), ReceiptHandle: &receipts[i], VisibilityTimeout: seconds(d),
		})
	}
	out, err := q.client.ChangeMessageVisibilityBatch(ctx, in)
	if err != nil {
		return q.explain("keep messages of", err)
	}
	return q.partly("keep messages of", out.Failed)
}

func (q *awsQueue) partly(op string, failed []sqstypes.BatchResultErrorEntry) error {
	if len(failed) == 0 {
		return nil
	}
	return fmt.Errorf("%s %s: %d messages: %s: %s", op, q.url, len(failed), aws.ToString(failed[0].Code), aws.ToString(failed[0].Message))
}

func (q *awsQueue) explain(op string, err error) error {
	if why, ok := q.places.identity(err); ok {
		return fmt.Errorf("%s %s: %w", op, q.url, why)
	}
	code, status, _ := details(err)
	switch {
	case strings.Contains(code, "NonExistentQueue"), code == "QueueDoesNotExist":
		return fmt.Errorf("%s %s: there is no such queue; check its URL and region", op, q.url)
	case strings.Contains(code, "AccessDenied"), status == http.StatusForbidden:
		return fmt.Errorf("%s %s: %w%s", op, q.url, errDenied, q.places.hint("sqs:ReceiveMessage"))
	}
	return fmt.Errorf("%s %s: %w", op, q.url, err)
}

func seconds(d time.Duration) int32 { return int32(min(d, maxVisibility) / time.Second) }

// A queueAddress is what the URL of a queue tells.
type queueAddress struct {
	endpoint, region, account, name string
}

// parseQueue reads https://sqs.REGION.amazonaws.com/ACCOUNT/NAME, of another server
// with another host.
func parseQueue(s string) (queueAddress, error) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return queueAddress{}, fmt.Errorf("queue_url %q: it must look like https://sqs.eu-west-1.amazonaws.com/111122223333/name", s)
	}
	parts := strings.Split(strings.Trim(u.Path, "/"), "/")
	if len(parts) < 2 || parts[0] == "" || parts[len(parts)-1] == "" {
		return queueAddress{}, fmt.Errorf("queue_url %q: account and name of the queue are missing at its end", s)
	}
	at := queueAddress{endpoint: u.Scheme + "://" + u.Host, account: parts[len(parts)-2], name: parts[len(parts)-1]}
	if host := strings.Split(u.Hostname(), "."); len(host) > 3 && host[0] == "sqs" && host[2] == "amazonaws" {
		at.region = host[1]
	}
	return at, nil
}

// places are what a policy names.
type places struct {
	partition, bucket, queue, role string
	prefixes                       []string
}

func placesOf(o *Options) places {
	p := places{partition: "aws", bucket: o.Bucket, prefixes: o.Prefixes, role: o.RoleARN}
	at, err := parseQueue(o.QueueURL)
	region := at.region
	if region == "" {
		region = o.Region
	}
	switch {
	case strings.HasPrefix(region, "cn-"):
		p.partition = "aws-cn"
	case strings.HasPrefix(region, "us-gov-"):
		p.partition = "aws-us-gov"
	}
	if err == nil {
		p.queue = "arn:" + p.partition + ":sqs:" + region + ":" + at.account + ":" + at.name
	}
	return p
}

// identity explains that a request was not made at all, for want of credentials.
func (p places) identity(err error) (error, bool) {
	text := err.Error()
	switch {
	case strings.Contains(text, "operation error STS: AssumeRole"):
		code, _, _ := details(err)
		return fmt.Errorf("assume role %s: %w (%s): the credentials need sts:AssumeRole on it, and its trust policy must let them in and ask for no other external_id",
			p.role, errDenied, code), true
	case strings.Contains(text, "get credentials"):
		return fmt.Errorf("no credentials: set them in the environment (AWS_ACCESS_KEY_ID, AWS_PROFILE) or give the machine a role: %w", err), true
	}
	return nil, false
}

// hint is the statement that a policy lacks.
func (p places) hint(action string) string {
	resource := "arn:" + p.partition + ":s3:::" + p.bucket
	actions := `"` + action + `"`
	switch action {
	case "s3:GetObject":
		prefix := ""
		if len(p.prefixes) == 1 {
			prefix = p.prefixes[0]
		}
		resource += "/" + prefix + "*"
	case "sqs:ReceiveMessage":
		actions = `["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"]`
		resource = p.queue
	}
	return `: the policy of the role lacks {"Effect": "Allow", "Action": ` + actions + `, "Resource": "` + resource + `"}`
}
