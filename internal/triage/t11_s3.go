package triage

import (
	"slices"
	"strconv"
	"strings"
)

// objects is T11: what was done to objects and buckets?
func objects() *Step {
	return &Step{
		ID: "T11", Weight: 1,
		Question: "Were objects read, moved or destroyed, or buckets opened, around the event?",
		Run:      runObjects,
	}
}

func runObjects(c *Case, a *Asking) {
	near := keep(a.nearby(), func(e *Event) bool { return e.Service() == "s3" })
	visible := a.objectsVisible(near)
	n := a.tell(bucketDeeds(c), near)
	n += a.objectsRead(near)
	n += a.objectsDeleted(near)
	n += a.bucketSweep(near)
	if n == 0 {
		what := "Nothing that matters was done to buckets or objects"
		if !visible {
			what = "Nothing that matters was done to buckets"
		}
		a.nothing(what)
		if !visible {
			a.Unanswered()
		}
	}
}

var (
	readObjects  = []string{"GetObject", "SelectObjectContent", "GetObjectTorrent"}                                                        //nolint:gochecknoglobals // a constant table
	writeObjects = []string{"PutObject", "CopyObject", "UploadPart", "UploadPartCopy", "CreateMultipartUpload", "CompleteMultipartUpload"} //nolint:gochecknoglobals // a constant table
	dropObjects  = []string{"DeleteObject", "DeleteObjects"}                                                                               //nolint:gochecknoglobals // a constant table
)

// objectsVisible reports whether data events of S3 are logged in the account: some are
// in the case window, or were in the baseline. Otherwise it says what cannot be seen.
func (a *Asking) objectsVisible(near []*Event) bool {
	c := a.c
	actions := slices.Concat(readObjects, writeObjects, dropObjects, []string{"HeadObject", "ListObjects", "ListObjectVersions"})
	if slices.ContainsFunc(near, func(e *Event) bool { return slices.Contains(actions, e.Action) }) {
		return true
	}
	if len(a.Events(all(is("aws.cloudtrail.recipient_account_id", c.Event.Owner), is("event.provider", "s3.amazonaws.com"), is("event.action", actions...)), c.Window, 1)) > 0 {
		return true
	}
	a.Uses(c.Baseline.Query)
	for _, action := range actions {
		if c.Baseline.Org.Actions["s3.amazonaws.com/"+action] != nil {
			a.Say(nil, "No access to objects is stored for account %s in the case window, though some was in the weeks before.", c.Event.Owner)
			return true
		}
	}
	a.Say(nil, "Object access not visible: no data event of S3 is stored for account %s.", c.Event.Owner)
	a.Unknown("whether objects in S3 were read, written or deleted", "Log data events of S3 in a trail of account "+c.Event.Owner+".")
	return false
}

// bucketDeeds are the deeds of T11 that one event tells.
func bucketDeeds(c *Case) []deed {
	s3, control := []string{"s3"}, []string{"s3", "s3-control"}
	whose := func(w int) func(*Case, *Event) bool {
		return func(c *Case, e *Event) bool { return c.bucket(e, firstOf(e.Request("bucketName"))) == w }
	}
	lifecycle := []string{"PutBucketLifecycle", "PutBucketLifecycleConfiguration"}
	return []deed{
		{"foreign-write", s3, writeObjects, "The bucket is not the organisation's.", whose(bucketForeign), true},
		{"", s3, writeObjects, "It is not known whose the bucket is.", whose(bucketUnknown), false},
		{"opened", s3, []string{"PutBucketPolicy"}, "The policy lets in whoever is outside the organisation.", func(c *Case, e *Event) bool {
			p, _ := policyOf(e.RequestTree("bucketPolicy"))
			return len(c.outsiders(p)) > 0
		}, true},
		{"", s3, []string{"PutBucketPolicy"}, "The record does not have the policy.", func(_ *Case, e *Event) bool {
			_, ok := policyOf(e.RequestTree("bucketPolicy"))
			return !ok
		}, true},
		{"opened", s3, []string{"PutBucketAcl"}, "The access list lets others in.", opensList, true},
		{"opened", s3, []string{"DeleteBucketPolicy"}, "What the policy denied is no longer denied.", nil, true},
		{"opened", control, []string{"PutBucketPublicAccessBlock", "PutAccountPublicAccessBlock", "PutPublicAccessBlock"}, "Public access is no longer blocked.", unblocks, true},
		{"opened", control, []string{"DeleteBucketPublicAccessBlock", "DeleteAccountPublicAccessBlock", "DeletePublicAccessBlock"}, "Public access is no longer blocked.", nil, true},
		{"replication", s3, []string{"PutBucketReplication"}, "What is written from now on is copied out of the organisation.", replicates(bucketForeign), true},
		{"", s3, []string{"PutBucketReplication"}, "Whose the bucket is that it is copied to is not known.", replicates(bucketUnknown), true},
		{"destruction", s3, []string{"PutBucketVersioning"}, "What is deleted from now on is lost.", func(_ *Case, e *Event) bool { return suspended(e) }, true},
		{"destruction", s3, lifecycle, "Objects are deleted within days.", func(_ *Case, e *Event) bool { return expiresWithin(e, c.Weights.Number("s3_expiry_days")) }, true},
		{"destruction", s3, writeObjects, "Objects were encrypted with a key that only the caller has.", callersKey, true},
		{"", s3, []string{"DeleteBucket"}, "What was in the bucket is gone.", nil, true},
	}
}

// opensList reports whether an access list gives something to everybody, or to others
// than the owner.
func opensList(_ *Case, e *Event) bool {
	canned := slices.Concat(e.Request("x-amz-acl"), e.Request("accessControlList.x-amz-acl"))
	if slices.ContainsFunc(canned, func(s string) bool { return strings.HasPrefix(s, "public-") || s == "authenticated-read" }) {
		return true
	}
	uris := textsOf(e.RequestTree("AccessControlPolicy"))
	return slices.ContainsFunc(uris, func(s string) bool {
		return strings.HasSuffix(s, "/global/AllUsers") || strings.HasSuffix(s, "/global/AuthenticatedUsers")
	})
}

func unblocks(_ *Case, e *Event) bool {
	for _, name := range []string{"BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"} {
		if no(e, "PublicAccessBlockConfiguration."+name) {
			return true
		}
	}
	return false
}

// replicates judges the buckets that a replication copies to, by the account that the
// configuration names or by the bucket.
func replicates(whose int) func(*Case, *Event) bool {
	return func(c *Case, e *Event) bool {
		const to = "ReplicationConfiguration.Rule.Destination."
		accounts := e.Request(to + "Account")
		if slices.ContainsFunc(accounts, func(s string) bool { return !c.Ours(s) }) {
			return whose == bucketForeign
		}
		got := bucketUnknown
		if len(accounts) > 0 {
			got = bucketOurs
		}
		for _, arn := range e.Request(to + "Bucket") {
			name := arn[strings.LastIndexByte(arn, ':')+1:]
			if b := c.bucket(e, name); b == bucketForeign || got != bucketForeign && b == bucketOurs {
				got = b
			}
		}
		return got == whose
	}
}

// callersKey reports whether an object was encrypted with a key of the caller's (SSE-C).
func callersKey(_ *Case, e *Event) bool {
	return len(e.Request("x-amz-server-side-encryption-customer-algorithm")) > 0 ||
		slices.Contains(e.Values("aws.cloudtrail.flattened.additional_eventdata.SSEApplied"), "SSE_C")
}

// objectsRead says how much was read, and from which buckets the principal had not read
// before.
func (a *Asking) objectsRead(near []*Event) (n int) {
	c := a.c
	read := keep(c.byPrincipal(near), func(e *Event) bool { return slices.Contains(readObjects, e.Action) })
	done, failed := split(read)
	if len(failed) > 0 {
		n++
		a.failed(failed)
	}
	if len(done) == 0 {
		return n
	}
	buckets := parametersOf(done, "bucketName")
	old := a.before(c.Event.Principal, all(is("event.provider", "s3.amazonaws.com"), is("event.action", readObjects...)), []string{"bucketName"}, buckets)
	fresh := keep(done, func(e *Event) bool { return !old[firstOf(e.Request("bucketName"))] })
	bytes := 0.0
	for _, e := range fresh {
		bytes += bytesOut(e)
	}
	what := amount(len(fresh), "read")
	if bytes > 0 {
		what += " of " + size(bytes) + " together"
	}
	if len(fresh) == 0 {
		a.Say(done, "%s. The principal had read from %s before.", c.deed(done), oneOrMany(len(buckets), "this bucket", "all these buckets"))
	} else {
		a.Say(done, "%s. From %s that this principal had not read in the history that is stored: %s.",
			c.deed(done), amount(len(parametersOf(fresh, "bucketName")), "bucket"), what)
	}
	if float64(len(fresh)) >= c.Weights.Number("s3_objects") || bytes >= c.Weights.Number("s3_bytes") {
		a.Find("read", fresh, "%s, from buckets not read before: %s", what, c.fact(fresh))
	}
	return n + 1
}

func bytesOut(e *Event) float64 {
	n, err := strconv.ParseFloat(e.Value("aws.cloudtrail.flattened.additional_eventdata.bytesTransferredOut"), 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// objectsDeleted finds a burst of deletions: so many in an hour.
func (a *Asking) objectsDeleted(near []*Event) (n int) {
	c := a.c
	list := keep(near, func(e *Event) bool { return slices.Contains(dropObjects, e.Action) && e.Error == "" })
	if len(list) == 0 {
		return 0
	}
	span, enough := c.Weights.Duration("burst_in"), int(c.Weights.Number("s3_deletes"))
	burst := densest(list, span, nil)
	a.Say(list, "%s. Objects were deleted, by %s within %s at most.", c.deed(list), amount(len(burst), "call"), lasting(span))
	if len(burst) >= enough {
		a.Find("destruction", burst, "objects were deleted: %s", c.fact(burst))
	}
	return 1
}

// bucketSweep says whether many buckets were looked over.
func (a *Asking) bucketSweep(near []*Event) (n int) {
	c := a.c
	looks := keep(near, func(e *Event) bool { return e.Action == "ListBuckets" || strings.HasPrefix(e.Action, "GetBucket") })
	buckets := len(parametersOf(looks, "bucketName"))
	if float64(buckets) < c.Weights.Number("s3_sweep") {
		return 0
	}
	a.Say(looks, "%s. How %s are set up was looked at.", c.deed(looks), amount(buckets, "bucket"))
	a.Find("sweep", looks, "%s looked over: %s", amount(buckets, "bucket"), c.fact(looks))
	return 1
}
