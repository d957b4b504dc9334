package triage

import (
	"slices"
	"strconv"
	"strings"
)

// tampering is T14: was logging or protection switched off?
func tampering() *Step {
	return &Step{
		ID: "T14", Weight: 1,
		Question: "Was logging or protection switched off around the event?",
		Run:      runTampering,
	}
}

const maxTampering = 500

func runTampering(c *Case, a *Asking) {
	near := a.nearby()
	every := a.Events(all(is("aws.cloudtrail.recipient_account_id", c.Event.Owner), tamperingKQL()), c.Window, maxTampering)
	// What was done before more events than are read is near all the same.
	near = slices.Concat(near, keep(without(every, near), func(e *Event) bool {
		t := c.Tie(e)
		return t != TieOther && (t != TieAddress || !c.sharedAddress())
	}))
	slices.SortStableFunc(near, compareEvents)
	logs := c.logStore(a)
	deeds := tamperDeeds(logs)
	n := 0
	for i := range deeds {
		d := &deeds[i]
		own, failed := d.pick(c, near)
		if len(own) > 0 {
			n++
			a.Say(own, "%s. %s", c.deed(own), d.why)
			if d.key != "" {
				a.Find(d.key, own, "%s", c.fact(own))
			}
		}
		if len(failed) > 0 {
			n++
			a.failed(failed)
			if d.key != "" {
				a.Find("tried", failed, "%s, without success", c.fact(failed))
			}
		}
		others, _ := d.pick(c, without(every, near))
		if len(others) > 0 {
			n++
			a.Say(others, "%s. %s", c.deed(others), d.why)
			if d.key != "" {
				a.Find("other", others, "%s", c.fact(others))
			}
		}
	}
	if n == 0 {
		a.Say(nil, "No logging or protection was switched off in account %s from %s to %s.", c.Event.Owner, stamp(c.Window.From), stamp(c.Window.To))
	}
}

// logStore is where the trails of the account deliver, as far as events tell.
type logStore struct {
	buckets, keys, groups []string
	set                   []*Event // what set the trails up, in order of time
}

// logStore asks which buckets, keys and log groups the trails use. The sums tell since
// when there may be such events.
func (c *Case) logStore(a *Asking) (l logStore) {
	window, actions := c.Window, []string{"CreateTrail", "UpdateTrail"}
	for _, action := range actions {
		if seen := c.Baseline.Org.Actions["cloudtrail.amazonaws.com/"+action]; seen != nil {
			window.From = earlier(window.From, seen.First)
		}
	}
	if !c.Baseline.Complete {
		window.From = c.Base.From
	}
	a.Uses(c.Baseline.Query)
	list := a.Events(all(is("event.provider", "cloudtrail.amazonaws.com"), is("event.action", actions...),
		is("aws.cloudtrail.recipient_account_id", c.Event.Owner)), window, 50)
	for _, e := range list {
		if e.Error != "" {
			continue
		}
		l.set = append(l.set, e)
		l.buckets = append(append(l.buckets, e.Request("s3BucketName")...), e.Response("s3BucketName")...)
		l.keys = append(append(l.keys, e.Request("kmsKeyId")...), e.Response("kmsKeyId")...)
		l.groups = append(append(l.groups, e.Request("cloudWatchLogsLogGroupArn")...), e.Response("cloudWatchLogsLogGroupArn")...)
	}
	return l
}

// bucket reports whether a bucket holds logs: a trail was set up to deliver there, or it
// is called as AWS calls such buckets.
func (l *logStore) bucket(e *Event) bool {
	name := firstOf(e.Request("bucketName"))
	return slices.Contains(l.buckets, name) || strings.Contains(name, "cloudtrail") || strings.HasPrefix(name, "aws-controltower-logs-")
}

func (l *logStore) key(e *Event) bool {
	id := firstOf(e.Request("keyId"))
	return id != "" && slices.ContainsFunc(l.keys, func(k string) bool { return k == id || strings.HasSuffix(k, "/"+id) })
}

func (l *logStore) group(e *Event) bool {
	name := firstOf(e.Request("logGroupName"))
	return name != "" && slices.ContainsFunc(l.groups, func(g string) bool { return strings.Contains(g+":", ":log-group:"+name+":") })
}

func no(e *Event, path string) bool { return slices.Contains(e.Request(path), "false") }

// tamperDeeds are the deeds of T14. Those without a key are told and count nothing: they
// weaken protection, but often for good reasons.
func tamperDeeds(logs logStore) []deed {
	const key, organisation = "own", "organisation" // or "other", by who did it
	return []deed{
		{key, []string{"cloudtrail"}, []string{"StopLogging", "DeleteTrail", "DeleteEventDataStore", "StopEventDataStoreIngestion"}, "What follows is not logged there.", nil, true},
		{key, []string{"cloudtrail"}, []string{"UpdateTrail"}, "The trail logs less, or elsewhere.", logs.less, true},
		{key, []string{"cloudtrail"}, []string{"PutEventSelectors"}, "The trail no longer logs every management event.", lessEvents, true},
		{key, []string{"s3"}, []string{"DeleteBucket", "DeleteBucketPolicy", "PutBucketPolicy", "PutBucketLifecycle", "PutBucketLifecycleConfiguration", "PutBucketVersioning"}, "The bucket holds logs.", func(c *Case, e *Event) bool { return logs.bucket(e) && lessLogs(c, e) }, true},
		{key, []string{"kms"}, []string{"DisableKey", "ScheduleKeyDeletion"}, "The key encrypts the logs.", func(_ *Case, e *Event) bool { return logs.key(e) }, true},
		{key, []string{"logs"}, []string{"DeleteLogGroup", "DeleteLogStream", "PutRetentionPolicy"}, "The log group holds the trail.", func(_ *Case, e *Event) bool { return logs.group(e) }, true},
		{key, []string{"guardduty"}, []string{"DeleteDetector", "StopMonitoringMembers", "DisassociateMembers", "DeleteMembers", "DeletePublishingDestination"}, "GuardDuty no longer watches.", nil, true},
		{key, []string{"guardduty"}, []string{"UpdateDetector"}, "GuardDuty no longer watches.", func(_ *Case, e *Event) bool { return no(e, "enable") }, true},
		{key, nil, []string{"DisassociateFromAdministratorAccount", "DisassociateFromMasterAccount"}, "The security account no longer sees this one.", nil, true},
		{key, []string{"config"}, []string{"StopConfigurationRecorder", "DeleteConfigurationRecorder", "DeleteDeliveryChannel"}, "Changes are no longer recorded.", nil, true},
		{key, []string{"ec2"}, []string{"DeleteFlowLogs"}, "Network traffic is no longer logged.", nil, true},
		{key, []string{"events"}, []string{"DisableRule", "DeleteRule", "RemoveTargets"}, "Alarms may hang on the rule.", func(c *Case, e *Event) bool { return !c.usual(e) }, true},
		{key, []string{"guardduty"}, []string{"CreateFilter", "UpdateFilter"}, "GuardDuty archives what the filter matches.", func(_ *Case, e *Event) bool { return slices.Contains(e.Request("action"), "ARCHIVE") }, true},
		{key, []string{"guardduty"}, []string{"CreateIPSet", "UpdateIPSet"}, "GuardDuty trusts the addresses of the list.", nil, true},
		{key, []string{"route53resolver"}, []string{"DeleteResolverQueryLogConfig", "DisassociateResolverQueryLogConfig"}, "DNS queries are no longer logged.", nil, true},
		{key, []string{"securityhub"}, []string{"DisableSecurityHub", "BatchDisableStandards"}, "Findings are no longer gathered.", nil, true},
		{key, []string{"macie2", "detective", "access-analyzer", "inspector2"}, []string{"DisableMacie", "DeleteGraph", "DeleteAnalyzer", "Disable"}, "A protection of AWS is off.", nil, true},
		{organisation, []string{"organizations"}, []string{"LeaveOrganization", "RemoveAccountFromOrganization", "DetachPolicy", "DisablePolicyType", "DeletePolicy"}, "Limits of the organisation may no longer hold.", nil, true},

		{"", []string{"cloudtrail"}, []string{"UpdateTrail"}, "Whether the trail delivered to another bucket before is not known.", func(c *Case, e *Event) bool {
			return !logs.less(c, e) && len(e.Request("s3BucketName")) > 0 && len(logs.before(e, "s3BucketName")) == 0
		}, false},
		{"", []string{"events"}, []string{"DisableRule", "DeleteRule", "RemoveTargets"}, "This principal did so in the weeks before too.", func(c *Case, e *Event) bool { return c.usual(e) }, false},
		{"", []string{"kms"}, []string{"DisableKey", "ScheduleKeyDeletion"}, "What the key encrypts cannot be read any more.", func(_ *Case, e *Event) bool { return !logs.key(e) }, true},
		{"", []string{"logs"}, []string{"DeleteLogGroup", "DeleteLogStream"}, "Logs of an application or service are gone.", func(_ *Case, e *Event) bool { return !logs.group(e) }, true},
		{"", []string{"cloudwatch", "monitoring"}, []string{"DeleteAlarms", "DisableAlarmActions"}, "Alarms are silent.", nil, true},
		{"", []string{"wafv2", "waf", "waf-regional", "network-firewall"}, []string{"DeleteWebACL", "DisassociateWebACL", "DeleteLoggingConfiguration", "DeleteFirewall"}, "Traffic is filtered or logged less.", nil, true},
	}
}

// usual reports whether the alert's principal did an action in the baseline too.
func (c *Case) usual(e *Event) bool {
	return e.Principal == c.Event.Principal && c.Baseline.Own.Actions[whatDone(e)] != nil
}

// less reports whether a trail was changed to log less, or to another bucket. Tools set
// every property whenever they change one: what is as it was is no change.
func (l *logStore) less(c *Case, e *Event) bool {
	for _, flag := range [...]string{"isMultiRegionTrail", "includeGlobalServiceEvents", "enableLogFileValidation", "isOrganizationTrail"} {
		if no(e, flag) && !slices.Contains(l.before(e, flag), "false") {
			return true
		}
	}
	to := firstOf(e.Request("s3BucketName"))
	old := l.before(e, "s3BucketName")
	return to != "" && (c.bucket(e, to) == bucketForeign || len(old) > 0 && !slices.Contains(old, to))
}

// before returns what the last event before e set of a property of the same trail.
func (l *logStore) before(e *Event, property string) (last []string) {
	for _, x := range l.set {
		if v := x.Request(property); len(v) > 0 && compareEvents(x, e) < 0 && trailOf(x) == trailOf(e) {
			last = v
		}
	}
	return last
}

// trailOf is the name of a trail, of which some requests have the ARN.
func trailOf(e *Event) string {
	name := firstOf(e.Request("name"))
	return name[strings.LastIndexByte(name, '/')+1:]
}

// lessEvents reports whether selectors leave out management events, or those that write.
func lessEvents(_ *Case, e *Event) bool {
	if len(e.Request("advancedEventSelectors.fieldSelectors.field")) > 0 {
		list := e.Request("advancedEventSelectors.fieldSelectors.equals")
		return !slices.Contains(list, "Management") || len(e.Request("advancedEventSelectors.fieldSelectors.notEquals")) > 0 ||
			slices.Contains(e.Request("advancedEventSelectors.fieldSelectors.field"), "readOnly")
	}
	if no(e, "eventSelectors.includeManagementEvents") {
		return true
	}
	types := e.Request("eventSelectors.readWriteType")
	return len(types) > 0 && !slices.Contains(types, "All") && !slices.Contains(types, "WriteOnly")
}

// lessLogs reports whether a change of a bucket of logs costs logs.
func lessLogs(c *Case, e *Event) bool {
	switch e.Action {
	case "PutBucketPolicy":
		p, ok := policyOf(e.RequestTree("bucketPolicy"))
		return !ok || !p.serves("cloudtrail.amazonaws.com")
	case "PutBucketLifecycle", "PutBucketLifecycleConfiguration":
		return expiresWithin(e, c.Weights.Number("log_expiry_days"))
	case "PutBucketVersioning":
		return suspended(e)
	}
	return true
}

// expiresWithin reports whether a lifecycle deletes objects within so many days.
func expiresWithin(e *Event, days float64) bool {
	for _, name := range []string{"Expiration.Days", "NoncurrentVersionExpiration.NoncurrentDays"} {
		for _, v := range e.Request("LifecycleConfiguration.Rule." + name) {
			if n, err := strconv.ParseFloat(v, 64); err == nil && n <= days {
				return true
			}
		}
	}
	return false
}

func suspended(e *Event) bool {
	return slices.Contains(e.Request("VersioningConfiguration.Status"), "Suspended")
}

// tamperingKQL asks for every action of the deeds.
func tamperingKQL() string {
	var actions []string
	for _, d := range tamperDeeds(logStore{}) {
		actions = append(actions, d.actions...)
	}
	return is("event.action", actions...)
}
