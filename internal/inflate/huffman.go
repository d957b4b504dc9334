package inflate

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

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
	isRepeat      entry = 1 << 12 // of the precode: a run of the length before, not of zeros
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
	for i := range 16 {
		s.precode[i] = isLiteral | entry(i)<<16
	}
	s.precode[16] = 3<<16 | 2<<8 | isRepeat
	s.precode[17] = 3<<16 | 3<<8
	s.precode[18] = 11<<16 | 7<<8
	return s
}()

// codes are the tables of a block's two codes.
type codes struct {
	litlen    [litlenMask + 1]entry
	litlenSub [litlenSubMask + 1]entry
	dist      [distMask + 1]entry
	distSub   [distSubMask + 1]entry
}

// build reports whether both codes are complete.
func (t *codes) build(litlen, dist []uint8) bool {
	return build(t.litlen[:], t.litlenSub[:], litlenBits, litlen, symbols.litlen[:]) &&
		build(t.dist[:], t.distSub[:], distBits, dist, symbols.dist[:])
}

// fixed are the codes that the format fixes.
var fixed = func() *codes { //nolint:gochecknoglobals // constant tables
	var litlen [numLitlen]uint8
	for i := range litlen {
		switch {
		case i < 144:
			litlen[i] = 8
		case i < 256:
			litlen[i] = 9
		case i < 280:
			litlen[i] = 7
		default:
			litlen[i] = 8
		}
	}
	t := new(codes)
	t.build(litlen[:], bytes.Repeat([]byte{5}, numDist))
	return t
}()

// build fills a table of 1<<mainBits entries, and its subtables, for the canonical
// Huffman code of these code lengths. It reports whether the code is complete, or one
// of the two that are let through all the same, as zlib does: no symbol at all, and a
// single one of one bit.
func build(table, sub []entry, mainBits int, lengths []uint8, symbols []entry) bool {
	var count [maxCodeBits + 1]int
	for i := 0; i < len(lengths); i += 8 {
		for _, n := range eight(lengths, i) {
			count[n&maxCodeBits]++
		}
	}
	// Sort the symbols by the lengths of their codes; those that have none go behind.
	var next [maxCodeBits + 1]int
	space := 0 // how many codes of this length are taken
	used := 0
	for n := 1; n <= maxCodeBits; n++ {
		next[n] = used
		used += count[n]
		if space = space<<1 + count[n]; space > 1<<n {
			return false
		}
	}
	next[0] = used
	var sorted [numLitlen]uint16
	for i := 0; i < len(lengths); i += 8 {
		for k, n := range eight(lengths, i) {
			n &= maxCodeBits
			sorted[next[n]] = uint16(i + k)
			next[n]++
		}
	}
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

// eight returns eight of the lengths from i on, or fewer at their end; none if all
// eight are zero, as most are.
func eight(lengths []uint8, i int) []uint8 {
	part := lengths[i:]
	if len(part) >= 8 {
		if part = part[:8]; binary.LittleEndian.Uint64(part) == 0 {
			return nil
		}
	}
	return part
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
