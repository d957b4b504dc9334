package alert

import "github.com/debutsec/debut/ecs"

// NewCatalogue returns a catalogue for queries over alert documents: the fields of
// events, and those of alerts that do not compare as keywords or that a query is
// likely to name.
func NewCatalogue() *ecs.Catalogue {
	c := ecs.NewCatalogue()
	for _, fields := range []struct {
		typ   ecs.Type
		names []string
	}{
		{ecs.Double, []string{"kibana.alert.risk_score", "debut.alert.history_coverage"}},
		{ecs.Long, []string{
			"kibana.alert.depth", "kibana.alert.rule.risk_score", "kibana.alert.rule.version", "kibana.alert.rule.revision",
			"kibana.alert.rule.max_signals", "kibana.alert.threshold_result.count",
			"kibana.alert.threshold_result.cardinality.value", "kibana.alert.suppression.docs_count",
		}},
		{ecs.Boolean, []string{
			"kibana.alert.rule.enabled", "kibana.alert.rule.immutable",
			"debut.alert.cold_baseline", "debut.alert.withheld", "debut.alert.unequal_copies",
		}},
		{ecs.Date, []string{
			"kibana.alert.original_time", "kibana.alert.start", "kibana.alert.last_detected", "kibana.alert.intended_timestamp",
			"kibana.alert.threshold_result.from", "kibana.alert.suppression.start", "kibana.alert.suppression.end",
			"kibana.alert.rule.execution.timestamp", "debut.alert.last_event", "debut.alert.previously_seen",
		}},
		{ecs.Keyword, []string{
			"kibana.alert.uuid", "kibana.alert.severity", "kibana.alert.status", "kibana.alert.reason", "kibana.alert.new_terms",
			"kibana.alert.workflow_status", "kibana.alert.workflow_tags", "kibana.alert.workflow_assignee_ids",
			"kibana.alert.maintenance_window_ids", "kibana.alert.building_block_type", "kibana.alert.instance.id",
			"kibana.alert.rule.rule_id", "kibana.alert.rule.uuid", "kibana.alert.rule.name", "kibana.alert.rule.type",
			"kibana.alert.rule.severity", "kibana.alert.rule.tags", "kibana.alert.rule.author", "kibana.alert.rule.description",
			"kibana.alert.threshold_result.terms.field", "kibana.alert.threshold_result.terms.value",
		}},
	} {
		for _, name := range fields.names {
			c.Define(name, fields.typ)
		}
	}
	return c
}
