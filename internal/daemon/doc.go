// Package daemon puts the parts of `debut serve` together: store, engine, sources, API
// and notifications, as a configuration says, and keeps them going.
//
//	d, err := daemon.Open(ctx, daemon.Options{Config: c, Getenv: os.Getenv, Now: time.Now, Log: log})
//	if err != nil {
//		return err
//	}
//	err = d.Run(ctx) // until ctx ends
//
// It decides nothing about records: that is the matter of internal/serve. What begins
// here is opened in order and ended in reverse.
package daemon
