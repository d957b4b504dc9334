package rules

import "embed"

// FS holds the shipped rules, aws/*.toml, without their test events.
//
//go:embed aws/*.toml
var FS embed.FS
