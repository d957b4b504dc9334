package inflate_test

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"testing"

	kflate "github.com/klauspost/compress/flate"
	kgzip "github.com/klauspost/compress/gzip"

	"github.com/debutsec/debut/internal/inflate"
)

// inflateAll decompresses the members of src. It hands the input over in pieces of
// up to piece bytes and gives room for up to room bytes at a time (0: all at once),
// as a caller with windows would.
func inflateAll(src []byte, piece, room int) (out, rest []byte, err error) {
	var d inflate.Decoder
	if room == 0 {
		room = 64 << 10
	}
	buf := make([]byte, inflate.Window+inflate.Room+room)
	have := 0
	if piece == 0 {
		piece = len(src)
	}
	given := min(piece, len(src))
	for {
		if len(buf)-have < inflate.Room+room {
			have = copy(buf, buf[have-inflate.Window:have])
		}
		full, n, err := d.Append(buf[:have:have+inflate.Room+room], src[:given])
		out = append(out, full[have:]...)
		have = len(full)
		src = src[n:]
		given -= n
		switch {
		case errors.Is(err, io.EOF):
			if len(src) == 0 {
				return out, nil, nil
			}
			given = max(given, min(piece, len(src)))
		case errors.Is(err, io.ErrUnexpectedEOF) && given < len(src):
			given = min(given+piece, len(src))
		case !errors.Is(err, io.ErrShortBuffer):
			return out, src, err
		}
	}
}

// frame puts compressed data into a gzip member that holds out.
func frame(deflated, out []byte) []byte {
	b := append([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255}, deflated...)
	b = binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(out))
	return binary.LittleEndian.AppendUint32(b, uint32(len(out)))
}

// samples are data of many kinds, from seed.
func samples(seed uint64) map[string][]byte {
	r := rand.New(rand.NewPCG(seed, 1))
	random := make([]byte, 100_000)
	for i := range random {
		random[i] = byte(r.Uint32())
	}
	var records, runs, far bytes.Buffer
	for records.Len() < 200_000 {
		fmt.Fprintf(&records, `{"eventVersion":"1.08","eventTime":"2026-01-%02dT%02d:%02d:%02dZ","eventSource":"s%d.amazonaws.com","eventID":"%08x-%04x"},`,
			r.IntN(28), r.IntN(24), r.IntN(60), r.IntN(60), r.IntN(20), r.Uint32(), r.IntN(1<<16))
	}
	for runs.Len() < 100_000 { // distances from 1 to 40, lengths up to 999
		unit := random[r.IntN(1000):][:1+r.IntN(40)]
		runs.Write(bytes.Repeat(unit, 1+r.IntN(999)/len(unit)))
	}
	far.Write(random[:32768]) // matches at the greatest distance
	far.Write(random[:32768])
	skewed := make([]byte, 100_000) // codes of every length
	for i := range skewed {
		for skewed[i] = 0; skewed[i] < 200 && r.IntN(2) == 0; skewed[i]++ {
		}
	}
	return map[string][]byte{
		"nothing": {}, "a byte": {'x'}, "random": random, "records": records.Bytes(), "runs": runs.Bytes(),
		"far": far.Bytes(), "skewed": skewed, "zeros": make([]byte, 200_000), "short": []byte(`{"Records":[]}`),
	}
}

func compress(t testing.TB, data []byte, level int, ours bool) []byte {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	var err error
	if ours {
		w, err = kgzip.NewWriterLevel(&b, level)
	} else {
		w, err = gzip.NewWriterLevel(&b, level)
	}
	if err != nil {
		t.Fatal(err)
	}
	for half := len(data) / 2; len(data) > 0; { // two writes, and a flush between them
		n := max(1, min(half, len(data)))
		if _, err := w.Write(data[:n]); err != nil {
			t.Fatal(err)
		}
		data = data[n:]
		if f, ok := w.(interface{ Flush() error }); ok && len(data) > 0 {
			if err := f.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestAllLevelsAndWindows(t *testing.T) {
	t.Parallel()
	for name, data := range samples(1) {
		for level := gzip.HuffmanOnly; level <= gzip.BestCompression; level++ {
			for _, writer := range []bool{true, false} {
				src := compress(t, data, level, writer)
				for _, w := range [][2]int{{0, 0}, {1 << 15, 1 << 15}, {777, 5000}, {1, 0}, {0, 1}} {
					if min(w[0], w[1]) == 0 && w != [2]int{} && len(data) > 70_000 {
						continue // slow
					}
					out, rest, err := inflateAll(src, w[0], w[1])
					if err != nil || len(rest) > 0 || !bytes.Equal(out, data) {
						t.Errorf("%s, level %d, pieces %v: %d bytes of %d, rest %d, %v", name, level, w, len(out), len(data), len(rest), err)
					}
				}
			}
		}
	}
}

func TestMembersAndWhatIsBehindThem(t *testing.T) {
	t.Parallel()
	one, two := compress(t, []byte("one"), 6, false), compress(t, []byte("two"), 6, false)
	src := append(append([]byte{}, one...), two...)
	if out, _, err := inflateAll(src, 0, 0); err != nil || string(out) != "onetwo" {
		t.Errorf("%q %v", out, err)
	}
	out, rest, err := inflateAll(append(src, "garbage and more"...), 0, 0)
	if !errors.Is(err, inflate.ErrHeader) || string(out) != "onetwo" || string(rest) != "garbage and more" {
		t.Errorf("%q %q %v", out, rest, err)
	}
	// A member cannot refer to the one before it.
	reach := []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 0x03, 0x02, 0x00} // fixed: length 3, distance 1
	_, _, err = inflateAll(append(one, reach...), 0, 0)
	if _, ok := errors.AsType[*inflate.CorruptError](err); !ok {
		t.Errorf("a match into the member before: %v", err)
	}
}

// reference decompresses a DEFLATE stream with the standard library.
func reference(data []byte) (out []byte, used int, err error) {
	in := bytes.NewReader(data)
	out, err = io.ReadAll(flate.NewReader(in))
	return out, len(data) - in.Len(), err
}

// agrees holds Append against the streaming readers, for any DEFLATE data.
func agrees(t testing.TB, deflated []byte, piece, room int) {
	t.Helper()
	want, used, wantErr := reference(deflated)
	src := append([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255}, deflated...)
	if wantErr == nil {
		src = frame(deflated[:used], want)
	}
	out, rest, err := inflateAll(src, piece, room)
	if wantErr == nil {
		if err != nil || len(rest) > 0 || !bytes.Equal(out, want) {
			t.Fatalf("%d bytes, rest %d, %v; the standard library has %d", len(out), len(rest), err, len(want))
		}
		return
	}
	if err == nil {
		t.Fatalf("no error; the standard library says: %v", wantErr)
	}
	// The standard library wants to see as many bits as the end of a block has before
	// it takes a symbol, so of a cut stream it may deliver a little less.
	if !bytes.HasPrefix(out, want) || len(out) > len(want)+15*258 {
		t.Fatalf("%d bytes before %v; the standard library has %d before %v", len(out), err, len(want), wantErr)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(wantErr, io.ErrUnexpectedEOF) {
		t.Fatalf("%v; the standard library says: %v", err, wantErr)
	}
	if _, err := io.Copy(io.Discard, kflate.NewReader(bytes.NewReader(deflated))); err == nil {
		t.Fatal("klauspost's reader takes it")
	}
}

// bitWriter writes DEFLATE by hand.
type bitWriter struct {
	b    []byte
	free uint
}

// bits writes n bits of v, the lowest first.
func (w *bitWriter) bits(v uint64, n uint) *bitWriter {
	for i := range n {
		if w.free == 0 {
			w.b, w.free = append(w.b, 0), 8
		}
		w.b[len(w.b)-1] |= byte(v>>i&1) << (8 - w.free)
		w.free--
	}
	return w
}

// code writes a Huffman code given as a string of zeros and ones.
func (w *bitWriter) code(s string) *bitWriter {
	for _, c := range s {
		w.bits(uint64(c-'0'), 1)
	}
	return w
}

// dynamic writes the header of a dynamic block whose code lengths are given one by
// one, each as 4 bits: the precode has all of 0–15 with 4 bits.
func dynamic(litlen, dist []int) *bitWriter {
	w := new(bitWriter).bits(1, 1).bits(2, 2).bits(uint64(len(litlen)-257), 5).bits(uint64(len(dist)-1), 5).bits(15, 4)
	for _, s := range []int{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15} {
		n := uint64(4)
		if s > 15 {
			n = 0
		}
		w.bits(n, 3)
	}
	for _, n := range append(append([]int{}, litlen...), dist...) {
		w.code(fmt.Sprintf("%04b", n))
	}
	return w
}

// lengths makes a list of n code lengths, zero but for those named.
func lengths(n int, set map[int]int) []int {
	l := make([]int, n)
	for i, v := range set {
		l[i] = v
	}
	return l
}

func TestByHand(t *testing.T) {
	t.Parallel()
	ab := map[int]int{'a': 2, 'b': 2, 256: 2, 257: 2} // a 00, b 01, end 10, length 3: 11
	deep := make(map[int]int)                         // 1, 2, 3 … 14, 15, 15 bits
	for i := range 15 {
		deep['a'+i] = i + 1
	}
	deep[256] = 15
	deepDist := map[int]int{0: 1, 1: 2, 2: 3, 3: 4, 4: 5, 5: 6, 6: 7, 7: 8, 8: 9, 9: 10, 10: 11, 11: 12, 12: 13, 13: 14, 28: 15, 29: 15}
	tests := map[string]struct {
		data []byte
		want string
		bad  bool
	}{
		"stored, empty":            {data: []byte{1, 0, 0, 0xff, 0xff}},
		"stored":                   {data: []byte{1, 2, 0, 0xfd, 0xff, 'h', 'i'}, want: "hi"},
		"stored, length wrong":     {data: []byte{1, 2, 0, 0xfd, 0xfe, 'h', 'i'}, bad: true},
		"stored, cut":              {data: []byte{1, 3, 0, 0xfc, 0xff, 'h', 'i'}, want: "hi", bad: true},
		"reserved type":            {data: []byte{7}, bad: true},
		"fixed, empty":             {data: []byte{3, 0}},
		"fixed, symbol 286":        {data: new(bitWriter).bits(3, 3).code("11000110").bits(0, 32).b, bad: true},
		"fixed, distance 30":       {data: new(bitWriter).bits(3, 3).code("10010001").code("0000001").code("11110").bits(0, 32).b, want: "a", bad: true},
		"fixed, overlap":           {data: new(bitWriter).bits(3, 3).code("10010001").code("11000101").code("00000").code("0000000").b, want: string(bytes.Repeat([]byte{'a'}, 259))},
		"fixed, before beginning":  {data: new(bitWriter).bits(3, 3).code("10010001").code("0000001").code("00001").bits(0, 32).b, want: "a", bad: true},
		"dynamic":                  {data: dynamic(lengths(258, ab), []int{1, 1}).code("00").code("01").code("11").code("1").code("10").b, want: "ababa"},
		"one distance":             {data: dynamic(lengths(258, ab), []int{1}).code("00").code("11").code("0").code("10").b, want: "aaaa"},
		"one distance, other bit":  {data: dynamic(lengths(258, ab), []int{1}).code("00").code("11").code("1").code("10").bits(0, 32).b, want: "a", bad: true},
		"one distance of two bits": {data: dynamic(lengths(258, ab), []int{2}).code("00").code("10").b, bad: true},
		"no distance, not used":    {data: dynamic(lengths(258, ab), []int{0}).code("01").code("10").b, want: "b"},
		"no distance, used":        {data: dynamic(lengths(258, ab), []int{0}).code("01").code("11").bits(0, 32).b, want: "b", bad: true},
		"only the end":             {data: dynamic(lengths(257, map[int]int{256: 1}), []int{0}).code("0").b},
		"no symbol":                {data: dynamic(lengths(257, nil), []int{0}).bits(0, 64).b, bad: true},
		"no end":                   {data: dynamic(lengths(257, map[int]int{'a': 1, 'b': 1}), []int{0}).code("0110").b, bad: true, want: "abbaaa"},
		"incomplete":               {data: dynamic(lengths(257, map[int]int{'a': 2, 256: 1}), []int{0}).code("00").b, bad: true},
		"oversubscribed":           {data: dynamic(lengths(257, map[int]int{'a': 1, 'b': 1, 256: 1}), []int{0}).code("00").b, bad: true},
		"oversubscribed distances": {data: dynamic(lengths(258, ab), []int{1, 1, 1}).code("00").b, bad: true},
		"15 bits": {
			data: dynamic(lengths(257, deep), []int{0}).code("0").code("10").code("111111111111110").code("1111110").code("111111111111111").b,
			want: "abog",
		},
		"15 bits of distance": {
			data: dynamic(lengths(258, ab), lengths(30, deepDist)).code("00").code("11").code("0").code("11").code("111111111110").bits(0, 5).code("10").bits(0, 32).b,
			want: "aaaa", bad: true, // 65 bytes back
		},
		"287 symbols": {data: dynamic(make([]int, 287), []int{0}).b, bad: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, _, err := reference(tc.data)
			if bad := err != nil; bad != tc.bad || !bad && string(out) != tc.want {
				t.Fatalf("the test is wrong: the standard library has %q, %v", out, err)
			}
			src := append([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255}, tc.data...)
			if !tc.bad {
				src = frame(tc.data, out)
			}
			got, _, err := inflateAll(src, 0, 0)
			if string(got) != tc.want || (err != nil) != tc.bad {
				t.Errorf("%q, %v", got, err)
			}
			for _, piece := range []int{0, 1, 100} {
				agrees(t, tc.data, piece, 0)
			}
		})
	}
}

func TestTruncatedAtEveryByte(t *testing.T) {
	t.Parallel()
	data := samples(2)["records"][:1500]
	for _, level := range []int{0, 1, 6, gzip.HuffmanOnly} {
		src := compress(t, data, level, true)
		last := 0
		for n := range src {
			out, _, err := inflateAll(src[:n], 0, 0)
			if !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("level %d cut to %d: %v", level, n, err)
			}
			if !bytes.HasPrefix(data, out) || len(out) < last {
				t.Fatalf("level %d cut to %d: not what was before the cut", level, n)
			}
			last = len(out)
			if n > 10 {
				agrees(t, src[10:n], 0, 0)
			}
		}
		if last != len(data) {
			t.Errorf("level %d: all but a byte of the trailer gives %d bytes of %d", level, last, len(data))
		}
	}
}

func TestEveryBitFlipped(t *testing.T) {
	t.Parallel()
	for _, level := range []int{1, 6} {
		src := compress(t, samples(3)["records"][:1000], level, false)
		for i := range len(src) * 8 {
			bad := bytes.Clone(src)
			bad[i/8] ^= 1 << (i % 8)
			agreesOnFile(t, bad)
		}
	}
}

func TestHeader(t *testing.T) {
	t.Parallel()
	body := compress(t, []byte("text"), 6, false)[10:]
	header := func(flags byte, more ...byte) []byte {
		return append([]byte{0x1f, 0x8b, 8, flags, 1, 2, 3, 4, 0, 3}, more...)
	}
	sealed := func(h []byte) []byte { return binary.LittleEndian.AppendUint16(h, uint16(crc32.ChecksumIEEE(h))) }
	long := append(bytes.Repeat([]byte{'n'}, 511), 0)
	extra := append([]byte{0xff, 0xff}, make([]byte, 65535)...)
	tests := map[string]struct {
		header []byte
		ok     bool
	}{
		"plain":             {header(0), true},
		"text flag":         {header(1), true},
		"name":              {header(8, 'a', 0xe4, 0), true},
		"long name":         {header(8, long...), true},
		"name too long":     {header(8, append([]byte{'n'}, long...)...), false},
		"comment":           {header(16, 'a', 0), true},
		"extra":             {header(4, 2, 0, 'x', 'y'), true},
		"extra, 64 KiB":     {header(4, extra...), true},
		"all":               {sealed(header(31, append(append([]byte{1, 0, 'x'}, "name\x00"...), "comment\x00"...)...)), true},
		"all, all long":     {sealed(header(31, append(append(append([]byte{}, extra...), long...), long...)...)), true},
		"checksum":          {sealed(header(2)), true},
		"checksum is wrong": {header(2, 1, 2), false},
		"reserved flag":     {header(32), false},
		"other magic":       {append([]byte{'P', 'K'}, header(0)[2:]...), false},
		"other method":      {append([]byte{0x1f, 0x8b, 7}, header(0)[3:]...), false},
	}
	for name, tc := range tests {
		src := append(bytes.Clone(tc.header), body...)
		r, err := kgzip.NewReader(bytes.NewReader(src))
		if (err == nil) != tc.ok {
			t.Errorf("%s: the test is wrong: klauspost says %v", name, err)
		}
		_ = r
		for _, piece := range []int{0, 1, 3000} {
			out, _, err := inflateAll(src, piece, 0)
			if tc.ok && (err != nil || string(out) != "text") || !tc.ok && !errors.Is(err, inflate.ErrHeader) {
				t.Errorf("%s, pieces of %d: %q, %v", name, piece, out, err)
			}
		}
	}
}

// TestStaysInItsRoom sees that nothing is written behind the capacity given, nor
// before the length.
func TestStaysInItsRoom(t *testing.T) {
	t.Parallel()
	for name, data := range samples(4) {
		src := compress(t, data, 6, true)
		for room := range 2 * inflate.Room {
			back := bytes.Repeat([]byte{0xA5}, 3*inflate.Room)
			var d inflate.Decoder
			out, _, err := d.Append(back[8:16:16+room], src)
			if len(out) > 8+room || room < inflate.Room && len(data) > 0 && !errors.Is(err, io.ErrShortBuffer) && len(out) != 8+len(data) {
				t.Fatalf("%s, room %d: %d bytes, %v", name, room, len(out), err)
			}
			for i, c := range back {
				if c != 0xA5 && (i < 16 || i >= 16+room) {
					t.Fatalf("%s, room %d: byte %d was written", name, room, i-16)
				}
			}
			if !bytes.HasPrefix(data, out[8:]) {
				t.Fatalf("%s, room %d: wrong bytes", name, room)
			}
		}
	}
}

func TestAllocatesNothing(t *testing.T) {
	src := compress(t, samples(5)["records"], 6, true)
	var d inflate.Decoder
	buf := make([]byte, 0, 1<<20)
	if n := testing.AllocsPerRun(10, func() { _, _, _ = d.Append(buf, src) }); n > 0 {
		t.Errorf("%v allocations a member", n)
	}
}

// FuzzDeflate holds any DEFLATE data, in any pieces, against compress/flate and
// klauspost's. The framing is made to fit, so that a mutation of the data reaches
// the decompressor.
func FuzzDeflate(f *testing.F) {
	for _, data := range samples(6) {
		for _, level := range []int{0, 1, 6, gzip.HuffmanOnly} {
			src := compress(f, data[:min(len(data), 300)], level, true)
			f.Add(src[10:len(src)-8], uint16(0), uint16(0))
			f.Add(src[10:max(10, len(src)/2)], uint16(100), uint16(1000))
		}
	}
	f.Fuzz(func(t *testing.T, deflated []byte, piece, room uint16) {
		agrees(t, deflated, int(piece), int(room))
	})
}

// FuzzGzip holds whole files against klauspost's reader.
func FuzzGzip(f *testing.F) {
	for _, data := range samples(7) {
		f.Add(compress(f, data[:min(len(data), 200)], 6, false))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		if len(src) == 0 {
			return
		}
		agreesOnFile(t, src)
	})
}

// agreesOnFile holds a whole file against klauspost's reader, and what was
// decompressed before an error against the standard library's.
func agreesOnFile(t testing.TB, src []byte) {
	t.Helper()
	var want []byte
	r, err := gzip.NewReader(bytes.NewReader(src))
	if err == nil {
		want, err = io.ReadAll(r)
	}
	k, kerr := kgzip.NewReader(bytes.NewReader(src))
	if kerr == nil {
		_, kerr = io.Copy(io.Discard, k)
	}
	out, _, ourErr := inflateAll(src, 0, 0)
	if (kerr == nil) != (ourErr == nil) || kerr == nil && !bytes.Equal(out, want) {
		t.Fatalf("%d bytes, %v; klauspost: %v; the standard library: %d bytes, %v", len(out), ourErr, kerr, len(want), err)
	}
	if errors.Is(kerr, kgzip.ErrChecksum) != errors.Is(ourErr, inflate.ErrChecksum) {
		t.Fatalf("%v; klauspost: %v", ourErr, kerr)
	}
	if !errors.Is(ourErr, inflate.ErrHeader) && !bytes.HasPrefix(out, want) { // the standard library takes reserved flags
		t.Fatalf("%d bytes, not those that the standard library has before %v", len(out), err)
	}
}
