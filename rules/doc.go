// Package rules holds the detection rules that Debut ships, as an embedded file
// system.
//
// Each rule is a TOML file in the layout of Elastic's detection-rules repository
// (https://github.com/elastic/detection-rules), written for this project. Beside
// every aws/NAME.toml stands aws/NAME.events.txtar: CloudTrail records that must
// make the rule fire, and near-misses that must not. README.md in this folder
// says how to write both.
//
// The package holds data only: package rule parses the files, and package
// internal/ruletest runs the cases. Begin with [FS]:
//
//	files, err := fs.Glob(rules.FS, "aws/*.toml")
package rules
