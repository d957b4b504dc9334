package cloudtrail_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/debutsec/debut/cloudtrail"
	"github.com/debutsec/debut/ecs"
)

func ExampleEvent() {
	const object = `{"Records":[
		{"eventVersion":"1.10","userIdentity":{"type":"AssumedRole","arn":"arn:aws:sts::111122223333:assumed-role/deploy/run-7",
		"sessionContext":{"sessionIssuer":{"arn":"arn:aws:iam::111122223333:role/deploy","userName":"deploy"}}},
		"eventTime":"2026-01-31T08:00:00Z","eventSource":"ssm.amazonaws.com","eventName":"SendCommand",
		"requestParameters":{"documentName":"AWS-RunShellScript","instanceIds":["i-0a1b2c3d4e5f60001"]},
		"eventID":"0f8fad5b-d9cb-469f-a165-70867728950e","recipientAccountId":"111122223333"}]}`

	cat := ecs.NewCatalogue()
	event := cloudtrail.NewEvent(cat, nil)
	var d cloudtrail.Decoder
	summary, err := d.Decode(context.Background(), "example", strings.NewReader(object), cloudtrail.Visitor{
		Record: func(r *cloudtrail.Record) error {
			event.Reset(r)
			for _, name := range []string{
				"event.action", "event.outcome", "user.name", "debut.principal", "aws.cloudtrail.request_parameters",
				"aws.cloudtrail.flattened.request_parameters.instanceIds", "aws.cloudtrail.error_code",
			} {
				fmt.Println(name, event.Values(cat.Resolve(name)))
			}
			return nil
		},
	})
	fmt.Println(summary.Records, err)
	// Output:
	// event.action [SendCommand]
	// event.outcome [success]
	// user.name [deploy]
	// debut.principal [arn:aws:iam::111122223333:role/deploy]
	// aws.cloudtrail.request_parameters [{instanceIds=[i-0a1b2c3d4e5f60001], documentName=AWS-RunShellScript}]
	// aws.cloudtrail.flattened.request_parameters.instanceIds [i-0a1b2c3d4e5f60001]
	// aws.cloudtrail.error_code []
	// 1 <nil>
}

func ExampleEvent_Document() {
	var r cloudtrail.Record
	if _, err := r.Parse([]byte(`{"eventTime":"2026-01-31T08:00:00Z","eventName":"GetUser","eventSource":"iam.amazonaws.com","userAgent":"-"}`)); err != nil {
		fmt.Println(err)
		return
	}
	event := cloudtrail.NewEvent(ecs.NewCatalogue(), nil)
	event.Reset(&r)
	fmt.Printf("%s\n", event.Document().AppendJSON(nil))
	// Output:
	// {"@timestamp":"2026-01-31T08:00:00.000Z","cloud":{"provider":"aws","service":{"name":"iam"}},"data_stream":{"dataset":"aws.cloudtrail","namespace":"default","type":"logs"},"ecs":{"version":"8.11.0"},"event":{"action":"GetUser","category":["iam"],"dataset":"aws.cloudtrail","kind":"event","module":"aws","outcome":"success","provider":"iam.amazonaws.com","type":["user","info"]}}
}
