package inflate

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
)

const (
	// Window is how far back DEFLATE can refer: so many of the bytes last
	// decompressed must still stand at the end of the buffer given to Append.
	Window = 32 << 10
	// Room is how much spare capacity Append needs to get on.
	Room = 320
	// Input is how much of a member is always enough for Append to get on.
	Input = 68 << 10
)

// Errors of Append, beside those of package io.
var (
	ErrHeader   = errors.New("not a gzip header")
	ErrChecksum = errors.New("the gzip checksum does not match the data")
)

// A CorruptError says what is wrong with compressed data.
type CorruptError struct{ Msg string }

func (e *CorruptError) Error() string { return e.Msg }

// A Decoder decompresses one gzip member after the other. The zero value is ready
// for use; it holds all its tables (some 13 KiB) and allocates nothing but errors.
// It must not be used by two goroutines at a time.
type Decoder struct {
	state  state
	final  bool   // the current block is the last one
	stored int    // bytes left of a stored block
	size   uint64 // bytes of this member so far
	crc    uint32 // of them

	// The input between calls: bits that were read and not yet used, fewer than 8.
	bitbuf uint64
	bits   uint

	codes   *codes // of the current block: own, or the fixed ones
	own     codes
	precode [precodeMask + 1]entry
	lengths [numLitlen + numDist]uint8
}

// state is what comes next in the input.
type state uint8

const (
	atHeader state = iota
	atBlock
	inStored
	inCodes
	atTrailer
)

// Reset makes d ready for the first byte of a member, whatever was before. After
// [io.EOF] it is so already.
func (d *Decoder) Reset() {
	d.state, d.size, d.crc, d.bitbuf, d.bits = atHeader, 0, 0, 0, 0
}

// Append decompresses src, the next bytes of a member, into the spare capacity of
// dst. It returns dst with what was added, and how many bytes of src it took. It may
// write anywhere in the spare capacity, and keeps neither slice.
//
// It ends with one of these errors:
//
//   - [io.EOF]: the member has ended, and its length and checksum are right. What
//     src[n:] begins with is behind it.
//   - [io.ErrShortBuffer]: less than [Room] is spare. Call again with more; dst must
//     still end with the last [Window] bytes of the member, if there are so many.
//   - [io.ErrUnexpectedEOF]: src ends inside the member. Call again with src[n:] and
//     what follows it, if anything does. Out of [Input] bytes it always takes some.
//   - [ErrHeader], [ErrChecksum] or a [*CorruptError]: the data is damaged. What could
//     be decompressed before the damage has been added to dst.
func (d *Decoder) Append(dst, src []byte) (out []byte, n int, err error) {
	c := cursor{src: src, bitbuf: d.bitbuf, bits: d.bits}
	buf, end := dst[:cap(dst)], len(dst)
	for err == nil {
		from, start := end, c
		switch d.state {
		case inStored:
			end, err = d.copyStored(&c, buf, end)
		case inCodes:
			end, err = d.inflate(&c, buf, end)
		case atHeader:
			err = d.header(&c)
		case atBlock:
			err = d.block(&c)
		case atTrailer:
			err = d.trailer(&c)
		}
		if end == from && err == io.ErrUnexpectedEOF { //nolint:errorlint // our own, never wrapped
			c = start // nothing by halves
		}
		d.crc = crc32.Update(d.crc, crc32.IEEETable, buf[from:end])
		d.size += uint64(end - from)
	}
	d.bitbuf, d.bits = c.bitbuf, c.bits
	return buf[:end], c.in, err
}

// A cursor reads the input bit by bit. Between steps it holds fewer than 8 bits.
type cursor struct {
	src    []byte
	in     int    // the next byte of src
	bitbuf uint64 // bits read; above their number, bits to come may stand already
	bits   uint   // number of bits in bitbuf
}

// refill gets at least 56 bits, or all that there are.
func (c *cursor) refill() {
	if len(c.src)-c.in >= 8 {
		c.bitbuf |= binary.LittleEndian.Uint64(c.src[c.in:]) << (c.bits & 63)
		c.in += int((63 - c.bits) >> 3)
		c.bits |= 56
		return
	}
	for c.bits < 56 && c.in < len(c.src) {
		c.bitbuf |= uint64(c.src[c.in]) << c.bits
		c.in++
		c.bits += 8
	}
}

// take returns the next n bits, fewer than 56, or an error if there are not so many.
func (c *cursor) take(n uint) (int, error) {
	if c.bits < n {
		if c.refill(); c.bits < n {
			return 0, io.ErrUnexpectedEOF
		}
	}
	v := c.bitbuf & (1<<n - 1)
	c.drop(n)
	return int(v), nil
}

// drop drops n bits that are there.
func (c *cursor) drop(n uint) {
	c.bitbuf >>= n & 63
	c.bits -= n
}

// unread gives back what was read and not used, but for the rest of a byte.
func (c *cursor) unread() {
	c.in -= int(c.bits >> 3)
	c.bits &= 7
	c.bitbuf &= 1<<c.bits - 1
}

// align gives up the rest of a byte.
func (c *cursor) align() {
	c.unread()
	c.bitbuf, c.bits = 0, 0
}

// block reads the header of a block.
func (d *Decoder) block(c *cursor) error {
	defer c.unread()
	v, err := c.take(3)
	if err != nil {
		return err
	}
	d.final = v&1 != 0
	switch v >> 1 {
	case 0:
		c.align()
		n, _ := c.take(16)
		inverse, err := c.take(16)
		if err != nil {
			return err
		}
		if n^inverse != 0xffff {
			return &CorruptError{"the length of a stored block is wrong"}
		}
		d.state, d.stored = inStored, n
	case 1:
		d.state, d.codes = inCodes, fixed
	case 2:
		if err := d.readCodes(c); err != nil {
			return err
		}
		d.state, d.codes = inCodes, &d.own
	default:
		return &CorruptError{"a block of an unknown type"}
	}
	return nil
}

// next goes on to what follows a block.
func (d *Decoder) next() {
	d.state = atBlock
	if d.final {
		d.state = atTrailer
	}
}

func (d *Decoder) copyStored(c *cursor, buf []byte, end int) (int, error) {
	n := copy(buf[end:], c.src[c.in:min(len(c.src), c.in+d.stored)])
	end += n
	c.in += n
	switch d.stored -= n; {
	case d.stored == 0:
		d.next()
		return end, nil
	case c.in == len(c.src):
		return end, io.ErrUnexpectedEOF
	}
	return end, io.ErrShortBuffer
}

// precodeOrder is the order in which the lengths of the precode's codes are sent.
var precodeOrder = [numPrecode]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15} //nolint:gochecknoglobals // a constant table

// maxPrecode is how many bits a symbol of the precode takes at most.
const maxPrecode = precodeBits + 7

// readCodes reads the codes that a block begins with and builds their tables.
func (d *Decoder) readCodes(c *cursor) error {
	v, err := c.take(14)
	if err != nil {
		return err
	}
	litlens, dists, precodes := v&31+257, v>>5&31+1, v>>10+4
	if litlens > 286 || dists > 30 {
		return &CorruptError{"a block with more symbols than there are"}
	}
	var precode [numPrecode]uint8
	for _, s := range precodeOrder[:precodes] {
		n, err := c.take(3)
		if err != nil {
			return err
		}
		precode[s] = uint8(n)
	}
	if !build(d.precode[:], nil, precodeBits, precode[:], symbols.precode[:]) {
		return &CorruptError{"the code of a block's code lengths is not complete"}
	}
	lengths := d.lengths[:litlens+dists]
	for i := 0; i < len(lengths); {
		if c.bits < maxPrecode {
			c.refill()
		}
		e := d.precode[c.bitbuf&precodeMask]
		if c.bits < e.code() {
			return io.ErrUnexpectedEOF
		}
		c.drop(e.code())
		if e&isLiteral != 0 {
			lengths[i] = uint8(e >> 16)
			i++
			continue
		}
		if e&isExceptional != 0 {
			return &CorruptError{"a code that stands for no code length"}
		}
		if c.bits < e.extra() {
			return io.ErrUnexpectedEOF
		}
		run := e.value(c.bitbuf)
		c.drop(e.extra())
		var length uint8
		if e&isRepeat != 0 {
			if i == 0 {
				return &CorruptError{"the first code length is a repetition"}
			}
			length = lengths[i-1]
		}
		if run > len(lengths)-i {
			return &CorruptError{"more code lengths than symbols"}
		}
		for range run {
			lengths[i] = length
			i++
		}
	}
	if !d.own.build(lengths[:litlens], lengths[litlens:]) {
		return &CorruptError{"the code of a block is not complete"}
	}
	return nil
}
