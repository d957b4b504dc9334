package inflate

import "math/bits"

// Limits of the format.
const (
	maxCodeBits = 15
	maxMatch    = 258
	endOfBlock  = 256
	numLitlen   = 288 // literals, end of block, lengths; 286 and 287 never occur
	numDist     = 32  // 30 and 31 never occur
	numPrecode  = 19
)

// The main tables resolve so many bits at once, and longer codes go on in a
// subtable. Of a complete code these need at most 2342-2048 and 402-256 entries
// (zlib's enough.c); more are there so that a mask holds an index in bounds.
const (
	litlenBits  = 11
	distBits    = 8
	precodeBits = 7 // the longest there are

	litlenMask    = 1<<litlenBits - 1
	distMask      = 1<<distBits - 1
	precodeMask   = 1<<precodeBits - 1
	litlenSubMask = 512 - 1
	distSubMask   = 256 - 1
)

// An entry says what the next bits of the input mean:
//
//	bits 0–3    how many of them are the code
//	bits 8–11   how many extra bits follow it; of a subtable, how many index it
//	bits 13–15  subtable; end of block; exceptional: one of these two, or no symbol
//	bits 16–30  the literal, the base of a length or distance, the subtable's place
//	bit  31     literal
type entry uint32

const (
	isLiteral     entry = 1 << 31
	isExceptional entry = 1 << 15
	isEnd         entry = 1 << 14
	isSubtable    entry = 1 << 13
	noSymbol            = isExceptional
)

// These read an entry. The masks also tell the compiler that a shift by so many
// bits needs no check.
func (e entry) code() uint  { return uint(e & 63) }
func (e entry) extra() uint { return uint(e >> 8 & 15) }

// value returns the base of e plus its extra bits, which b begins with.
func (e entry) value(b uint64) int { return int(e>>16) + int(b&(1<<e.extra()-1)) }

// symbols hold, for each symbol of an alphabet, its entry but for the length of its
// code.
var symbols = func() (s struct { //nolint:gochecknoglobals // constant tables
	litlen  [numLitlen]entry
	dist    [numDist]entry
	precode [numPrecode]entry
},
) {
	for i := range endOfBlock {
		s.litlen[i] = isLiteral | entry(i)<<16
	}
	s.litlen[endOfBlock] = isExceptional | isEnd
	base := 3
	for i := 257; i < 285; i++ {
		extra := max(0, (i-257)/4-1)
		s.litlen[i] = entry(base)<<16 | entry(extra)<<8
		base += 1 << extra
	}
	s.litlen[285] = maxMatch << 16
	s.litlen[286], s.litlen[287] = noSymbol, noSymbol
	base = 1
	for i := range 30 {
		extra := max(0, i/2-1)
		s.dist[i] = entry(base)<<16 | entry(extra)<<8
		base += 1 << extra
	}
	s.dist[30], s.dist[31] = noSymbol, noSymbol
	for i := range s.precode {
		s.precode[i] = entry(i) << 16
	}
	return s
}()

// build fills a table of 1<<mainBits entries, and its subtables, for the canonical
// Huffman code of these code lengths. It reports whether the code is complete, or one
// of the two that are let through all the same, as zlib does: no symbol at all, and a
// single one of one bit.
func build(table, sub []entry, mainBits int, lengths []uint8, symbols []entry) bool {
	var count [maxCodeBits + 1]int
	for _, n := range lengths {
		count[n&maxCodeBits]++
	}
	var next [maxCodeBits + 2]int // where the symbols of a length go, sorted
	space := 0                    // how many codes of this length are taken
	for n := 1; n <= maxCodeBits; n++ {
		next[n+1] = next[n] + count[n]
		if space = space<<1 + count[n]; space > 1<<n {
			return false
		}
	}
	var sorted [numLitlen]uint16
	for s, n := range lengths {
		if n != 0 {
			sorted[next[n]] = uint16(s)
			next[n]++
		}
	}
	used := next[maxCodeBits]
	if space == 1<<maxCodeBits {
		fill(table, sub, mainBits, sorted[:used], &count, symbols)
		return true
	}
	two := [2]entry{noSymbol, noSymbol}
	if used > 0 {
		two = [2]entry{symbols[sorted[0]] + 1, noSymbol + 1}
	}
	for i := range table {
		table[i] = two[i&1]
	}
	return used == 0 || used == 1 && count[1] == 1
}

// fill assigns the codes of a complete code. The first bit of a code is the lowest
// one of the table's index, so codes are counted up mirrored.
func fill(table, sub []entry, mainBits int, sorted []uint16, count *[maxCodeBits + 1]int, symbols []entry) {
	n, left := 0, 0                // the length of code, how many of it are left
	filled := 1                    // of table; the bits above do not matter for what is there
	prefix, start, end := -1, 0, 0 // of the current subtable
	code := 0
	for i, s := range sorted {
		for ; left == 0; left = count[n] {
			if n++; n <= mainBits {
				copy(table[filled:], table[:filled])
				filled <<= 1
			}
		}
		left--
		e := symbols[s]
		if n <= mainBits {
			table[code] = e + entry(n)
		} else {
			if code&(1<<mainBits-1) != prefix {
				// The first code of a subtable, which is as large as the codes with this prefix need.
				prefix = code & (1<<mainBits - 1)
				subBits := n - mainBits
				for have := left + 1; have < 1<<subBits; {
					subBits++
					have = have<<1 + count[mainBits+subBits]
				}
				start, end = end, end+1<<subBits
				table[prefix] = isExceptional | isSubtable | entry(start)<<16 | entry(subBits)<<8 | entry(mainBits)
			}
			for j := start + code>>mainBits; j < end; j += 1 << (n - mainBits) {
				sub[j] = e + entry(n-mainBits)
			}
		}
		if i < len(sorted)-1 {
			// Add one: the highest zero becomes one, the ones above it zero.
			high := bits.Len(uint(code^(1<<n-1))) - 1
			code = code&(1<<high-1) | 1<<high
		}
	}
	for ; filled < len(table); filled <<= 1 {
		copy(table[filled:], table[:filled])
	}
}
