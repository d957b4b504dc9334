package livetest

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// An Endpoint answers requests by their action. It is safe for concurrent use.
type Endpoint struct {
	answers map[string]string
	mu      sync.Mutex
	calls   []string
}

// New makes an endpoint with answers by action, such as "ListCommands": JSON for Systems
// Manager, XML for EC2.
func New(answers map[string]string) *Endpoint { return &Endpoint{answers: answers} }

// Calls returns the actions that were asked for, in order.
func (e *Endpoint) Calls() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.calls)
}

// ServeHTTP implements [http.Handler].
func (e *Endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	_, action, isSSM := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	if !isSSM {
		for part := range strings.SplitSeq(string(body), "&") {
			if name, ok := strings.CutPrefix(part, "Action="); ok {
				action = name
			}
		}
	}
	e.mu.Lock()
	e.calls = append(e.calls, action)
	e.mu.Unlock()
	text, ok := e.answers[action]
	kind, status := "text/xml", http.StatusOK
	if isSSM {
		kind = "application/x-amz-json-1.1"
	}
	switch {
	case ok:
	case isSSM:
		status = http.StatusBadRequest
		text = `{"__type":"AccessDeniedException","Message":"not authorized to perform: ssm:` + action + `"}`
	default:
		status = http.StatusForbidden
		text = `<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>You are not authorized.</Message></Error></Errors></Response>`
	}
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text) //nolint:gosec // no browser sees it
}
