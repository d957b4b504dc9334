package enrich

import "github.com/debutsec/debut/cloudtrail"

// ByPatterns parses an agent with the patterns alone.
func (e *Enricher) ByPatterns(original string) cloudtrail.Agent {
	return parseAgent(e.patterns(), original)
}

// Cached returns how many answers are kept.
func (e *Enricher) Cached() (agents, places int) { return e.agents.len(), e.places.len() }

func (c *cache[K, V]) len() (n int) {
	for i := range c.parts {
		n += len(c.parts[i].young) + len(c.parts[i].old)
	}
	return n
}
