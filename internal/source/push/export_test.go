package push

// Running reports whether the source takes requests.
func (s *Source) Running() bool { return s.running() }
