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

// copy16 copies b[from:from+16] to b[to:to+16]. The fast loop calls it with
// 0 <= from < to <= lastEnd+2+maxMatch+16, where lastEnd is len(b)-Room.
func copy16(b []byte, to, from int) { *(*[16]byte)(at(b, to)) = *(*[16]byte)(at(b, from)) }
