package inflate

import (
	"encoding/binary"
	"unsafe"
)

// The accesses of the hot loop are made without a check of their bounds, which
// costs a fifth of the speed. Their callers hold them in bounds: see at each what
// they must have checked.

// at returns where b[i] is.
func at(b []byte, i int) unsafe.Pointer {
	return unsafe.Add(unsafe.Pointer(unsafe.SliceData(b)), i) //nolint:gosec // audited: see each caller
}

// load64 reads b[i:i+8]. The fast loop begins an iteration with i < len(b)-fastInput.
func load64(b []byte, i int) uint64 { return binary.LittleEndian.Uint64((*[8]byte)(at(b, i))[:]) }

// store sets b[i]. The fast loop begins an iteration with i < len(b)-Room.
func store(b []byte, i int, v byte) { *(*byte)(at(b, i)) = v }

// copyMatch copies length bytes from dist before end to end, where the two may
// overlap, and returns the new end. It writes, and reads, up to 32 bytes further than
// the length says. 1 <= dist <= end and end <= len(buf)-maxMatch-32 must hold.
func copyMatch(buf []byte, end, dist, length int) int {
	to := end + length
	from := end - dist
	for dist < 16 && end < to {
		// What repeats every dist bytes also repeats every 2*dist.
		*(*[16]byte)(at(buf, end)) = *(*[16]byte)(at(buf, from))
		end += dist
		dist += dist
	}
	for end < to {
		*(*[16]byte)(at(buf, end)) = *(*[16]byte)(at(buf, from))
		*(*[16]byte)(at(buf, end+16)) = *(*[16]byte)(at(buf, from+16))
		end += 32
		from += 32
	}
	return to
}
