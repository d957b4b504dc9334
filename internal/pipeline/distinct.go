package pipeline

// duplicates counts how often a key had been added before. It is exact until its
// table is full; from then on it keeps the keys of a known share of the hash space
// and scales, so the total is an estimate.
type duplicates struct {
	hashes []uint64 // open addressing; 0: empty
	counts []uint32
	used   int
	most   int  // slots at the most
	shift  uint // a hash is kept if its lowest shift bits are 0
}

func newDuplicates(slots int) *duplicates {
	const start = 1 << 10
	return &duplicates{hashes: make([]uint64, start), counts: make([]uint32, start), most: slots}
}

// add takes the hash of a key.
func (d *duplicates) add(hash uint64) {
	if hash&(1<<d.shift-1) == 0 {
		d.insert(hash, 1)
	}
}

func (d *duplicates) insert(hash uint64, n uint32) {
	if hash == 0 {
		hash = 1 << 63
	}
	mask := uint64(len(d.hashes) - 1)
	for i := (hash >> 20) & mask; ; i = (i + 1) & mask {
		switch d.hashes[i] {
		case hash:
			d.counts[i] += n
			return
		case 0:
			d.hashes[i], d.counts[i] = hash, n
			if d.used++; d.used*2 > len(d.hashes) {
				d.rebuild()
			}
			return
		}
	}
}

// rebuild doubles the table, or halves the share that is kept.
func (d *duplicates) rebuild() {
	size := 2 * len(d.hashes)
	if size > d.most {
		size = d.most
		d.shift++
	}
	d.move(size)
}

func (d *duplicates) move(size int) {
	hashes, counts := d.hashes, d.counts
	d.hashes, d.counts, d.used = make([]uint64, size), make([]uint32, size), 0
	for i, h := range hashes {
		if h != 0 && h&(1<<d.shift-1) == 0 {
			d.insert(h, counts[i])
		}
	}
}

// merge adds what o has counted.
func (d *duplicates) merge(o *duplicates) {
	if d.shift < o.shift {
		d.shift = o.shift
		d.move(len(d.hashes))
	}
	for i, h := range o.hashes {
		if h != 0 && h&(1<<d.shift-1) == 0 {
			d.insert(h, o.counts[i])
		}
	}
}

// total returns how many adds repeated a key, and whether that is exact.
func (d *duplicates) total() (n int64, exact bool) {
	for i, h := range d.hashes {
		if h != 0 {
			n += int64(d.counts[i]) - 1
		}
	}
	return n << d.shift, d.shift == 0
}
