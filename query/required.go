package query

import (
	"maps"
	"slices"

	"github.com/debutsec/debut/ecs"
)

// Required returns the texts of which f must have one, exactly, for x to hold. ok is
// false if x does not say so; without any text it can never hold. Stores ask it to
// leave out whole files by their indexes.
func Required(x Expr, f *ecs.Field) (texts []string, ok bool) {
	switch x := x.(type) {
	case *equal:
		if x.field == f {
			return []string{x.text}, true
		}
	case *oneOf:
		if x.field == f {
			return slices.Sorted(maps.Keys(x.texts)), true
		}
	case constant:
		return nil, !bool(x)
	case never:
		return nil, true
	case and:
		for _, term := range x {
			if some, has := Required(term, f); has && (!ok || len(some) < len(texts)) {
				texts, ok = some, true
			}
		}
		return texts, ok
	case or:
		for _, term := range x {
			some, has := Required(term, f)
			if !has {
				return nil, false
			}
			texts = append(texts, some...)
		}
		slices.Sort(texts)
		return slices.Compact(texts), true
	}
	return nil, false
}
