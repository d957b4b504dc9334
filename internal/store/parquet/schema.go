package parquet

import (
	"sync"

	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"github.com/debutsec/debut/ecs"
)

const (
	// formatVersion is that of docs/format/segment.md.
	formatVersion = "1"
	// rollupVersion is that of files of rollups.
	rollupVersion = "1"
	// mappingVersion is raised whenever the value of a column changes for an event.
	// The columns of a file with another one are not searched.
	mappingVersion = "1"
)

// Names of metadata.
const (
	metaFormat  = "debut.format"
	metaMapping = "debut.mapping"
	// metaPlaces says that geo and AS columns were filled, and by which databases.
	metaPlaces = "debut.places"
)

// Columns that are not fields of the mapping.
const (
	colTime     = "@timestamp"
	colNanos    = "debut.nanos"
	colID       = "debut.id"
	colKind     = "debut.kind"
	colInexact  = "debut.inexact"
	colIngested = "event.ingested"
	colRaw      = "event.original"
	colBytes    = "debut.bytes"
)

// shape is how a column is stored.
type shape uint8

const (
	words   shape = iota // text that repeats: a dictionary
	unique               // text that does not
	integer              // INT64
	degrees              // DOUBLE
)

// A column is a field that is stored beside the record.
type column struct {
	name  string
	shape shape
	bloom bool
	place bool // comes from an enricher
}

// columns are in the order of their bits in debut.inexact: new ones come last.
var columns = []column{ //nolint:gochecknoglobals // a constant table
	{name: "event.id", shape: unique, bloom: true},
	{name: "event.action", bloom: true},
	{name: "event.provider"},
	{name: "event.outcome"},
	{name: "debut.principal", bloom: true},
	{name: "aws.cloudtrail.user_identity.arn"},
	{name: "aws.cloudtrail.user_identity.type"},
	{name: "aws.cloudtrail.user_identity.access_key_id", bloom: true},
	{name: "user.name"},
	{name: "source.address", bloom: true},
	{name: "source.ip"},
	{name: "cloud.account.id"},
	{name: "aws.cloudtrail.recipient_account_id"},
	{name: "cloud.region"},
	{name: "user_agent.original"},
	{name: "aws.cloudtrail.error_code"},
	{name: "source.geo.city_name", place: true},
	{name: "source.geo.continent_name", place: true},
	{name: "source.geo.country_iso_code", place: true},
	{name: "source.geo.country_name", place: true},
	{name: "source.geo.region_iso_code", place: true},
	{name: "source.geo.region_name", place: true},
	{name: "source.geo.location.lat", shape: degrees, place: true},
	{name: "source.geo.location.lon", shape: degrees, place: true},
	{name: "source.as.number", shape: integer, place: true},
	{name: "source.as.organization.name", place: true},
}

// maxValue is the length in bytes at which a value is cut in its column.
const maxValue = 1 << 10

// Columns are the stored fields, resolved. They are read-only.
type Columns struct{ fields []*ecs.Field }

// NewColumns resolves the stored fields in a catalogue.
func NewColumns(cat *ecs.Catalogue) *Columns {
	c := &Columns{fields: make([]*ecs.Field, len(columns))}
	for i := range columns {
		c.fields[i] = cat.Resolve(columns[i].name)
	}
	return c
}

// schema is that of a segment. The names have dots; the columns lie flat.
func schema() *parquet.Schema {
	stamp := parquet.Encoded(parquet.Timestamp(parquet.Microsecond), &parquet.DeltaBinaryPacked)
	text := parquet.Encoded(parquet.String(), &parquet.DeltaLengthByteArray)
	small := parquet.Encoded(parquet.Leaf(parquet.Int32Type), &parquet.RLEDictionary)
	g := parquet.Group{
		colTime:     stamp,
		colNanos:    small,
		colID:       parquet.Compressed(parquet.Leaf(parquet.FixedLenByteArrayType(len(ecs.ID{}))), &parquet.Uncompressed),
		colKind:     parquet.Encoded(parquet.String(), &parquet.RLEDictionary),
		colInexact:  small,
		colIngested: parquet.Optional(stamp),
		colRaw:      text,
		colBytes:    parquet.Optional(parquet.Encoded(parquet.Leaf(parquet.ByteArrayType), &parquet.DeltaLengthByteArray)),
	}
	for i := range columns {
		var n parquet.Node
		switch columns[i].shape {
		case words:
			n = parquet.Encoded(parquet.String(), &parquet.RLEDictionary)
		case unique:
			n = text
		case integer:
			n = parquet.Encoded(parquet.Leaf(parquet.Int64Type), &parquet.RLEDictionary)
		case degrees:
			n = parquet.Encoded(parquet.Leaf(parquet.DoubleType), &parquet.RLEDictionary)
		}
		g[columns[i].name] = parquet.Optional(n)
	}
	return parquet.NewSchema("debut_events", g)
}

// codec compresses pages. The fastest level makes files of CloudTrail as small as the
// default one does, in three quarters of the time; with the literals coded too it makes
// hexadecimal digits half as long, which it leaves alone otherwise.
type codec struct{}

// encoder makes the encoder when it is first needed: it has large tables.
var encoder = sync.OnceValue(func() *zstd.Encoder { //nolint:gochecknoglobals // a cache without state of its own
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithAllLitEntropyCompression(true),
		zstd.WithZeroFrames(true), zstd.WithEncoderCRC(false))
	if err != nil {
		panic(err) // the options are constants
	}
	return e
})

func (codec) String() string                            { return "ZSTD" }
func (codec) CompressionCodec() format.CompressionCodec { return format.Zstd }
func (codec) Encode(dst, src []byte) ([]byte, error)    { return encoder().EncodeAll(src, dst[:0]), nil }
func (codec) Decode(dst, src []byte) ([]byte, error)    { return parquet.Zstd.Decode(dst, src) }

// kinds are what debut.kind reads.
const (
	kindRecord   = "record"
	kindDocument = "document"
)
