package memory

import (
	"bytes"
	"hash/fnv"
	"iter"

	"github.com/debutsec/debut/internal/store"
)

// A node is a treap that never changes: in order by key, and a heap by rank, which
// the key decides, so that it is as good as random and balanced. nil is the empty tree.
type node struct {
	left, right *node
	pair        store.Pair
	rank        uint64
}

func rank(key []byte) uint64 {
	h := fnv.New64a()
	h.Write(key)
	x := h.Sum64()
	x ^= x >> 32 // FNV's high bits hardly depend on the last bytes
	x *= 0x9E3779B97F4A7C15
	return x ^ x>>29
}

// split returns the pairs before key, the node with it, and those behind it.
func (n *node) split(key []byte) (before, at, behind *node) {
	if n == nil {
		return nil, nil, nil
	}
	m := *n
	switch bytes.Compare(key, n.pair.Key) {
	case -1:
		before, at, m.left = n.left.split(key)
		return before, at, &m
	case 1:
		m.right, at, behind = n.right.split(key)
		return &m, at, behind
	default:
		return n.left, n, n.right
	}
}

// join returns all pairs of n and behind, which are behind those of n.
func (n *node) join(behind *node) *node {
	switch {
	case n == nil:
		return behind
	case behind == nil:
		return n
	case n.rank >= behind.rank:
		m := *n
		m.right = n.right.join(behind)
		return &m
	default:
		m := *behind
		m.left = n.join(behind.left)
		return &m
	}
}

func (n *node) put(p store.Pair) *node {
	before, _, behind := n.split(p.Key)
	return before.join(&node{pair: p, rank: rank(p.Key)}).join(behind)
}

func (n *node) remove(key []byte) *node {
	before, _, behind := n.split(key)
	return before.join(behind)
}

// rising yields the pairs with from ≤ key < to; a nil to is the end.
func (n *node) rising(from, to []byte) iter.Seq[store.Pair] {
	return func(yield func(store.Pair) bool) { n.walk(from, to, false, yield) }
}

// falling is rising the other way round.
func (n *node) falling(from, to []byte) iter.Seq[store.Pair] {
	return func(yield func(store.Pair) bool) { n.walk(from, to, true, yield) }
}

// walk says whether to go on.
func (n *node) walk(from, to []byte, reverse bool, yield func(store.Pair) bool) bool {
	if n == nil {
		return true
	}
	inFrom := bytes.Compare(n.pair.Key, from) >= 0
	inTo := to == nil || bytes.Compare(n.pair.Key, to) < 0
	left := func() bool { return !inFrom || n.left.walk(from, to, reverse, yield) }
	right := func() bool { return !inTo || n.right.walk(from, to, reverse, yield) }
	if reverse {
		left, right = right, left
	}
	return left() && (!inFrom || !inTo || yield(n.pair)) && right()
}
