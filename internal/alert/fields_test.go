package alert_test

import (
	"testing"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/alert"
)

func TestCatalogueKnowsFieldsOfAlerts(t *testing.T) {
	t.Parallel()
	c := alert.NewCatalogue()
	for name, want := range map[string]ecs.Type{
		"kibana.alert.risk_score": ecs.Double, "kibana.alert.original_time": ecs.Date, "debut.alert.withheld": ecs.Boolean,
		"kibana.alert.severity": ecs.Keyword, "source.ip": ecs.IP,
	} {
		if f := c.Resolve(name); f.Type != want || !f.Known {
			t.Errorf("%s: %+v", name, f)
		}
	}
	if f := c.Define("source.ip", ecs.Keyword); f.Type != ecs.IP {
		t.Error("a field of the mapping was defined anew")
	}
	if c.Resolve("kibana.alert.no_such").Known {
		t.Error("a name that nobody defined is known")
	}
}
