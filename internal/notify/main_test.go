package notify

import (
	"flag"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/debutsec/debut/internal/store"
)

var updateGolden = flag.Bool("update", false, "rewrite the expected renderings under testdata")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func snapshot(handle string) store.Snapshot {
	return store.Snapshot{
		Handle: handle, UUID: handle, RuleID: "2ff64f61-0331-441d-80a8-000941cac929", Rule: "SSM command by a new principal",
		Severity: "low", RiskScore: 21, Time: start, Principal: "arn:aws:iam::111122223333:role/deploy",
		Who: "role/deploy (111122223333)", What: "SendCommand AWS-RunShellScript on i-0abc", Where: "203.0.113.7 CH Example Net",
	}
}
