package pipeline_test

import (
	"testing"
	"time"

	"github.com/debutsec/debut/detect"
	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/pipeline"
)

// Strict looks for what else is never looked at: names that occur twice deep inside a
// record.
func TestStrict(t *testing.T) {
	t.Parallel()
	cat := ecs.NewCatalogue()
	e, err := detect.Compile(cat, nil)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	text := `{"eventVersion":"1.11","userIdentity":{"type":"IAMUser","userName":"one","userName":"two"},"eventTime":"` + at.Format(time.RFC3339) +
		`","eventSource":"ssm.amazonaws.com","eventName":"SendCommand","eventID":"1","recipientAccountId":"111122223333"}`
	for _, strict := range []bool{false, true} {
		// Past To nothing but the reading is done.
		res, err := pipeline.Run(t.Context(), pipeline.Config{Engine: e, Catalogue: cat, Workers: 1, Strict: strict, To: at}, objects(text))
		if err != nil {
			t.Fatal(err)
		}
		if noted := res.Stats.Noted == 1; noted != strict || res.Stats.Outside != 1 {
			t.Errorf("strict %v: %+v", strict, res.Stats)
		}
		if err := res.Close(); err != nil {
			t.Error(err)
		}
	}
}
