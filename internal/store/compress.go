package store

import (
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// maxValue bounds what a value may decompress to.
const maxValue = 256 << 20

var coders = sync.OnceValues(func() (*zstd.Encoder, *zstd.Decoder) { //nolint:gochecknoglobals // both are safe for concurrent use and have no state
	// Values are a few kilobytes: a level with larger tables mostly clears them.
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		panic(fmt.Sprintf("zstd options: %v", err)) // they are constants
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxValue))
	if err != nil {
		panic(fmt.Sprintf("zstd options: %v", err))
	}
	return enc, dec
})

func compress(b []byte) []byte {
	enc, _ := coders()
	return enc.EncodeAll(b, nil)
}

func decompress(b []byte) ([]byte, error) {
	_, dec := coders()
	out, err := dec.DecodeAll(b, nil)
	if err != nil {
		return nil, fmt.Errorf("decompress: %w", err)
	}
	return out, nil
}
