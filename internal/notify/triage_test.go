package notify

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/debutsec/debut/internal/store"
)

// A message says what the investigation of its alert has come to by the time of sending,
// and is sent without it if there is nothing yet or it cannot be read.
func TestMessagesHaveTheVerdict(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, webhookChannel("a"))
		b.options.Verdict = func(_ context.Context, handle string) (*store.Triage, error) {
			switch handle {
			case "one":
				return &store.Triage{Version: 1, Verdict: "likely_malicious", Score: 71, Confidence: 0.5}, nil
			case "two":
				return nil, errors.New("the disk is full")
			}
			return nil, nil
		}
		for _, handle := range []string{"one", "two", "three"} {
			b.alert(store.MessageNew, handle)
		}
		b.alert(store.MessageWithdrawn, "one")
		b.run(time.Minute, nil)
		took := b.channels["a"].took
		if len(took) != 4 {
			t.Fatalf("%d messages were sent, want 4", len(took))
		}
		for _, m := range took {
			text := render(m, plainText, maxText).text
			want := m.Alert.Handle == "one" && m.Kind == store.MessageNew
			if got := strings.Contains(text, "Investigated: likely malicious, score 71 of 100, confidence 0.50"); got != want {
				t.Errorf("%s %s says\n%s", m.Kind, m.Alert.Handle, text)
			}
		}
	})
}
