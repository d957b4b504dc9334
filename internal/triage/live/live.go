package live

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/logging"

	"github.com/debutsec/debut/internal/triage"
)

// Options say how AWS is reached.
type Options struct {
	// Region is that of the event.
	Region string
	// RoleARN is assumed first, if given: a role that may only read (see [Policy]).
	RoleARN, ExternalID string
	// Endpoint replaces AWS's own, for tests and private endpoints.
	Endpoint string
	// Now stamps the answers.
	Now func() time.Time
	// Timeout bounds everything that one question takes; 0: 20 seconds.
	Timeout time.Duration
}

// An Asker asks one region of one account. It is safe for concurrent use.
type Asker struct {
	opt Options
	ssm *ssm.Client
	ec2 *ec2.Client
}

const (
	usualTimeout = 20 * time.Second
	// maxNodes is how many nodes of a command are asked about one by one.
	maxNodes = 20
	maxPages = 10
	// maxText is how much of an output or of a document is kept.
	maxText = 64 << 10
	// maxWindows is how many maintenance windows are looked into.
	maxWindows = 20
)

// New finds credentials as the AWS SDK does. It sends nothing yet.
func New(ctx context.Context, o Options) (*Asker, error) {
	if o.Region == "" {
		return nil, errors.New("the region to ask is not known")
	}
	if o.Timeout <= 0 {
		o.Timeout = usualTimeout
	}
	cfg, err := config.LoadDefaultConfig(ctx,
		config.WithRegion(o.Region), config.WithRetryMode(aws.RetryModeStandard), config.WithRetryMaxAttempts(3), config.WithLogger(logging.Nop{}),
		config.WithHTTPClient(awshttp.NewBuildableClient().WithTimeout(o.Timeout)),
	)
	if err != nil {
		return nil, fmt.Errorf("find the settings of AWS: %w", err)
	}
	if o.Endpoint != "" {
		cfg.BaseEndpoint = aws.String(o.Endpoint)
	}
	if o.RoleARN != "" {
		cfg.Credentials = aws.NewCredentialsCache(stscreds.NewAssumeRoleProvider(sts.NewFromConfig(cfg), o.RoleARN, func(r *stscreds.AssumeRoleOptions) {
			r.RoleSessionName = "debut-triage"
			if o.ExternalID != "" {
				r.ExternalID = aws.String(o.ExternalID)
			}
		}))
	}
	return &Asker{opt: o, ssm: ssm.NewFromConfig(cfg), ec2: ec2.NewFromConfig(cfg)}, nil
}

// A Question is what a case is about; what is empty is not asked.
type Question struct {
	CommandID string
	Document  string
	Instances []string
	Time      time.Time // of the event: for executions of maintenance windows
}

// Ask asks everything that belongs to a question. It always answers: what could not be
// read says why, and one refusal does not keep it from asking the rest.
func (a *Asker) Ask(ctx context.Context, q Question) *triage.Live {
	ctx, cancel := context.WithTimeout(ctx, a.opt.Timeout)
	defer cancel()
	out := new(triage.Live)
	if q.CommandID != "" {
		out.Commands = look(a, "ssm:ListCommands", func() ([]triage.LiveCommand, error) { return a.commands(ctx, q.CommandID) })
		out.Invocations = a.invocations(ctx, q.CommandID)
	}
	nodes := slices.Clone(q.Instances)
	for _, c := range out.Commands.Value {
		nodes = append(nodes, c.Instances...)
	}
	for _, v := range out.Invocations.Value {
		nodes = append(nodes, v.Instance)
	}
	slices.Sort(nodes)
	nodes = slices.DeleteFunc(slices.Compact(nodes), func(s string) bool { return s == "" || s == "*" })
	if q.Document != "" {
		out.Document = a.document(ctx, q.Document)
	}
	if len(nodes) > 0 {
		out.Instances = a.instances(ctx, nodes)
		out.Associations = look(a, "ssm:DescribeEffectiveInstanceAssociations", func() ([]triage.LiveAssociation, error) { return a.associations(ctx, nodes) })
	}
	if !q.Time.IsZero() && q.CommandID != "" {
		out.Executions = look(a, "ssm:DescribeMaintenanceWindowExecutions", func() ([]triage.LiveExecution, error) { return a.executions(ctx, q.Time) })
	}
	return out
}

// look stamps one question.
func look[T any](a *Asker, call string, ask func() (T, error)) triage.Looked[T] {
	v, err := ask()
	return triage.Looked[T]{OK: err == nil, Value: v, Looks: []triage.Look{a.stamp(call, err)}}
}

func (a *Asker) stamp(call string, err error) triage.Look {
	l := triage.Look{Call: call, Time: a.opt.Now().UTC(), Region: a.opt.Region}
	if err == nil {
		return l
	}
	// One question may take several calls: the one that failed is named.
	if op, ok := errors.AsType[*smithy.OperationError](err); ok {
		l.Call = strings.ToLower(op.ServiceID) + ":" + op.OperationName
	}
	l.Error = reason(err)
	if api, ok := errors.AsType[smithy.APIError](err); ok && (strings.Contains(api.ErrorCode(), "AccessDenied") || strings.Contains(api.ErrorCode(), "UnauthorizedOperation")) {
		l.Policy = string(PolicyFor(l.Call))
	}
	return l
}

// reason is an error in one line, without the SDK's chain of causes.
func reason(err error) string {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return strings.TrimSuffix(api.ErrorCode()+": "+api.ErrorMessage(), ": ")
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "AWS did not answer in time"
	}
	if op, ok := errors.AsType[*smithy.OperationError](err); ok {
		err = op.Err
	}
	return err.Error()
}

var errAged = errors.New("AWS does not know the command: it keeps commands for 30 days, so this one has aged out or was sent elsewhere")

func (a *Asker) commands(ctx context.Context, id string) (list []triage.LiveCommand, err error) {
	out, err := a.ssm.ListCommands(ctx, &ssm.ListCommandsInput{CommandId: &id})
	if err != nil {
		return nil, err //nolint:wrapcheck // stamp does
	}
	for i := range out.Commands {
		c := &out.Commands[i]
		list = append(list, triage.LiveCommand{
			ID: aws.ToString(c.CommandId), Document: aws.ToString(c.DocumentName), Version: aws.ToString(c.DocumentVersion),
			Comment: aws.ToString(c.Comment), Parameters: c.Parameters, Status: string(c.Status), Targets: int(c.TargetCount),
			Requested: aws.ToTime(c.RequestedDateTime).UTC(), Instances: c.InstanceIds, OutputBucket: aws.ToString(c.OutputS3BucketName),
			ServiceRole: aws.ToString(c.ServiceRole),
		})
	}
	if len(list) == 0 {
		return nil, errAged
	}
	return list, nil
}

func (a *Asker) invocations(ctx context.Context, id string) triage.Looked[[]triage.LiveInvocation] {
	out := look(a, "ssm:ListCommandInvocations", func() (list []triage.LiveInvocation, err error) {
		pages := ssm.NewListCommandInvocationsPaginator(a.ssm, &ssm.ListCommandInvocationsInput{CommandId: &id})
		for n := 0; pages.HasMorePages() && n < maxPages; n++ {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return nil, err //nolint:wrapcheck // stamp does
			}
			for i := range page.CommandInvocations {
				v := &page.CommandInvocations[i]
				list = append(list, triage.LiveInvocation{Instance: aws.ToString(v.InstanceId), Status: string(v.Status)})
			}
		}
		if len(list) == 0 {
			return nil, errAged
		}
		return list, nil
	})
	for i := range out.Value[:min(len(out.Value), maxNodes)] {
		v := &out.Value[i]
		got, err := a.ssm.GetCommandInvocation(ctx, &ssm.GetCommandInvocationInput{CommandId: &id, InstanceId: &v.Instance})
		if i == 0 || err != nil {
			out.Looks = append(out.Looks, a.stamp("ssm:GetCommandInvocation", err))
		}
		if err != nil {
			break
		}
		v.ResponseCode = int(got.ResponseCode)
		v.Output, v.ErrorOutput = short(aws.ToString(got.StandardOutputContent)), short(aws.ToString(got.StandardErrorContent))
	}
	return out
}

func short(s string) string { return strings.ToValidUTF8(s[:min(len(s), maxText)], "\uFFFD") }

func (a *Asker) document(ctx context.Context, name string) triage.Looked[triage.LiveDocument] {
	out := look(a, "ssm:DescribeDocument", func() (d triage.LiveDocument, err error) {
		got, err := a.ssm.DescribeDocument(ctx, &ssm.DescribeDocumentInput{Name: &name})
		if err != nil {
			return d, err //nolint:wrapcheck // stamp does
		}
		x := got.Document
		return triage.LiveDocument{
			Name: aws.ToString(x.Name), Owner: aws.ToString(x.Owner), Status: string(x.Status), Hash: aws.ToString(x.Hash), HashType: string(x.HashType),
			DefaultVersion: aws.ToString(x.DefaultVersion), LatestVersion: aws.ToString(x.LatestVersion), Created: aws.ToTime(x.CreatedDate).UTC(),
		}, nil
	})
	if !out.OK || out.Value.Owner == "Amazon" {
		return out
	}
	shared, err := a.ssm.DescribeDocumentPermission(ctx, &ssm.DescribeDocumentPermissionInput{Name: &name, PermissionType: types.DocumentPermissionTypeShare})
	out.Looks = append(out.Looks, a.stamp("ssm:DescribeDocumentPermission", err))
	if err == nil {
		out.Value.SharedWith = shared.AccountIds
	}
	content, err := a.ssm.GetDocument(ctx, &ssm.GetDocumentInput{Name: &name})
	out.Looks = append(out.Looks, a.stamp("ssm:GetDocument", err))
	if err == nil {
		out.Value.Content = short(aws.ToString(content.Content))
	}
	return out
}

func (a *Asker) instances(ctx context.Context, nodes []string) triage.Looked[[]triage.LiveInstance] {
	some := nodes[:min(len(nodes), maxNodes)]
	out := look(a, "ssm:DescribeInstanceInformation", func() (list []triage.LiveInstance, err error) {
		got, err := a.ssm.DescribeInstanceInformation(ctx, &ssm.DescribeInstanceInformationInput{
			Filters: []types.InstanceInformationStringFilter{{Key: aws.String("InstanceIds"), Values: some}},
		})
		if err != nil {
			return nil, err //nolint:wrapcheck // stamp does
		}
		for i := range got.InstanceInformationList {
			v := &got.InstanceInformationList[i]
			list = append(list, triage.LiveInstance{
				ID: aws.ToString(v.InstanceId), Name: aws.ToString(v.ComputerName), Platform: aws.ToString(v.PlatformName),
				PrivateIP: aws.ToString(v.IPAddress), Online: v.PingStatus == types.PingStatusOnline,
			})
		}
		return list, nil
	})
	machines := slices.DeleteFunc(slices.Clone(some), func(s string) bool { return !strings.HasPrefix(s, "i-") })
	if len(machines) == 0 {
		return out
	}
	got, err := a.ec2.DescribeInstances(ctx, &ec2.DescribeInstancesInput{InstanceIds: machines})
	out.Looks = append(out.Looks, a.stamp("ec2:DescribeInstances", err))
	if err != nil {
		return out
	}
	out.OK = true
	for _, r := range got.Reservations {
		for k := range r.Instances {
			v := &r.Instances[k]
			i := slices.IndexFunc(out.Value, func(x triage.LiveInstance) bool { return x.ID == aws.ToString(v.InstanceId) })
			if i < 0 {
				i = len(out.Value)
				out.Value = append(out.Value, triage.LiveInstance{ID: aws.ToString(v.InstanceId)})
			}
			x := &out.Value[i]
			x.Launched, x.PublicIP, x.Tags = aws.ToTime(v.LaunchTime).UTC(), aws.ToString(v.PublicIpAddress), map[string]string{}
			if x.PrivateIP == "" {
				x.PrivateIP = aws.ToString(v.PrivateIpAddress)
			}
			if v.IamInstanceProfile != nil {
				x.Profile = aws.ToString(v.IamInstanceProfile.Arn)
			}
			for _, t := range v.Tags {
				x.Tags[aws.ToString(t.Key)] = aws.ToString(t.Value)
			}
		}
	}
	slices.SortFunc(out.Value, func(a, b triage.LiveInstance) int { return strings.Compare(a.ID, b.ID) })
	return out
}

func (a *Asker) associations(ctx context.Context, nodes []string) (list []triage.LiveAssociation, err error) {
	for _, id := range nodes[:min(len(nodes), maxNodes)] {
		got, err := a.ssm.DescribeEffectiveInstanceAssociations(ctx, &ssm.DescribeEffectiveInstanceAssociationsInput{InstanceId: &id})
		if err != nil {
			return nil, err //nolint:wrapcheck // stamp does
		}
		for _, v := range got.Associations {
			x := triage.LiveAssociation{ID: aws.ToString(v.AssociationId), Instance: id, Version: aws.ToString(v.AssociationVersion)}
			// The name is in the content, which is the document's: the association tells it.
			one, err := a.ssm.DescribeAssociation(ctx, &ssm.DescribeAssociationInput{AssociationId: v.AssociationId})
			if err != nil {
				return nil, err //nolint:wrapcheck // stamp does
			}
			if one.AssociationDescription != nil {
				x.Document = aws.ToString(one.AssociationDescription.Name)
			}
			list = append(list, x)
		}
	}
	return list, nil
}

// executions returns the runs of maintenance windows that were under way at t.
func (a *Asker) executions(ctx context.Context, t time.Time) (list []triage.LiveExecution, err error) {
	windows, err := a.ssm.DescribeMaintenanceWindows(ctx, &ssm.DescribeMaintenanceWindowsInput{})
	if err != nil {
		return nil, err //nolint:wrapcheck // stamp does
	}
	for _, w := range windows.WindowIdentities[:min(len(windows.WindowIdentities), maxWindows)] {
		got, err := a.ssm.DescribeMaintenanceWindowExecutions(ctx, &ssm.DescribeMaintenanceWindowExecutionsInput{
			WindowId: w.WindowId,
			Filters: []types.MaintenanceWindowFilter{
				{Key: aws.String("ExecutedBefore"), Values: []string{t.UTC().Format(time.RFC3339)}},
				{Key: aws.String("ExecutedAfter"), Values: []string{t.Add(-24 * time.Hour).UTC().Format(time.RFC3339)}},
			},
		})
		if err != nil {
			return nil, err //nolint:wrapcheck // stamp does
		}
		for i := range got.WindowExecutions {
			v := &got.WindowExecutions[i]
			if end := aws.ToTime(v.EndTime); v.StartTime == nil || v.StartTime.After(t) || !end.IsZero() && end.Before(t.Add(-time.Minute)) {
				continue
			}
			tasks, err := a.ssm.DescribeMaintenanceWindowExecutionTasks(ctx, &ssm.DescribeMaintenanceWindowExecutionTasksInput{WindowExecutionId: v.WindowExecutionId})
			if err != nil {
				return nil, err //nolint:wrapcheck // stamp does
			}
			x := triage.LiveExecution{
				Window: aws.ToString(w.Name), ID: aws.ToString(v.WindowExecutionId), Status: string(v.Status),
				Start: aws.ToTime(v.StartTime).UTC(), End: aws.ToTime(v.EndTime).UTC(),
			}
			for k := range tasks.WindowExecutionTaskIdentities {
				x.Document = aws.ToString(tasks.WindowExecutionTaskIdentities[k].TaskArn)
			}
			list = append(list, x)
		}
	}
	return list, nil
}
