package notify

import (
	"context"
	"time"

	"github.com/debutsec/debut/internal/store"
)

// A transport sends to one channel. It is used by one goroutine at a time.
type transport interface {
	// send hands a message over and returns what the other side answered. An error is
	// a *sendError, whose text holds no secrets.
	send(ctx context.Context, m *store.Message, now time.Time) (answer string, err error)
	close()
}

// fault says what an error is the fault of.
type fault uint8

const (
	// channelDown: nothing can be sent now.
	channelDown fault = iota
	// channelWrong: nothing can be sent until somebody changes something.
	channelWrong
	// unclear: the channel is down, or does not get along with this message.
	unclear
	// refused: this message is refused, others may not be.
	refused
)

type sendError struct {
	fault fault
	text  string
	// after is how long the other side wants to be left alone; 0 if it did not say.
	after time.Duration
}

func (e *sendError) Error() string { return e.text }
