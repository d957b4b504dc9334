// Package cloudtrail reads CloudTrail records and maps them to ECS events.
//
// Start with a [Decoder]: it finds the records in whatever they travel in, log
// objects of S3, lines, arrays, CloudWatch Logs, EventBridge, and says what it could
// not read. A [Record] is the bytes of one record and where its members stand in
// them; an [Event] is the Elastic Common Schema view of it: fields by name, read when
// they are asked for.
//
//	cat := ecs.NewCatalogue()
//	action := cat.Resolve("event.action")
//	event := cloudtrail.NewEvent(cat, nil)
//	var d cloudtrail.Decoder
//	summary, err := d.Decode(ctx, name, file, cloudtrail.Visitor{
//		Record: func(r *cloudtrail.Record) error {
//			event.Reset(r)
//			fmt.Println(event.Time(), event.Values(action))
//			return nil
//		},
//	})
//
// # The mapping
//
// The mapping is that of the newest CloudTrail pipeline of Elastic's AWS integration
// that is known, so that detection rules give the same verdict here: its field names
// and types, the removal of null, "", "-" and "none" wherever they stand, requests
// and responses as the text that Java prints for a hash map in that map's own order,
// and as flattened objects, the categories of actions, and who acted on what.
//
// Some things are Debut's own. debut.principal names who acts, whatever the session.
// event.created and event.ingested are absent, because nothing may depend on when a
// record was read, and so is event.original, which is the record. A field that is not
// an object has no value where the record has one, as Elasticsearch could not have
// stored it. Of duplicate names the first counts. Objects deeper than 20 names are cut
// off in flattened copies, where Elasticsearch refuses the document. What the user
// agent says and where an address is comes from an [Enricher].
//
// Nothing here keeps records, reads the clock or talks to a network.
package cloudtrail
