package cloudtrail

// BufferSize returns how many bytes the window of a Decoder has grown to.
func BufferSize(d *Decoder) int { return cap(d.buf) }
