package parquet

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/debutsec/debut/internal/store"
)

func TestRollups(t *testing.T) {
	t.Parallel()
	begin := time.Date(2025, 1, 6, 0, 0, 0, 0, time.UTC)
	list := make([]Rollup, 1000)
	for i := range list {
		hour := begin.Add(time.Duration(i/100) * time.Hour)
		list[i] = Rollup{
			Hour: hour, Principal: fmt.Sprintf("user%d", i%7), Provider: "ssm.amazonaws.com", Action: "Act", Account: "111122223333", Region: "eu-west-1",
			Network: "198.18.0.0/24", Agent: "aws-cli", First: hour.Add(time.Second), Last: hour.Add(time.Minute), Count: int64(i),
		}
	}
	var buf bytes.Buffer
	w := NewRollupWriter(&buf)
	for _, part := range [][]Rollup{list[:10], list[10:900], list[900:]} {
		if err := w.Write(part); err != nil {
			t.Fatal(err)
		}
	}
	info, err := w.Close()
	if err != nil || info.Rows != 1000 || info.Bytes != int64(buf.Len()) {
		t.Fatalf("%+v, error %v", info, err)
	}
	got, err := ReadRollups(bytes.NewReader(buf.Bytes()), info.Bytes, info.Sums, begin.Add(3*time.Hour), begin.Add(5*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(list[300:500], got); diff != "" {
		t.Error(diff)
	}
	for at := range buf.Len() {
		b := bytes.Clone(buf.Bytes())
		b[at] ^= 1
		if _, err := ReadRollups(bytes.NewReader(b), info.Bytes, info.Sums, begin, begin.Add(24*time.Hour)); !errors.Is(err, store.ErrDamaged) {
			t.Fatalf("byte %d changed: error %v", at, err)
		}
	}
}
