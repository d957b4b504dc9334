package cloudtrail_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/debutsec/debut/cloudtrail"
	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/rawjson"
)

// corpus is some records of every kind, parsed.
func corpus(tb testing.TB) []*cloudtrail.Record {
	tb.Helper()
	var all []*cloudtrail.Record
	records(tb, "testdata/ecs", func(_ string, raw []byte) {
		var compact bytes.Buffer // as CloudTrail writes them
		if err := json.Compact(&compact, raw); err != nil {
			tb.Fatal(err)
		}
		rec := new(cloudtrail.Record)
		if _, err := rec.Parse(compact.Bytes()); err != nil {
			tb.Fatal(err)
		}
		kind := rawjson.String(rawjson.Get(rec.Value(cloudtrail.UserIdentity), "type"))
		switch {
		case rec.Value(cloudtrail.EventTime) == nil: // a digest: a decoder skips it
		case kind == "SAMLUser", kind == "WebIdentityUser": // their principal is put together
		default:
			all = append(all, rec)
		}
	})
	if len(all) == 0 {
		tb.Fatal("no records")
	}
	return all
}

// asked are fields that rules ask for in profiles of rising cost.
var asked = []struct {
	profile string
	fields  []string
}{
	{"index", []string{"event.provider", "event.action"}},
	{"one-rule", []string{
		"event.provider", "event.action", "event.dataset", "event.outcome", "aws.cloudtrail.user_identity.arn",
	}},
	{"identity", []string{
		"event.provider", "event.action", "data_stream.dataset", "event.outcome", "aws.cloudtrail.user_identity.arn", "user.name",
		"aws.cloudtrail.user_identity.type", "source.ip", "aws.cloudtrail.user_identity.invoked_by", "cloud.account.id",
		"user.id", "source.address", "debut.principal",
		"aws.cloudtrail.user_identity.session_context.session_issuer.arn",
	}},
	{"request", []string{
		"event.provider", "event.action", "event.type", "event.category", "aws.cloudtrail.request_parameters",
		"aws.cloudtrail.flattened.request_parameters.documentName",
		"aws.cloudtrail.flattened.request_parameters.ipPermissions.items.ipRanges.items.cidrIp",
		"aws.cloudtrail.resources.arn",
	}},
}

func resolve(cat *ecs.Catalogue, names []string) []*ecs.Field {
	fields := make([]*ecs.Field, len(names))
	for i, name := range names {
		fields[i] = cat.Resolve(name)
	}
	return fields
}

// The fields that rules ask for all the time cost no allocation.
func TestCommonFieldsDoNotAllocate(t *testing.T) { //nolint:paralleltest // counts allocations
	all := corpus(t)
	for _, p := range asked {
		cat := ecs.NewCatalogue()
		fields := resolve(cat, p.fields)
		ev := cloudtrail.NewEvent(cat, nil)
		values := 0
		read := func() {
			for _, rec := range all {
				ev.Reset(rec)
				for _, f := range fields {
					values += len(ev.Values(f))
				}
			}
		}
		read() // the room that the event keeps is made once
		if n := testing.AllocsPerRun(10, read); n > 0 {
			t.Errorf("%s: %v allocations for %d records", p.profile, n, len(all))
		}
		if values == 0 {
			t.Errorf("%s: nothing was read", p.profile)
		}
	}
}

// BenchmarkValues measures what an event costs besides parsing, by what is asked.
func BenchmarkValues(b *testing.B) {
	all := corpus(b)
	for _, p := range asked {
		b.Run(p.profile, func(b *testing.B) {
			cat := ecs.NewCatalogue()
			fields := resolve(cat, p.fields)
			ev := cloudtrail.NewEvent(cat, nil)
			b.ReportAllocs()
			for b.Loop() {
				for _, rec := range all {
					ev.Reset(rec)
					for _, f := range fields {
						ev.Values(f)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(all)), "ns/record")
		})
	}
}

// BenchmarkRecord measures the rest of a record's way: parsing, the document, the id.
func BenchmarkRecord(b *testing.B) {
	all := corpus(b)
	size := 0
	for _, rec := range all {
		size += len(rec.Raw())
	}
	ev := cloudtrail.NewEvent(ecs.NewCatalogue(), nil)
	var r cloudtrail.Record // kept, as a decoder does: it learns the order of members
	for _, part := range []struct {
		name string
		do   func(rec *cloudtrail.Record)
	}{
		{"parse", func(rec *cloudtrail.Record) {
			if _, err := r.Parse(rec.Raw()); err != nil {
				b.Fatal(err)
			}
		}},
		{"time", func(rec *cloudtrail.Record) { rec.EventTime() }},
		{"id", func(rec *cloudtrail.Record) { ev.Reset(rec); ev.ID() }},
		{"document", func(rec *cloudtrail.Record) { ev.Reset(rec); ev.Document() }},
	} {
		b.Run(part.name, func(b *testing.B) {
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				for _, rec := range all {
					part.do(rec)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(all)), "ns/record")
		})
	}
}
