package desk

import "context"

// Step investigates one alert that is due, as Run does.
func (d *Desk) Step(ctx context.Context) (bool, error) { return d.step(ctx) }
