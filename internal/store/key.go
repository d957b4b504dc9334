package store

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/debutsec/debut/ecs"
)

// Keys sort as what they are made of: numbers big-endian, times with the sign bit
// turned, texts with their length in front only where something follows.

func keyTime(b []byte, t int64) []byte {
	return binary.BigEndian.AppendUint64(b, uint64(t)^(1<<63))
}

func timeOf(b []byte) int64 { return int64(binary.BigEndian.Uint64(b) ^ (1 << 63)) }

func keyNumber(b []byte, n uint32) []byte { return binary.BigEndian.AppendUint32(b, n) }

// keyText ends a text with a zero, which no text of a key may hold: those of logs are
// cut and cleaned by [clean] before.
func keyText(b []byte, s string) []byte { return append(append(b, s...), 0) }

// Behind returns the first key behind all that begin with prefix, nil if there is none.
func Behind(prefix []byte) []byte {
	end := append([]byte(nil), prefix...)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i] != 0xff {
			end[i]++
			return end[:i+1]
		}
	}
	return nil
}

// maxName bounds a text from outside in a key.
const maxName = 64

// clean makes a text from a log fit for a key.
func clean(s string) string {
	s = s[:min(len(s), maxName)]
	for i := range len(s) {
		if s[i] == 0 {
			return s[:i]
		}
	}
	return s
}

func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// A decoder takes fields off the front of a value. What is cut short sets bad.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) take(n int) []byte {
	if len(d.b) < n {
		d.bad = true
		return make([]byte, n)
	}
	b := d.b[:n]
	d.b = d.b[n:]
	return b
}

func (d *decoder) number() int32 { return int32(binary.BigEndian.Uint32(d.take(4))) }
func (d *decoder) byte() byte    { return d.take(1)[0] }
func (d *decoder) int() int64    { return int64(binary.LittleEndian.Uint64(d.take(8))) }
func (d *decoder) uint() uint64  { return binary.LittleEndian.Uint64(d.take(8)) }
func (d *decoder) id() ecs.ID    { return ecs.ID(d.take(16)) }
func (d *decoder) string() string {
	n := binary.LittleEndian.Uint32(d.take(4))
	if d.bad || int64(n) > int64(len(d.b)) {
		d.bad = true
		return ""
	}
	return string(d.take(int(n)))
}

func (d *decoder) err(t Table) error {
	if d.bad || len(d.b) > 0 {
		return fmt.Errorf("a value of table %s: %w", t, ErrDamaged)
	}
	return nil
}

func putInt(b []byte, n int64) []byte   { return binary.LittleEndian.AppendUint64(b, uint64(n)) }
func putUint(b []byte, n uint64) []byte { return binary.LittleEndian.AppendUint64(b, n) }
func putText[T string | []byte](b []byte, s T) []byte {
	return append(binary.LittleEndian.AppendUint32(b, uint32(len(s))), s...)
}
