package desk

import (
	"context"
	"errors"
	"fmt"

	"github.com/debutsec/debut/internal/store"
	"github.com/debutsec/debut/internal/triage"
	"github.com/debutsec/debut/internal/triage/live"
)

// ask puts to AWS what the log does not say of the alert's event. What may not be read is
// in the answer; an error is that nothing can be asked at all.
func (d *Desk) ask(ctx context.Context, in *triage.Input) (*triage.Live, error) {
	stored, err := in.Events.Find(ctx, in.Alert.Time, in.Alert.Event)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil //nolint:nilnil // the investigation says so
	}
	if err != nil {
		return nil, fmt.Errorf("read the alert's event: %w", err)
	}
	e := triage.NewEvent(d.o.Catalogue, stored)
	q := live.Question{Time: e.Time, CommandID: first(e.Commands()), Instances: e.Instances()}
	if e.Service() == "ssm" {
		q.Document = first(e.Request("documentName"))
	}
	o := d.o.Live
	o.Region, o.Now = e.Region, d.o.Now
	asker, err := live.New(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("ask AWS: %w", err)
	}
	return asker.Ask(ctx, q), nil
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}
