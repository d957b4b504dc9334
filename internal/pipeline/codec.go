package pipeline

import (
	"encoding/binary"
	"math"

	"github.com/debutsec/debut/detect"
	"github.com/debutsec/debut/ecs"
)

// A codec writes values of one type in a fixed number of bytes. The bytes live as
// long as a run and are read by the process that wrote them.
type codec[T any] struct {
	size   int
	encode func(dst []byte, v *T) []byte
	decode func(src []byte, v *T)
}

const (
	hitSize   = 4 + 4*16 + 3*8 + 16 + 1
	foundSize = hitSize + 1 + 3*8 + 16 + 2*8 + 1 + 8
)

// hitCodec is for hits that are no findings yet: what is set in findings only is
// left out.
var hitCodec = codec[detect.Hit]{size: hitSize, encode: appendHit, decode: func(src []byte, h *detect.Hit) { //nolint:gochecknoglobals // a constant in all but name
	decodeHit(&reader{src}, h)
}}

func appendHit(b []byte, h *detect.Hit) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(h.Rule))
	b = append(b, h.Group[:]...)
	b = append(b, h.ID[:]...)
	b = append(b, h.Value[:]...)
	b = append(b, h.Principal[:]...)
	b = appendInt(b, h.Time)
	b = appendInt(b, h.Last)
	b = binary.LittleEndian.AppendUint64(b, h.Content)
	b = binary.LittleEndian.AppendUint32(b, h.Ref.Log)
	b = binary.LittleEndian.AppendUint32(b, h.Ref.Length)
	b = appendInt(b, h.Ref.Offset)
	return appendBool(b, h.Conflict)
}

func decodeHit(r *reader, h *detect.Hit) {
	h.Rule = int32(r.uint32())
	h.Group, h.ID, h.Value, h.Principal = r.id(), r.id(), r.id(), r.id()
	h.Time, h.Last = r.int(), r.int()
	h.Content = uint64(r.int())
	h.Ref = detect.Ref{Log: r.uint32(), Length: r.uint32(), Offset: r.int()}
	h.Conflict = r.bool()
}

// foundCodec is for findings, with all that has become of them.
var foundCodec = codec[found]{size: foundSize, encode: appendFound, decode: decodeFound} //nolint:gochecknoglobals // a constant in all but name

func appendFound(b []byte, f *found) []byte {
	b = appendHit(b, &f.Hit)
	b = appendBool(b, f.Recurs)
	b = appendInt(b, f.Previous)
	b = appendInt(b, f.Count)
	b = appendInt(b, f.Distinct)
	b = append(b, f.Instance[:]...)
	b = appendInt(b, f.Suppressed)
	b = appendInt(b, f.SuppressedEnd)
	b = appendBool(b, f.Withheld)
	return binary.LittleEndian.AppendUint64(b, math.Float64bits(f.coverage))
}

func decodeFound(src []byte, f *found) {
	r := &reader{src}
	decodeHit(r, &f.Hit)
	f.Recurs = r.bool()
	f.Previous, f.Count, f.Distinct = r.int(), r.int(), r.int()
	f.Instance = r.id()
	f.Suppressed, f.SuppressedEnd = r.int(), r.int()
	f.Withheld = r.bool()
	f.coverage = math.Float64frombits(uint64(r.int()))
}

func appendInt(b []byte, n int64) []byte { return binary.LittleEndian.AppendUint64(b, uint64(n)) }

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

// reader takes fields off the front of what was encoded.
type reader struct{ b []byte }

func (r *reader) take(n int) []byte {
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) uint32() uint32 { return binary.LittleEndian.Uint32(r.take(4)) }
func (r *reader) int() int64     { return int64(binary.LittleEndian.Uint64(r.take(8))) }
func (r *reader) id() ecs.ID     { return ecs.ID(r.take(16)) }
func (r *reader) bool() bool     { return r.take(1)[0] != 0 }
