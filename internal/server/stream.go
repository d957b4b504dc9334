package server

import (
	"net/http"

	"github.com/debutsec/debut/internal/server/api"
)

// A stream is an answer in pieces. As soon as one is out, an error can only be told by
// breaking the connection off, which every client notices: a status or a last line
// could be overlooked, and a part be taken for the whole.
type stream struct {
	s     *Server
	w     http.ResponseWriter
	r     *http.Request
	ctl   *http.ResponseController
	begun bool
}

// stream begins an answer of lines of JSON, if there are not too many already.
func (s *Server) stream(w http.ResponseWriter, r *http.Request) (*stream, error) {
	select {
	case s.slots <- struct{}{}:
	default:
		return nil, &api.Error{Code: api.Busy, Message: "too many exports and searches are running", Hint: "try again when one has ended"}
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	return &stream{s: s, w: w, r: r, ctl: http.NewResponseController(w)}, nil
}

// end lets the next one begin.
func (st *stream) end() { <-st.s.slots }

// write sends a piece. The client has a while to take each.
func (st *stream) write(b []byte) error {
	if st.s.stopping() {
		return &api.Error{Code: api.Unavailable, Message: "the server is stopping"}
	}
	if !st.begun {
		st.w.WriteHeader(http.StatusOK)
		st.begun = true
	}
	_ = st.ctl.SetWriteDeadline(deadline(writeTimeout)) // not on connections of tests
	if _, err := st.w.Write(b); err != nil {
		return err
	}
	_ = st.ctl.Flush() // what is not flushed now is flushed later
	return nil
}

// broken returns what a handler returns for an error: the error itself while nothing
// is out, else the order to break off.
func (st *stream) broken(err error) error {
	if !st.begun {
		st.w.Header().Del("Content-Type")
		return err
	}
	if st.r.Context().Err() == nil {
		st.s.log.Error("an answer was broken off", "path", st.r.URL.Path, "error", err)
	}
	return http.ErrAbortHandler
}
