package ecs

// A Document is a whole ECS document as a tree: the values are string, bool,
// [Number], []any and map[string]any. It belongs to whoever asked for it.
type Document map[string]any

// Number is a JSON number kept in its own spelling, so that nothing is lost.
type Number string
