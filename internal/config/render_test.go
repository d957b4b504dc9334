package config_test

import (
	"errors"

	"github.com/debutsec/debut/query"
)

// rendered is an error as a person sees it.
func rendered(err error) string {
	var ds query.Diagnostics
	if !errors.As(err, &ds) {
		return err.Error()
	}
	out := ""
	for _, d := range ds {
		out += d.Render()
	}
	return out
}
