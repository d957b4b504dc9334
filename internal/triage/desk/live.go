package desk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/debutsec/debut/internal/store"
	"github.com/debutsec/debut/internal/triage"
	"github.com/debutsec/debut/internal/triage/live"
)

// ask puts to AWS what the log does not say of the alert's event. What may not be read is
// in the answer; an error is that nothing can be asked at all.
func (d *Desk) ask(ctx context.Context, in *triage.Input) (*triage.Live, error) {
	e, err := in.Events.Find(ctx, in.Alert.Time, in.Alert.Event)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil //nolint:nilnil // the investigation says so
	}
	if err != nil {
		return nil, fmt.Errorf("read the alert's event: %w", err)
	}
	doc := e.Event.Document()
	const request, response = "aws.cloudtrail.flattened.request_parameters.", "aws.cloudtrail.flattened.response_elements."
	values := func(fields ...string) (out []string) {
		for _, f := range fields {
			out = append(out, doc.Values(f)...)
		}
		return out
	}
	one := func(fields ...string) string {
		for _, v := range values(fields...) {
			return v
		}
		return ""
	}
	q := live.Question{Time: in.Alert.Time}
	if strings.HasPrefix(one("event.provider"), "ssm.") {
		q.CommandID = one(response+"command.commandId", request+"commandId")
		q.Document = one(request + "documentName")
	}
	q.Instances = slices.DeleteFunc(values(request+"instanceIds", request+"instanceId", request+"target"), func(s string) bool {
		return !strings.HasPrefix(s, "i-") && !strings.HasPrefix(s, "mi-")
	})
	o := d.o.Live
	o.Region, o.Now = one("cloud.region"), d.o.Now
	asker, err := live.New(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("ask AWS: %w", err)
	}
	return asker.Ask(ctx, q), nil
}
