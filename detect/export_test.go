package detect

// Indexed returns the size of the index.
func (m *Matcher) Indexed() int {
	n := len(m.pairs)
	for _, list := range m.pairs {
		n += len(list)
	}
	return n
}
