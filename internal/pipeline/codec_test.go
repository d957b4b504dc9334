package pipeline

import (
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/debutsec/debut/detect"
)

// fill sets every field of a struct to something.
func fill(v reflect.Value, r *rand.Rand) {
	switch v.Kind() {
	case reflect.Struct:
		for _, f := range v.Fields() {
			if f.CanSet() {
				fill(f, r)
			}
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), r)
		}
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Uint8, reflect.Uint32, reflect.Uint64:
		v.SetUint(r.Uint64() >> (64 - v.Type().Bits()))
	case reflect.Int32, reflect.Int64:
		v.SetInt(int64(r.Uint64()) >> (64 - v.Type().Bits()))
	default:
		panic("a field of a kind that the codec does not know: " + v.Type().String())
	}
}

// What is written is read back, every field of it, also one that is added later.
func TestCodecs(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		want := found{coverage: r.Float64()}
		fill(reflect.ValueOf(&want.Signal).Elem(), r)
		enc := foundCodec.encode(nil, &want)
		if len(enc) != foundCodec.size {
			t.Fatalf("a finding takes %d bytes, not %d", len(enc), foundCodec.size)
		}
		var got found
		foundCodec.decode(enc, &got)
		if got != want {
			t.Fatalf("got %+v\nwant %+v", got, want)
		}

		hit := want.Hit
		hit.Recurs, hit.Previous, hit.Count, hit.Distinct = false, 0, 0, 0
		enc = hitCodec.encode(nil, &hit)
		if len(enc) != hitCodec.size {
			t.Fatalf("a hit takes %d bytes, not %d", len(enc), hitCodec.size)
		}
		var back detect.Hit
		hitCodec.decode(enc, &back)
		if back != hit {
			t.Fatalf("got %+v\nwant %+v", back, hit)
		}
	}
}

func BenchmarkHitCodec(b *testing.B) {
	var h detect.Hit
	var enc []byte
	for b.Loop() {
		enc = hitCodec.encode(enc[:0], &h)
		hitCodec.decode(enc, &h)
	}
}
