package cli

import (
	"context"

	"github.com/debutsec/debut/internal/daemon"
	"github.com/debutsec/debut/internal/notify"
	"github.com/debutsec/debut/internal/store"
)

// notifying gives the commands about notifications what the configuration says.
type notifying struct{ env *Env }

// Channels implements Notifying.
func (n notifying) Channels(file string) ([]notify.Channel, error) {
	cfg, err := configFlag{file}.load(n.env)
	if err != nil {
		return nil, err
	}
	list, err := daemon.Channels(cfg, n.env.Getenv)
	if err != nil {
		return nil, &ExitError{Code: ExitUsage, Err: err}
	}
	return list, nil
}

// Messages implements Notifying. A store may be read while a server has it open.
func (n notifying) Messages(ctx context.Context, file string, states []store.MessageState, channels []string, limit int) (list []store.Message, err error) {
	cfg, err := configFlag{file}.load(n.env)
	if err != nil {
		return nil, err
	}
	db, err := open(ctx, cfg.DataDir, true)
	if err != nil {
		return nil, err
	}
	err = db.View(ctx, func(tx store.Tx) error {
		list, err = store.ListMessages(tx, states, channels, limit)
		return err //nolint:wrapcheck // of the store
	})
	if cerr := db.Close(); err == nil {
		err = cerr
	}
	return list, err
}
