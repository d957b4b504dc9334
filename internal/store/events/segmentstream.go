package events

import (
	"errors"
	"fmt"
	"os"

	"github.com/debutsec/debut/internal/store"
	"github.com/debutsec/debut/internal/store/parquet"
	"github.com/debutsec/debut/query"
)

// A segmentReader yields the rows of one segment that match, in order of (time, ID).
// It implements stream.
type segmentReader struct {
	from, to int64
	match    query.Expr // nil: all
	falling  bool
	maker    *eventMaker // for match
	// damaged is told of what cannot be read. If it returns an error the stream ends
	// with it, else the row group is left out.
	damaged func(error) error

	file  *os.File
	f     *parquet.File
	group int // the one that is read
	rows  *parquet.Selection
	done  int // of rows
	texts *parquet.Texts
}

// open begins to read a segment.
func (r *segmentReader) open(g *segment) error {
	file, err := os.Open(g.path) //nolint:gosec // of our own folder
	if err != nil {
		return r.damaged(err)
	}
	f, err := parquet.Open(file, g.Bytes, g.Sums)
	if err == nil && f.Rows() != g.Rows {
		err = fmt.Errorf("%w: it has %d rows, not %d", store.ErrDamaged, f.Rows(), g.Rows)
	}
	if err != nil {
		return errors.Join(r.damaged(err), file.Close())
	}
	r.file, r.f, r.group = file, f, -1
	if r.falling {
		r.group = len(f.Groups())
	}
	return nil
}

// next implements stream.
func (r *segmentReader) next(e *entry) (bool, error) {
	if r.f == nil {
		return false, nil
	}
	for {
		ok, err := r.row(e)
		if err == nil && !ok {
			if ok, err = r.nextGroup(); err == nil && !ok {
				return false, nil
			}
			ok = false
		}
		if err != nil {
			r.endGroup()
			if err := r.damaged(err); err != nil {
				return false, err
			}
			continue
		}
		if ok {
			return true, nil
		}
	}
}

// repeats implements stream.
func (r *segmentReader) repeats() bool {
	if r.rows == nil || r.done >= len(r.rows.Rows) {
		return true // the next group may begin with a copy
	}
	last, next := r.done-1, r.done
	if r.falling {
		last, next = len(r.rows.Rows)-1-last, len(r.rows.Rows)-1-next
	}
	return r.rows.Times[last] == r.rows.Times[next] && r.rows.IDs[last] == r.rows.IDs[next]
}

// row takes the next row of the group that matches.
func (r *segmentReader) row(e *entry) (bool, error) {
	for r.rows != nil && r.done < len(r.rows.Rows) {
		i := r.done
		if r.falling {
			i = len(r.rows.Rows) - 1 - i
		}
		r.done++
		if r.texts == nil {
			var err error
			if r.texts, err = r.f.Texts(r.group); err != nil {
				return false, err //nolint:wrapcheck // told with the file's name
			}
		}
		t, err := r.texts.At(r.rows.Rows[i])
		if err != nil {
			return false, err //nolint:wrapcheck // told with the file's name
		}
		*e = entry{
			Record:   store.Record{Kind: t.Kind, Time: r.rows.Times[i], ID: r.rows.IDs[i], Raw: t.Raw},
			ingested: t.Ingested,
		}
		if t.Placed {
			e.place = &t.Place
		}
		if r.match != nil && !r.rows.Sure[i] {
			ev, err := r.maker.make(e)
			if err != nil || !r.match.Match(ev) {
				continue
			}
		}
		return true, nil
	}
	return false, nil
}

// nextGroup goes to the next row group that may have something.
func (r *segmentReader) nextGroup() (bool, error) {
	r.endGroup()
	if r.falling {
		r.group--
	} else {
		r.group++
	}
	if r.group < 0 || r.group >= len(r.f.Groups()) {
		return false, nil
	}
	var err error
	r.rows, err = r.f.Select(r.group, r.from, r.to, r.match)
	return true, err //nolint:wrapcheck // told with the file's name
}

func (r *segmentReader) endGroup() {
	if r.texts != nil {
		r.texts.Close()
	}
	r.rows, r.texts, r.done = nil, nil, 0
}

// close implements stream.
func (r *segmentReader) close() error {
	if r.file == nil {
		return nil
	}
	r.endGroup()
	f := r.file
	r.file, r.f = nil, nil
	return f.Close() //nolint:wrapcheck // only read from
}
