package inflate

import "io"

// fastInput is how much input an iteration of the fast loop may look at: three
// times it reads 8 bytes and goes on by up to 7.
const fastInput = 22

// Of an impossible symbol, and of a match that reaches back too far.
var (
	errSymbol   = &CorruptError{"a code that stands for no symbol"}
	errDistance = &CorruptError{"a match from before the beginning"}
)

// inflate decompresses the symbols of a block until it, the room or the input ends.
func (d *Decoder) inflate(c *cursor, buf []byte, end int) (int, error) {
	floor := end - int(min(uint64(end), d.size)) // a match can reach back to here
	end, done, err := d.codes.fast(c, buf, end, floor)
	if !done && err == nil {
		end, done, err = d.codes.careful(c, buf, end, floor)
	}
	if done {
		d.next()
	}
	return end, err
}

// fast decompresses symbols as long as there is input and room to spare. done says
// that the block has ended.
//
// This loop is where the time goes. It refills the bits without a branch, looks up
// the next entry as early as it can, and takes up to three literals for one refill:
// of at least 56 bits, two literals and a length take 42 at most, three literals 33,
// and 11 must be left for the next look-up.
func (t *codes) fast(c *cursor, buf []byte, end, floor int) (_ int, done bool, err error) {
	src, in, bitbuf, bits := c.src, c.in, c.bitbuf, c.bits
	lastIn, lastEnd := len(src)-fastInput, len(buf)-Room
	if in >= lastIn || end >= lastEnd {
		return end, false, nil
	}
	bitbuf |= load64(src, in) << (bits & 63)
	in += int(7 - bits>>3&7)
	bits |= 56
	e := t.litlen[bitbuf&litlenMask]
	for in < lastIn && end < lastEnd {
		bitbuf >>= e.code()
		bits -= uint(e) // above its lowest 6 bits, bits may hold anything
		if e&isLiteral != 0 {
			store(buf, end, byte(e>>16))
			end++
			e = t.litlen[bitbuf&litlenMask]
			bitbuf >>= e.code()
			bits -= uint(e)
			if e&isLiteral != 0 {
				store(buf, end, byte(e>>16))
				end++
				e = t.litlen[bitbuf&litlenMask]
				bitbuf >>= e.code()
				bits -= uint(e)
			}
		}
		if e&(isLiteral|isExceptional) != 0 {
			if e&isSubtable != 0 {
				e = t.litlenSub[(uint64(e>>16)+bitbuf&(1<<e.extra()-1))&litlenSubMask]
				bitbuf >>= e.code()
				bits -= uint(e)
			}
			if e&isLiteral != 0 {
				store(buf, end, byte(e>>16))
				end++
				e = t.litlen[bitbuf&litlenMask]
				bitbuf |= load64(src, in) << (bits & 63)
				in += int(7 - bits>>3&7)
				bits |= 56
				continue
			}
			if e&isExceptional != 0 {
				if done = e&isEnd != 0; !done {
					err = errSymbol
				}
				break
			}
		}
		length := e.value(bitbuf)
		bitbuf >>= e.extra()
		bits -= e.extra()

		// At least 14 bits are left, a distance can take 28.
		e = t.dist[bitbuf&distMask]
		if bits&63 < 28 {
			bitbuf |= load64(src, in) << (bits & 63)
			in += int(7 - bits>>3&7)
			bits |= 56
		}
		if e&isExceptional != 0 {
			if e&isSubtable != 0 {
				bitbuf >>= e.code()
				bits -= uint(e)
				e = t.distSub[(uint64(e>>16)+bitbuf&(1<<e.extra()-1))&distSubMask]
			}
			if e&isExceptional != 0 {
				err = errSymbol
				break
			}
		}
		bitbuf >>= e.code()
		bits -= uint(e)
		dist := e.value(bitbuf)
		bitbuf >>= e.extra()
		bits -= e.extra()
		if dist > end-floor {
			err = errDistance
			break
		}
		bitbuf |= load64(src, in) << (bits & 63)
		in += int(7 - bits>>3&7)
		bits |= 56
		e = t.litlen[bitbuf&litlenMask]
		to, from := end+length, end-dist
		for dist < 16 && end < to { // what repeats every dist bytes repeats every 2*dist
			copy16(buf, end, from)
			end += dist
			dist += dist
		}
		for end < to {
			copy16(buf, end, from)
			copy16(buf, end+16, from+16)
			end += 32
			from += 32
		}
		end = to
	}
	c.in, c.bitbuf, c.bits = in, bitbuf, bits&63
	c.unread()
	return end, done, err
}

// careful decompresses symbol by symbol and takes none, and no match, of which the
// input does not hold all.
func (t *codes) careful(c *cursor, buf []byte, end, floor int) (_ int, done bool, err error) {
	defer c.unread()
	for len(buf)-end >= Room {
		start := *c
		e, length, err := c.symbol(t.litlen[:], t.litlenSub[:], litlenBits)
		switch {
		case err != nil:
			*c = start
			return end, false, err
		case e&isLiteral != 0:
			buf[end] = byte(e >> 16)
			end++
			continue
		case e&isEnd != 0:
			return end, true, nil
		}
		_, dist, err := c.symbol(t.dist[:], t.distSub[:], distBits)
		if err == nil && dist > end-floor {
			err = errDistance
		}
		if err != nil {
			*c = start
			return end, false, err
		}
		for from, to := end-dist, end+length; end < to; end++ {
			buf[end] = buf[from]
			from++
		}
	}
	return end, false, io.ErrShortBuffer
}

// symbol takes the next symbol with its extra bits.
func (c *cursor) symbol(table, sub []entry, mainBits int) (e entry, value int, err error) {
	c.refill()
	if e = table[c.bitbuf&(1<<mainBits-1)]; e&isSubtable != 0 {
		if c.bits < e.code() {
			return 0, 0, io.ErrUnexpectedEOF
		}
		c.drop(e.code())
		e = sub[uint64(e>>16)+c.bitbuf&(1<<e.extra()-1)]
	}
	if c.bits < e.code() {
		return 0, 0, io.ErrUnexpectedEOF
	}
	if e&isExceptional != 0 && e&isEnd == 0 {
		return 0, 0, errSymbol
	}
	c.drop(e.code())
	if c.bits < e.extra() {
		return 0, 0, io.ErrUnexpectedEOF
	}
	value = e.value(c.bitbuf)
	c.drop(e.extra())
	return e, value, nil
}
