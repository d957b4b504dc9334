package cloudtrail

import (
	"strings"

	"github.com/debutsec/debut/internal/rawjson"
)

// A path leads to values in a record, through lists as if they were not there. In
// the tables rq stands for requestParameters, rs for responseElements.
type path struct {
	member Member
	names  []string
}

func newPath(s string) path {
	head, rest, found := strings.Cut(s, ".")
	p := path{}
	switch head {
	case "rq":
		p.member = RequestParameters
	case "rs":
		p.member = ResponseElements
	default:
		m, ok := memberOf([]byte(head))
		if !ok {
			panic("no such member: " + s) // of a table of ours
		}
		p.member = m
	}
	if found {
		p.names = strings.Split(rest, ".")
	}
	return p
}

//nolint:gochecknoglobals // constant paths
var (
	resourceARNs = newPath("resources.ARN")
	recipient    = newPath("recipientAccountId")
)

// follower is a record that paths can be followed in.
type follower interface {
	// each calls yield for every text that p leads to.
	each(p path, yield func(string))
}

func (e *Event) each(p path, yield func(string)) { e.follow(e.rec.Value(p.member), p.names, yield) }

func (e *Event) follow(v []byte, names []string, yield func(string)) {
	switch kind(v) {
	case '[':
		for c := rawjson.Walk(v); c.Next(); {
			e.follow(c.Value(), names, yield)
		}
	case '{':
		if len(names) > 0 {
			e.follow(rawjson.Get(v, names[0]), names[1:], yield)
		}
	default:
		if len(names) == 0 {
			if s := e.first(v); s != "" {
				yield(s)
			}
		}
	}
}
