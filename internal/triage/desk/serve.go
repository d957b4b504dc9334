package desk

import (
	"context"
	"fmt"

	"github.com/debutsec/debut/internal/server/api"
	"github.com/debutsec/debut/internal/store"
	"github.com/debutsec/debut/internal/triage"
)

// Triage investigates an alert for a request of the API. What is wrong with the request
// wraps store.ErrInvalid.
func (d *Desk) Triage(ctx context.Context, handle string, r api.TriageRequest, by string) (*triage.Report, bool, error) {
	req := Request{Trigger: store.TriageByHand, By: by, AsOf: r.AsOf, Live: r.Live}
	if len(r.Weights) > maxWeights {
		return nil, false, fmt.Errorf("%w: the weights have %d bytes; %d at most", store.ErrInvalid, len(r.Weights), maxWeights)
	}
	if r.Weights != "" {
		// Over those that the desk works with.
		w, err := triage.ParseWeights(append(d.o.overrides, []byte(r.Weights))...)
		if err != nil {
			return nil, false, fmt.Errorf("%w: the weights: %w", store.ErrInvalid, err)
		}
		req.Weights = w
	}
	res, err := d.Investigate(ctx, handle, req)
	if err != nil {
		return nil, false, err
	}
	return res.Report, res.Kept, nil
}
