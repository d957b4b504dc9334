package inflate

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
)

// Flags of a gzip header.
const (
	flagHeaderCRC = 1 << 1
	flagExtra     = 1 << 2
	flagName      = 1 << 3
	flagComment   = 1 << 4
	flagsReserved = 0xe0
)

// maxText bounds the name and the comment of a header; other readers have the same
// bound.
const maxText = 512

// header passes over the header of a member.
func (d *Decoder) header(c *cursor) error {
	const magic = "\x1f\x8b\x08"
	b := c.src[c.in:]
	if known := b[:min(len(b), len(magic))]; string(known) != magic[:len(known)] {
		return ErrHeader
	}
	if len(b) < 10 {
		return io.ErrUnexpectedEOF
	}
	flags := b[3]
	if flags&flagsReserved != 0 {
		return ErrHeader
	}
	n := 10
	if flags&flagExtra != 0 {
		if len(b) < n+2 {
			return io.ErrUnexpectedEOF
		}
		n += 2 + int(binary.LittleEndian.Uint16(b[n:]))
	}
	for _, flag := range [...]byte{flagName, flagComment} {
		if flags&flag == 0 {
			continue
		}
		text := b[min(n, len(b)):min(n+maxText, len(b))]
		end := bytes.IndexByte(text, 0)
		switch {
		case end >= 0:
			n += end + 1
		case len(text) == maxText:
			return ErrHeader
		default:
			return io.ErrUnexpectedEOF
		}
	}
	if flags&flagHeaderCRC != 0 {
		if len(b) < n+2 {
			return io.ErrUnexpectedEOF
		}
		if uint16(crc32.ChecksumIEEE(b[:n])) != binary.LittleEndian.Uint16(b[n:]) {
			return ErrHeader
		}
		n += 2
	}
	if len(b) < n {
		return io.ErrUnexpectedEOF
	}
	c.in += n
	d.state = atBlock
	return nil
}

// trailer checks what stands behind the data of a member.
func (d *Decoder) trailer(c *cursor) error {
	c.align()
	b := c.src[c.in:]
	if len(b) < 8 {
		return io.ErrUnexpectedEOF
	}
	c.in += 8
	if binary.LittleEndian.Uint32(b) != d.crc || binary.LittleEndian.Uint32(b[4:]) != uint32(d.size) {
		return ErrChecksum
	}
	d.Reset()
	return io.EOF
}
