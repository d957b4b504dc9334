package cloudtrail

import (
	"bytes"
	"encoding/csv"
	"strings"

	"github.com/debutsec/debut/internal/rawjson"
)

// Rows of CloudTrail Lake and Athena come as JSON objects, as lists of columns or as CSV.
// A row is read from the column that holds the whole event, if there is one; else from
// the columns that are named like a record's members, in any case.

// row reads a row, an object of columns.
func (s *scanner) row(columns []byte, at int64, depth int) error {
	if depth >= maxWraps {
		return s.tooDeep(at)
	}
	for c := rawjson.Walk(columns); c.Next(); {
		switch strings.ToLower(rawjson.String(c.Name())) {
		case "eventjson", "event_json":
			if text, ok := objectText(c.Value()); ok {
				return s.text(text, at, depth)
			}
			if v := c.Value(); v[0] == '{' {
				return s.inside(v, at, depth)
			}
		}
	}
	record, ok := restoreRow(columns)
	if !ok {
		return s.problemAt(at, true, "athena-struct",
			"a row whose useridentity is printed text cannot be read back: select CAST(useridentity AS JSON), or scan the log objects")
	}
	return s.inside(record, at, depth)
}

// restoreRow makes a record of a row. It is not ok if the row's userIdentity is the text
// of a struct: {type=AssumedRole, principalid=…} cannot be read back. Other text is kept
// as it is.
func restoreRow(row []byte) (record []byte, ok bool) {
	out := []byte{'{'}
	for c := rawjson.Walk(row); c.Next(); {
		m, known := memberOfColumn(rawjson.String(c.Name()))
		if !known {
			continue
		}
		v := c.Value()
		switch m {
		case UserIdentity, RequestParameters, ResponseElements, AdditionalEventData, ServiceEventDetails, Resources, TLSDetails,
			InsightDetails, Addendum, EdgeDeviceDetails, EventContext:
			v = structured(v)
		default:
		}
		if m == UserIdentity && v[0] == '"' {
			return nil, false
		}
		out = append(appendName(out, memberNames[m]), restoreNames(v, namesIn(m))...)
	}
	return append(out, '}'), true
}

func appendName(object []byte, name string) []byte {
	if len(object) > 1 {
		object = append(object, ',')
	}
	return append(appendQuoted(object, name), ':')
}

// memberOfColumn finds the member that a column is named like. Of sharedEventID's two
// spellings it is the first.
func memberOfColumn(column string) (Member, bool) {
	for m, name := range memberNames {
		if strings.EqualFold(name, column) {
			return Member(m), true
		}
	}
	return 0, false
}

// structured returns the object, list or null whose text v is, or v itself.
func structured(v []byte) []byte {
	if v[0] != '"' {
		return v
	}
	text := bytes.TrimSpace([]byte(rawjson.String(v)))
	if len(text) == 0 || text[0] != '{' && text[0] != '[' && string(text) != "null" {
		return v
	}
	if end, err := rawjson.Skip(text, 0); err != nil || end != len(text) {
		return v
	}
	return text
}

// namesIn returns the names that a struct column has lost the case of.
func namesIn(m Member) []string {
	switch m {
	case UserIdentity:
		return []string{
			"type", "principalId", "arn", "accountId", "accessKeyId", "userName", "invokedBy", "sessionContext", "attributes",
			"creationDate", "mfaAuthenticated", "sessionIssuer", "webIdFederationData", "federatedProvider", "sourceIdentity",
			"ec2RoleDelivery", "assumedRoot", "signInSessionArn", "identityProvider", "onBehalfOf", "userId", "identityStoreArn",
			"credentialId", "inScopeOf", "issuerType", "credentialsIssuedTo", "sourceArn", "sourceAccount", "invokedByDelegate",
		}
	case Resources:
		return []string{"ARN", "accountId", "type"}
	case TLSDetails:
		return []string{"tlsVersion", "cipherSuite", "clientProvidedHostHeader", "keyExchange"}
	case Addendum:
		return []string{"reason", "updatedFields", "originalRequestID", "originalEventID"}
	default:
		return nil
	}
}

// restoreNames gives the members of v, at any depth, the case of names again.
func restoreNames(v []byte, names []string) []byte {
	if len(names) == 0 || v[0] != '{' && v[0] != '[' {
		return v
	}
	out := []byte{v[0]}
	for c := rawjson.Walk(v); c.Next(); {
		if len(out) > 1 {
			out = append(out, ',')
		}
		if name := c.Name(); v[0] == '{' {
			text := rawjson.String(name)
			for _, n := range names {
				if strings.EqualFold(n, text) {
					name = []byte(`"` + n + `"`)
					break
				}
			}
			out = append(append(out, name...), ':')
		}
		out = append(out, restoreNames(c.Value(), names)...)
	}
	return append(out, v[0]+2) // the closing bracket
}

// joinColumns makes one object of a list of objects, as get-query-results prints a row.
func joinColumns(list []byte) []byte {
	out := []byte{'{'}
	for c := rawjson.Walk(list); c.Next(); {
		for col := rawjson.Walk(c.Value()); col.Next(); {
			if col.Name() == nil {
				continue
			}
			if len(out) > 1 {
				out = append(out, ',')
			}
			out = append(append(append(out, col.Name()...), ':'), col.Value()...)
		}
	}
	return append(out, '}')
}

// resultSet reads what Athena's get-query-results prints: the first row names the
// columns.
func (s *scanner) resultSet(rows []byte, at int64, depth int) error {
	var header []string
	for c := rawjson.Walk(rows); c.Next(); {
		var fields []string
		for f := rawjson.Walk(rawjson.Get(c.Value(), "Data")); f.Next(); {
			fields = append(fields, rawjson.String(rawjson.Get(f.Value(), "VarCharValue")))
		}
		if header == nil {
			header = fields
			continue
		}
		if err := s.row(rowOf(header, fields), at, depth); err != nil {
			return err
		}
	}
	return nil
}

// rowOf makes an object of the fields of a row. Empty fields are left out.
func rowOf(header, fields []string) []byte {
	out := []byte{'{'}
	for i, f := range fields {
		if i < len(header) && f != "" {
			out = appendQuoted(appendName(out, header[i]), f)
		}
	}
	return append(out, '}')
}

// appendQuoted appends s as a JSON string. Bytes that are not UTF-8 stay.
func appendQuoted(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < 0x20:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}

// csvHeader parses the first line of a CSV file; nil if its columns are not those of
// CloudTrail.
func csvHeader(line []byte) []string {
	header, err := csv.NewReader(bytes.NewReader(line)).Read()
	if err != nil {
		return nil
	}
	known := 0
	for _, name := range header {
		switch strings.ToLower(name) {
		case "eventjson", "event_json":
			return header
		case "eventtime", "eventname", "useridentity":
			known++
		}
	}
	if known < 2 {
		return nil
	}
	return header
}

// csv reads the rows of a CSV file.
func (s *scanner) csv(header []string) error {
	for {
		if _, ok := s.peek(); !ok {
			return s.finish(false)
		}
		s.items++
		end, ok := s.csvRow()
		if !ok {
			if err := s.reject(0, "too-large", s.tooLarge()); err != nil {
				return err
			}
			s.resume(1)
			return nil
		}
		at := s.offset(0)
		fields, err := csv.NewReader(bytes.NewReader(s.buf[s.pos : s.pos+end])).Read()
		s.pos += end
		if err != nil {
			err = s.problemAt(at, true, "bad-csv", "a row of CSV with quotes out of place")
		} else {
			err = s.row(rowOf(header, fields), at, s.depth)
		}
		if err != nil {
			return err
		}
	}
}

// csvRow returns how long the row at pos is; it ends with the first line end that is not
// inside quotes. One that is too long is not ok.
func (s *scanner) csvRow() (end int, ok bool) {
	quoted := false
	for i := 0; ; i++ {
		if i == len(s.buf)-s.pos {
			if int64(i) > s.limits.Record {
				return 0, false
			}
			if !s.fill(0) {
				return i, true
			}
		}
		switch s.buf[s.pos+i] {
		case '"':
			quoted = !quoted
		case '\n':
			if !quoted {
				return i + 1, true
			}
		}
	}
}
