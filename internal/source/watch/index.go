package watch

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/debutsec/debut/internal/source"
)

// An index remembers files that need nothing any more, by stamp and whatever they are
// called. The sink knows what was read, by path and version; the index only spares it
// the question, and knows files that were renamed. What it forgets is asked again.
//
// It is kept in positions, in parts, about 24 bytes for each file that is there.
type index struct {
	shards [256]map[uint64]entry // by the first byte of the id
	dirty  [256]bool
	scan   uint32
}

type entry struct {
	path uint64 // hash of the path
	sum  uint64 // of its contents
	seen uint32 // the last scan that met it
}

func newIndex() *index {
	x := new(index)
	for i := range x.shards {
		x.shards[i] = make(map[uint64]entry)
	}
	return x
}

// done reports whether the file needs nothing under that path.
func (x *index) done(st stamp, path string) bool {
	id := st.id(path)
	shard := x.shards[id>>56]
	e, ok := shard[id]
	if !ok || e.path != hashPath(path) {
		return false
	}
	if e.seen != x.scan {
		e.seen = x.scan
		shard[id] = e
	}
	return true
}

// known reports whether the file was read under some path.
func (x *index) known(st stamp, path string, sum uint64) bool {
	id := st.id(path)
	e, ok := x.shards[id>>56][id]
	return ok && e.sum == sum
}

func (x *index) add(st stamp, path string, sum uint64) {
	id := st.id(path)
	x.shards[id>>56][id] = entry{hashPath(path), sum, x.scan}
	x.dirty[id>>56] = true
}

func (x *index) begin() { x.scan++ }

// end forgets what two scans did not meet: a file that is moved in the course of one
// may be missed by it.
func (x *index) end() {
	for i, shard := range x.shards {
		for id, e := range shard {
			if x.scan-e.seen > 1 {
				delete(shard, id)
				x.dirty[i] = true
			}
		}
	}
}

const (
	indexFormat = 1
	entrySize   = 24
)

func shardName(i int) string { return fmt.Sprintf("index/%02x", i) }

// flush writes what has changed.
func (x *index) flush(ctx context.Context, sink source.Sink, name string) error {
	for i, shard := range x.shards {
		if !x.dirty[i] {
			continue
		}
		b := make([]byte, 1, 1+entrySize*len(shard))
		b[0] = indexFormat
		for id, e := range shard {
			b = binary.BigEndian.AppendUint64(b, id)
			b = binary.BigEndian.AppendUint64(b, e.path)
			b = binary.BigEndian.AppendUint64(b, e.sum)
		}
		if err := sink.SetPositions(ctx, name, map[string][]byte{shardName(i): b}); err != nil {
			return fmt.Errorf("note what has been read: %w", err)
		}
		x.dirty[i] = false
	}
	return nil
}

// load reads what was written. What is damaged or of another format is left out.
func (x *index) load(ctx context.Context, sink source.Sink, name string) error {
	var all error
	for i := range x.shards {
		b, err := sink.Position(ctx, name, shardName(i))
		if err != nil {
			return fmt.Errorf("read what has been read: %w", err)
		}
		if len(b) == 0 {
			continue
		}
		if b[0] != indexFormat || (len(b)-1)%entrySize != 0 {
			all = errors.Join(all, fmt.Errorf("the position %s has an unknown format", shardName(i)))
			continue
		}
		for b = b[1:]; len(b) > 0; b = b[entrySize:] {
			id := binary.BigEndian.Uint64(b)
			if int(id>>56) == i {
				x.shards[i][id] = entry{binary.BigEndian.Uint64(b[8:]), binary.BigEndian.Uint64(b[16:]), x.scan}
			}
		}
	}
	return all
}
