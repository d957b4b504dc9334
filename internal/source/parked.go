package source

import (
	"encoding/json"
	"fmt"
	"time"
)

// A Parked is a message of a queue that could not be dealt with: nobody understands it,
// or what it announces cannot be read. A source keeps it as a position, whose name
// [ParkedName] gives; the position [ParkedList] has the ids of all, oldest first.
type Parked struct {
	ID       string    `json:"id"`
	Reason   string    `json:"reason"`
	Body     string    `json:"body"`           // its first 16 KiB
	Size     int       `json:"size,omitempty"` // of the whole text, bytes; 0 if it was not noted
	Sent     time.Time `json:"sent"`
	Parked   time.Time `json:"parked"` // when it was tried last
	Receives int       `json:"receives"`
}

// Cut reports whether only the beginning of the text was kept, so that the message
// cannot be tried again.
func (p *Parked) Cut() bool { return p.Size > len(p.Body) }

// ParkedList is the position that has the ids of parked messages.
const ParkedList = "parked"

// ParkedName is the name of the position with a parked message.
func ParkedName(id string) string { return ParkedList + "/" + id }

// ParkedIDs returns the ids of the messages that a source has parked, oldest first;
// position reads what it keeps.
func ParkedIDs(position func(name string) ([]byte, error)) ([]string, error) {
	b, err := position(ParkedList)
	if err != nil || len(b) == 0 {
		return nil, err
	}
	var ids []string
	if err := json.Unmarshal(b, &ids); err != nil {
		return nil, fmt.Errorf("read the list of parked messages: %w", err)
	}
	return ids, nil
}

// GetParked returns a parked message, nil if there is none of that id.
func GetParked(position func(name string) ([]byte, error), id string) (*Parked, error) {
	b, err := position(ParkedName(id))
	if err != nil || len(b) == 0 {
		return nil, err
	}
	p := &Parked{}
	if err := json.Unmarshal(b, p); err != nil {
		return nil, fmt.Errorf("read the parked message %s: %w", id, err)
	}
	return p, nil
}
