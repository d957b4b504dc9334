// Package parquet writes and reads segments: events sorted by time in one Parquet
// file, with the columns that searches ask for beside the record itself.
//
// Start with [NewWriter] and [Open]. A reader is asked which rows of a row group may
// match ([File.Select]), which it tells by statistics, bloom filters, dictionaries and
// columns, and then for the text of those ([File.Texts]).
//
//	w := parquet.NewWriter(file, parquet.NewColumns(catalogue), "")
//	for _, r := range rows {
//		if err := w.Write(&r); err != nil {
//			return err
//		}
//	}
//	info, err := w.Close()
//
// A file is read through the checksums of its blocks ([Sums]), which are kept outside
// of it: a byte that is not what was written is an error wherever it stands.
//
// docs/format/segment.md describes the files, for other programs too.
package parquet
