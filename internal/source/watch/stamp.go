package watch

import (
	"crypto/sha256"
	"encoding/binary"
	"hash/fnv"
	"io"
	"io/fs"
	"os"
	"strconv"
)

// A stamp is what the system tells of a file without opening it.
type stamp struct {
	size  int64
	mtime int64 // nanoseconds since 1970
	inode uint64
}

func stampOf(info fs.FileInfo) stamp {
	return stamp{info.Size(), info.ModTime().UnixNano(), inodeOf(info)}
}

// version is that of the whole file as an object.
func (s stamp) version() string {
	return strconv.FormatInt(s.size, 10) + "-" + strconv.FormatInt(s.mtime, 10)
}

// id names a file however it is called. Where there are no inodes, the path stands in.
func (s stamp) id(path string) uint64 {
	h := fnv.New64a()
	b := binary.BigEndian.AppendUint64(nil, uint64(s.size))
	b = binary.BigEndian.AppendUint64(b, uint64(s.mtime))
	b = binary.BigEndian.AppendUint64(b, s.inode)
	_, _ = h.Write(b)
	if s.inode == 0 {
		_, _ = io.WriteString(h, path)
	}
	return h.Sum64()
}

func hashPath(path string) uint64 {
	h := fnv.New64a()
	_, _ = io.WriteString(h, path)
	return h.Sum64()
}

// window is how much of a file's beginning and end is compared.
const window = 4 << 10

// fingerprint hashes the size, the beginning and the end of a file.
func fingerprint(f *os.File, size int64) (uint64, error) {
	h := sha256.New()
	_, _ = h.Write(binary.BigEndian.AppendUint64(nil, uint64(size)))
	for _, at := range [...]int64{0, max(size-window, 0)} {
		if _, err := io.Copy(h, io.NewSectionReader(f, at, window)); err != nil {
			return 0, err //nolint:wrapcheck // names the file
		}
	}
	return binary.BigEndian.Uint64(h.Sum(nil)), nil
}
