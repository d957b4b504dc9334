package events

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"runtime"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/debutsec/debut/ecs"
	"github.com/debutsec/debut/internal/store"
)

// docs/format/log.md describes what is written here.

// MaxFrame is how many bytes the records of one frame may have, with their names.
const MaxFrame = 1 << 30

const (
	frameMark   = "\xf7dbf" // begins a frame; 0xf7 is in no UTF-8 text
	frameHeader = 52
	frameZstd   = 1 // type: records, compressed with zstd
	minRecord   = 1 + 1 + len(ecs.ID{}) + 1
)

// errFrame: the bytes are no frame.
var errFrame = fmt.Errorf("%w: not a whole frame", store.ErrDamaged)

// A header is what stands before the payload of a frame.
type header struct {
	length   uint32 // of the payload
	raw      uint32 // of the payload before compression
	count    uint32 // records
	sum      uint32 // CRC-32C of the payload
	stored   int64  // when it was appended, nanoseconds
	min, max int64  // times of the records; min > max: there are none
}

// size is that of the whole frame.
func (h *header) size() int64 { return frameHeader + int64(h.length) }

// end is the offset behind a frame at offset.
func (h *header) end(offset int64) int64 { return offset + h.size() }

func (h *header) overlaps(from, to int64) bool { return h.min <= h.max && h.min < to && h.max >= from }

// parseHeader reads the header of a frame that stands at an offset. A frame that
// stands elsewhere than where it was written is none.
func parseHeader(b []byte, offset int64) (h header, ok bool) {
	if len(b) < frameHeader || string(b[:4]) != frameMark || b[4] != frameZstd || b[5]|b[6]|b[7] != 0 {
		return h, false
	}
	if binary.LittleEndian.Uint32(b[48:]) != headerSum(b, offset) {
		return h, false
	}
	le := binary.LittleEndian
	h = header{
		length: le.Uint32(b[8:]), raw: le.Uint32(b[12:]), count: le.Uint32(b[16:]), sum: le.Uint32(b[20:]),
		stored: int64(le.Uint64(b[24:])), min: int64(le.Uint64(b[32:])), max: int64(le.Uint64(b[40:])),
	}
	return h, h.raw <= MaxFrame && h.length <= 2*MaxFrame && int64(h.count)*int64(minRecord) <= int64(h.raw)
}

// stamp completes the header of an encoded frame, now that its place is known.
func stamp(frame []byte, offset, now int64) {
	binary.LittleEndian.PutUint64(frame[24:], uint64(now))
	binary.LittleEndian.PutUint32(frame[48:], headerSum(frame, offset))
}

// headerSum covers the header and where it stands.
func headerSum(b []byte, offset int64) uint32 {
	var at [8]byte
	binary.LittleEndian.PutUint64(at[:], uint64(offset))
	return crc32.Update(crc32.Checksum(b[:48], castagnoli), castagnoli, at[:])
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli) //nolint:gochecknoglobals // a constant table

// A codec compresses and decompresses frames. Both halves may be used by any number
// of goroutines.
type codec struct {
	enc *zstd.Encoder
	dec *zstd.Decoder
}

// shared makes the codec when it is first needed: an encoder has large tables.
var shared = sync.OnceValue(func() codec { //nolint:gochecknoglobals // a cache without state of its own
	n := runtime.GOMAXPROCS(0)
	enc, encErr := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderCRC(false), zstd.WithEncoderConcurrency(n))
	dec, decErr := zstd.NewReader(nil, zstd.WithDecoderConcurrency(n), zstd.WithDecoderMaxMemory(MaxFrame+1))
	if err := errors.Join(encErr, decErr); err != nil {
		panic(err) // the options are constants
	}
	return codec{enc, dec}
})

// plains are buffers for payloads before compression.
var plains = sync.Pool{New: func() any { return new([]byte) }} //nolint:gochecknoglobals // a pool

// keepBuffer is the largest buffer worth keeping.
const keepBuffer = 16 << 20

// Encode makes a frame ready to be appended. It does the work that an append needs,
// and may be called by any number of goroutines. It fails if the records have more
// than [MaxFrame] bytes together.
func Encode(f *store.Frame) (store.Encoded, error) {
	size := 2*binary.MaxVarintLen64 + len(f.Meta)
	for i := range f.Records {
		size += minRecord + 2*binary.MaxVarintLen64 + len(f.Records[i].Raw)
		if size > MaxFrame {
			return nil, fmt.Errorf("encode a frame of %d records: it has more than %d bytes; make frames of fewer records", len(f.Records), MaxFrame)
		}
	}
	buf, _ := plains.Get().(*[]byte)
	plain := appendPayload((*buf)[:0], f)
	h := header{raw: uint32(len(plain)), count: uint32(len(f.Records)), min: maxTime, max: minTime}
	for i := range f.Records {
		h.min, h.max = min(h.min, f.Records[i].Time), max(h.max, f.Records[i].Time)
	}
	out := make([]byte, frameHeader, frameHeader+len(plain)/6+64)
	out = shared().enc.EncodeAll(plain, out)
	if cap(plain) <= keepBuffer {
		*buf = plain
		plains.Put(buf)
	}
	payload := out[frameHeader:]
	h.length, h.sum = uint32(len(payload)), crc32.Checksum(payload, castagnoli)
	le := binary.LittleEndian
	copy(out, frameMark)
	out[4] = frameZstd
	le.PutUint32(out[8:], h.length)
	le.PutUint32(out[12:], h.raw)
	le.PutUint32(out[16:], h.count)
	le.PutUint32(out[20:], h.sum)
	le.PutUint64(out[32:], uint64(h.min))
	le.PutUint64(out[40:], uint64(h.max))
	return out, nil
}

// whole reports whether e is one frame as Encode makes them, not yet stamped.
func whole(e store.Encoded) bool {
	return len(e) >= frameHeader && string(e[:4]) == frameMark &&
		int64(binary.LittleEndian.Uint32(e[8:]))+frameHeader == int64(len(e))
}

// appendPayload puts like things together: they compress better, and who needs only
// times finds them at the front.
func appendPayload(dst []byte, f *store.Frame) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(f.Meta)))
	dst = append(dst, f.Meta...)
	for i := range f.Records {
		dst = append(dst, f.Records[i].Kind)
	}
	last := int64(0)
	for i := range f.Records {
		dst = binary.AppendVarint(dst, f.Records[i].Time-last) // may wrap, and wraps back
		last = f.Records[i].Time
	}
	for i := range f.Records {
		dst = append(dst, f.Records[i].ID[:]...)
	}
	for i := range f.Records {
		dst = binary.AppendUvarint(dst, uint64(len(f.Records[i].Raw)))
	}
	for i := range f.Records {
		dst = append(dst, f.Records[i].Raw...)
	}
	return dst
}

// A decoder reads frames back. It keeps buffers, and belongs to one goroutine.
type decoder struct {
	plain   []byte
	records []store.Record
	sizes   []uint64      // of the records' texts
	stream  *zstd.Decoder // for keys; nil: none was needed
}

// decode reads the payload of a frame. The frame is valid until the next call.
func (d *decoder) decode(h *header, payload []byte) (store.Frame, error) {
	if err := h.check(payload); err != nil {
		return store.Frame{}, err
	}
	d.room(int(h.raw))
	plain, err := shared().dec.DecodeAll(payload, d.plain[:0])
	if err != nil || len(plain) != int(h.raw) {
		return store.Frame{}, fmt.Errorf("%w: a frame does not decompress to %d bytes", store.ErrDamaged, h.raw)
	}
	d.plain = plain
	return d.parse(plain, int(h.count))
}

func (h *header) check(payload []byte) error {
	if uint32(len(payload)) != h.length || crc32.Checksum(payload, castagnoli) != h.sum {
		return fmt.Errorf("%w: checksum of a frame", store.ErrDamaged)
	}
	return nil
}

// room makes room for n bytes in d.plain.
func (d *decoder) room(n int) {
	if cap(d.plain) > keepBuffer && n <= keepBuffer {
		d.plain = nil // one giant must not keep its room
	}
	if cap(d.plain) < n {
		d.plain = make([]byte, 0, n)
	}
}

// manyBlocks is how many bytes a frame has at least of which the keys are decompressed
// alone: zstd decompresses blocks of 128 KiB.
const manyBlocks = 512 << 10

// keys reads a frame's records without their texts, whose lengths are in d.sizes. Of a
// large frame it decompresses the beginning only. The frame is valid until the next call.
func (d *decoder) keys(h *header, payload []byte) (store.Frame, error) {
	// What a record has before the texts, and what a frame is expected to have for Meta.
	most := 1<<10 + int64(h.count)*int64(len(ecs.ID{})+1+2*binary.MaxVarintLen64)
	if int64(h.raw) < manyBlocks || most > int64(h.raw)/2 {
		return d.decode(h, payload)
	}
	if err := h.check(payload); err != nil {
		return store.Frame{}, err
	}
	if d.stream == nil {
		var err error
		if d.stream, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(MaxFrame+1)); err != nil {
			return store.Frame{}, fmt.Errorf("make a decoder: %w", err)
		}
	}
	d.room(int(most))
	d.plain = d.plain[:most]
	err := d.stream.Reset(bytes.NewReader(payload))
	if err == nil {
		_, err = io.ReadFull(d.stream, d.plain)
	}
	if err == nil {
		if f, _, err := d.parseKeys(d.plain, int(h.count)); err == nil {
			return f, nil
		}
	}
	return d.decode(h, payload) // it says what is wrong, if anything is
}

func (d *decoder) parse(b []byte, count int) (store.Frame, error) {
	f, texts, err := d.parseKeys(b, count)
	if err != nil {
		return store.Frame{}, err
	}
	for i := range f.Records {
		n := d.sizes[i]
		if n > uint64(len(texts)) {
			return store.Frame{}, errRecords
		}
		f.Records[i].Raw, texts = texts[:n:n], texts[n:]
	}
	if len(texts) > 0 {
		return store.Frame{}, errRecords
	}
	return f, nil
}

var errRecords = fmt.Errorf("%w: the records of a frame", store.ErrDamaged)

// parseKeys reads what stands before the texts: the records without them, and in d.sizes
// how long each is.
func (d *decoder) parseKeys(b []byte, count int) (f store.Frame, texts []byte, err error) {
	n, k := binary.Uvarint(b)
	if k <= 0 || n > uint64(len(b)-k) {
		return f, nil, errRecords
	}
	f.Meta, b = b[k:k+int(n):k+int(n)], b[k+int(n):]
	if len(b) < count*minRecord {
		return f, nil, errRecords
	}
	if cap(d.records) < count || cap(d.records) > 4*count+1024 {
		d.records, d.sizes = make([]store.Record, count), make([]uint64, count)
	}
	f.Records, d.sizes = d.records[:count], d.sizes[:count]
	for i := range f.Records {
		f.Records[i] = store.Record{Kind: b[i]}
	}
	b = b[count:]
	last := int64(0)
	for i := range f.Records {
		v, k := binary.Varint(b)
		if k <= 0 {
			return store.Frame{}, nil, errRecords
		}
		last += v
		f.Records[i].Time, b = last, b[k:]
	}
	if len(b) < count*len(ecs.ID{}) {
		return store.Frame{}, nil, errRecords
	}
	for i := range f.Records {
		b = b[copy(f.Records[i].ID[:], b):]
	}
	for i := range d.sizes {
		n, k := binary.Uvarint(b)
		if k <= 0 || n > MaxFrame {
			return store.Frame{}, nil, errRecords
		}
		d.sizes[i], b = n, b[k:]
	}
	return f, b, nil
}
