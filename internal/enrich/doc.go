// Package enrich adds to an event what its record does not hold: the parts of its user
// agent, and where its address is and whose. Start with [New].
//
// User agents are parsed as Elasticsearch's user_agent processor does it, with the
// patterns of the same project (uap-core). AWS's own clients are told before that,
// without patterns, by what they call themselves first: nothing that a caller can add
// behind it renames them.
//
// Addresses are looked up in databases of the MaxMind DB format
// (https://maxmind.github.io/MaxMind-DB/), which the user brings; without any, nothing
// is known about an address. It never asks the network.
//
// [Chain] follows a temporary credential back through the calls that handed it out.
//
//	e, err := enrich.New(enrich.Options{GeoIP: []string{"GeoLite2-City.mmdb", "GeoLite2-ASN.mmdb"}})
//	if err != nil {
//		return err
//	}
//	defer e.Close()
//	agent := e.UserAgent("aws-cli/2.17.60 os/linux#6.8")       // aws-cli 2.17.60, Linux
//	place := e.Address(netip.MustParseAddr("81.2.69.142"))
//
// What an event says of itself is told without an [Enricher]: [AgentClass] the kind of
// client, [AddressClass] the kind of source, [ImpossibleTravel] whether one credential can
// have been in two places.
package enrich
