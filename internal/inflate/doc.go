// Package inflate decompresses gzip (RFC 1952, DEFLATE of RFC 1951) from one slice
// of bytes into another, faster than a streaming reader can.
//
// A [Decoder] works on windows: it is given the next bytes of the input and a
// buffer, fills the room behind what the buffer holds, and is called again with
// more of either. The buffer is its own history, so nothing is copied: the caller
// uses the decompressed bytes where they stand. An input of a few megabytes can be
// done in one call, one of any size in flat memory.
//
// The design is that of libdeflate: 64 bits of input at a time, tables that resolve
// nearly every symbol in one step, a loop without checks while there is room and
// input to spare, and a careful one for the ends.
//
//	var d inflate.Decoder
//	out, n, err := d.Append(make([]byte, 0, 1<<20), compressed, true)
//	if err == io.EOF { // the member is whole and its checksum right
//		use(out, compressed[n:])
//	}
package inflate
