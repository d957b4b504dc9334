package cloudtrail_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/debutsec/debut/cloudtrail"
	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/rawjson"
)

// A profile is a generation of the integration's pipeline: what it may differ in from
// the newest, which is ours.
type profile struct {
	ignore []string // names, each with all below it
	scalar []string // stored as a scalar where we have a list of one
}

// What the shipper or the cluster sets, what needs databases, and what is ours alone.
var everywhere = []string{
	"event.created", "event.ingested", "event.original", "ecs.version", "tags", "source.geo", "source.as",
	"user_agent.name", "user_agent.version", "user_agent.device", "user_agent.os",
	"data_stream", "event.dataset", "event.module", "debut",
}

var older = []string{
	"cloud.provider", "cloud.service.name", "service.name", "related.ip", "related.hosts", "host.target.id",
	"aws.cloudtrail.user_identity.session_context.ec2_role_delivery", "aws.cloudtrail.user_identity.on_behalf_of",
	"aws.cloudtrail.user_identity.credential_id", "aws.cloudtrail.shared_event_id",
}

var legacy = slices.Concat(older, []string{
	"related", "user.email", "actor", "target", "entity", "user.entity", "user.target.entity", "host.entity", "host.target",
	"service",
	// Before the newest, a session's date in the basic form was dropped.
	"aws.cloudtrail.user_identity.session_context.creation_date",
})

var profiles = map[string]profile{
	"C":         {},
	"B":         {ignore: slices.Concat(older, []string{"user.changes.name"})},
	"B+":        {ignore: slices.Concat(older, []string{"user.changes.name"})},
	"B++":       {ignore: slices.Concat(older, []string{"user.changes.name"})},
	"B+host.id": {ignore: slices.Concat(older, []string{"user.changes.name", "host.id", "host.target.entity.id", "entity.target.id"})},
	// E1 knew actors and targets, but did not sort them by what they are.
	"E1":   {ignore: slices.Concat(older, []string{"user.email", "related.user", "user.entity", "entity.target"})},
	"L":    {ignore: legacy},
	"L+":   {ignore: legacy},
	"2021": {ignore: slices.Concat(older, []string{"cloud.account.id"}), scalar: []string{"event.type", "event.category"}},
}

// newerActions had no category, or no type, before the newest generation.
var newerActions = map[string]string{"SendCommand": "event.type", "GetCallerIdentity": "event.category"}

// minimal is what the integration's setting of that name keeps of the flattened copies.
var minimal = []string{
	"additional_eventdata.SSEApplied", "request_parameters.cidrIp", "request_parameters.dryRun", "request_parameters.fromPort",
	"request_parameters.includeDeprecated", "request_parameters.policyArn", "request_parameters.serialNumber",
	"request_parameters.withDecryption", "request_parameters.x-amz-server-side-encryption-customer-algorithm",
}

// The documents are those of the integration itself, but for what its generations and
// settings differ in by design.
func TestPairs(t *testing.T) {
	t.Parallel()
	skipAbsent(t, sharedPairs)
	data, err := os.ReadFile(filepath.Join(sharedPairs, "MANIFEST.json"))
	if err != nil {
		t.Fatal(err)
	}
	var manifest []struct {
		Input, Expected, Profile string
		Events                   int
		Blank                    int `json:"blank_line_events"`
		Conf                     struct{ Retain string }
	}
	if err := json.Unmarshal(data, &manifest); err != nil {
		t.Fatal(err)
	}
	for _, pair := range manifest {
		name := filepath.Base(pair.Input)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			profile, ok := profiles[pair.Profile]
			if !ok {
				t.Fatalf("profile %q is not known", pair.Profile)
			}
			raw, err := os.ReadFile(filepath.Join(sharedPairs, filepath.Base(pair.Expected)))
			if err != nil {
				t.Fatal(err)
			}
			var expected []ecs.Document
			for c := rawjson.Walk(rawjson.Get(raw, "expected")); c.Next(); {
				doc, err := ecs.ParseDocument(c.Value())
				if err != nil {
					t.Fatal(err)
				}
				if doc.Values("event.action") != nil || doc.Values("event.id") != nil {
					expected = append(expected, doc)
				}
			}
			var got []ecs.Document
			records(t, filepath.Join(sharedPairs, name), func(_ string, raw []byte) {
				var rec cloudtrail.Record
				if _, err := rec.Parse(raw); err != nil {
					t.Fatal(err)
				}
				ev := cloudtrail.NewEvent(ecs.NewCatalogue(), nil)
				ev.Reset(&rec)
				got = append(got, ev.Document())
			})
			if len(got) != len(expected) || len(got) != pair.Events-pair.Blank {
				t.Fatalf("%d documents, want %d", len(got), len(expected))
			}
			compared := 0
			for i := range got {
				ignore := slices.Concat(everywhere, profile.ignore)
				if pair.Profile != "C" {
					if field := newerActions[first(got[i].Values("event.action"))]; field != "" {
						ignore = append(ignore, field)
					}
					if first(got[i].Values("aws.cloudtrail.user_identity.type")) == "AssumedRole" {
						ignore = append(ignore, "user.entity.id")
					}
				}
				for _, doc := range []ecs.Document{got[i], expected[i]} {
					for _, name := range ignore {
						remove(doc, name)
					}
					sortLists(doc, "related.entity", "related.user", "related.ip", "related.hosts", "related.hash")
				}
				for _, name := range profile.scalar {
					if v := got[i].Values(name); len(v) == 1 {
						got[i].Set(name, v[0])
					}
				}
				if pair.Conf.Retain == "minimal" {
					keepMinimal(got[i])
				}
				removeEmpty(expected[i])
				removeEmpty(got[i])
				if diff := cmp.Diff(expected[i], got[i]); diff != "" {
					t.Errorf("document %d (-want +got):\n%s", i+1, diff)
				}
				for range got[i].Leaves() {
					compared++
				}
			}
			fmt.Fprintf(os.Stderr, "%s: profile %s, %d documents, %d fields compared\n", name, pair.Profile, len(got), compared)
		})
	}
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

// parent returns the object that holds the last name of a dotted one.
func parent(doc ecs.Document, name string) (object map[string]any, last string) {
	object = doc
	names := strings.Split(name, ".")
	for _, n := range names[:len(names)-1] {
		object, _ = object[n].(map[string]any)
	}
	return object, names[len(names)-1]
}

func remove(doc ecs.Document, name string) {
	object, last := parent(doc, name)
	delete(object, last)
}

// sortLists makes sets of lists.
func sortLists(doc ecs.Document, names ...string) {
	for _, name := range names {
		object, last := parent(doc, name)
		if list, ok := object[last].([]any); ok {
			slices.SortFunc(list, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		}
	}
}

func keepMinimal(doc ecs.Document) {
	const root = "aws.cloudtrail.flattened"
	kept := make(ecs.Document)
	for _, name := range minimal {
		object, last := parent(doc, root+"."+name)
		if v, ok := object[last]; ok {
			kept.Set(name, v)
		}
	}
	doc.Set(root, map[string]any(kept))
}

// removeEmpty removes objects that hold nothing.
func removeEmpty(object map[string]any) {
	for name, v := range object {
		if child, ok := v.(map[string]any); ok {
			removeEmpty(child)
			if len(child) == 0 {
				delete(object, name)
			}
		}
	}
}
