package push

import (
	"net/http"
	"strconv"
	"time"
)

// A failure is how a request that cannot be served is answered.
type failure struct {
	status  int
	code    string // stable, kebab-case
	message string
	retry   time.Duration // when to come again; 0: not said
}

func (f *failure) Error() string { return f.message }

var (
	errClosing   = &failure{http.StatusServiceUnavailable, "closing", "the server is starting or stopping: send it again", 5 * time.Second}
	errBusy      = &failure{http.StatusTooManyRequests, "busy", "more arrives than can be stored: send it again later", time.Second}
	errPressure  = &failure{http.StatusTooManyRequests, "pressure", "too many bodies are being stored already: send it again later", time.Second}
	errSlow      = &failure{http.StatusServiceUnavailable, "slow", "it was not stored in time: send it again, what was stored after all is not counted twice", 10 * time.Second}
	errNotStored = &failure{http.StatusServiceUnavailable, "not-stored", "it could not be stored: send it again; the server's log has the reason", 10 * time.Second}
	errDiskFull  = &failure{http.StatusInsufficientStorage, "disk-full", "the server's disk is full: send it again when there is room", time.Minute}
	errTooLarge  = &failure{http.StatusRequestEntityTooLarge, "too-large", "the body is larger than this server accepts: send it in parts", 0}
	errTimeout   = &failure{http.StatusRequestTimeout, "timeout", "the body did not arrive in time", 0}
	errGone      = &failure{499, "gone", "the client has gone", 0} // nobody reads it
	errInFlight  = &failure{http.StatusConflict, "in-progress", "a request with this Idempotency-Key is being served: send it again later", time.Second}
)

// setRetry writes the header that says when to come again: whole seconds, at least one.
func (f *failure) setRetry(h http.Header) {
	if f.retry > 0 {
		h.Set("Retry-After", strconv.FormatInt(int64((f.retry+time.Second-1)/time.Second), 10))
	}
}
