package store

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

// The outbox. A message is queued in the transaction that makes it true, one row for
// each channel that is to tell it, and leaves the queue in the transaction after the
// channel took it. So a crash loses none; one between the two sends it again, with the
// same [Message.Key].
//
// Keys of the table, by their first byte; a channel and a handle end with a zero byte,
// numbers are big-endian:
//
//	w channel due sequence   messages that wait; the value is the Message as JSON
//	m digest sequence        messages that a digest speaks for until it is sent
//	s time sequence          messages sent, until [PruneMessages]
//	x time sequence          messages given up, until [PruneMessages]
//	t handle channel         who was told, or will be: the sequence of the last message
//	k key                    idempotency keys: the sequence
//	n                        the last sequence given out
const (
	keyWaiting  = 'w'
	keyMember   = 'm'
	keySent     = 's'
	keyDead     = 'x'
	keyTold     = 't'
	keyKey      = 'k'
	keySequence = 'n'
)

// MessageKind says what a message is about.
type MessageKind string

// The kinds of messages.
const (
	MessageNew       MessageKind = "new"          // an alert
	MessageGrown     MessageKind = "grown"        // an alert stands for more than was told
	MessageReopened  MessageKind = "reopened"     // a closed alert has grown
	MessageWithdrawn MessageKind = "withdrawn"    // an alert is none, now that more records are known
	MessageCapped    MessageKind = "capped"       // alerts over a rule's max_signals exist and were not told
	MessageCoverage  MessageKind = "coverage-gap" // records are missing
	MessageHealth    MessageKind = "health"       // something is wrong with Debut itself
	MessageDigest    MessageKind = "digest"       // stands for many messages
	MessageTest      MessageKind = "test"
)

// MessageKinds are all kinds, in the order in which people are shown them.
func MessageKinds() []MessageKind {
	return []MessageKind{
		MessageNew, MessageGrown, MessageReopened, MessageWithdrawn, MessageCapped, MessageCoverage, MessageHealth, MessageDigest, MessageTest,
	}
}

// MessageState is where a message stands.
type MessageState string

// The states of messages.
const (
	MessageWaiting  MessageState = "waiting"
	MessageDigested MessageState = "digested" // a digest speaks for it, which waits
	MessageSent     MessageState = "sent"     // the channel took it, or the digest that speaks for it
	MessageDead     MessageState = "dead"     // given up: too old
)

// A Message is one thing to tell on one channel, with all that is needed to tell it.
type Message struct {
	Sequence uint64      `json:"sequence"` // in order of queueing; given by Enqueue
	Channel  string      `json:"channel"`
	Kind     MessageKind `json:"kind"`
	// Key is the same whenever the message is sent again, and no other message of
	// the outbox has it: a hash of kind, handle, uuid, occasion and channel.
	Key string `json:"key"`
	// Occasion tells apart messages of one kind about one alert, or about none: the
	// count to which an alert has grown, the interval that was capped.
	Occasion string `json:"occasion,omitzero"`

	State   MessageState `json:"state"`
	Created time.Time    `json:"created"`
	// Due is when it may be sent; messages of a channel are sent in order of (Due,
	// Sequence). It is Created until the channel refuses this very message.
	Due       time.Time `json:"due"`
	Attempts  int       `json:"attempts,omitzero"` // that failed
	LastError string    `json:"last_error,omitzero"`
	Tried     time.Time `json:"tried,omitzero"` // the last failed attempt
	Next      time.Time `json:"next,omitzero"`  // when it is tried again
	Done      time.Time `json:"done,omitzero"`  // sent or given up
	// InDigest is the sequence of the digest that speaks for it, 0 if there is none.
	InDigest uint64 `json:"in_digest,omitzero"`

	Alert  *Snapshot `json:"alert,omitzero"`  // new, grown, reopened, withdrawn
	Notice *Notice   `json:"notice,omitzero"` // capped, coverage-gap, health, test
	Digest *Digest   `json:"digest,omitzero"` // digest
}

// A Snapshot is an alert as it was when a message about it was queued. Who, What and
// Where come from logs: whoever shows them escapes them.
type Snapshot struct {
	Handle    string    `json:"handle"`
	UUID      string    `json:"uuid"`
	RuleID    string    `json:"rule_id"`
	Rule      string    `json:"rule"` // name, after overrides
	Severity  string    `json:"severity"`
	RiskScore float64   `json:"risk_score"`
	Time      time.Time `json:"time"`          // of the first event
	Last      time.Time `json:"last,omitzero"` // of the last event
	Principal string    `json:"principal,omitzero"`
	Who       string    `json:"who,omitzero"`
	What      string    `json:"what,omitzero"`
	Where     string    `json:"where,omitzero"`
	Count     int64     `json:"count,omitzero"` // events that it stands for, where that is known
	// Cold says that too little history was known for "first time" to mean much.
	Cold bool `json:"cold_baseline,omitzero"`
	// Verdict, Score and Confidence are of the alert's investigation, if it was done when
	// the message was sent.
	Verdict    string  `json:"verdict,omitzero"`
	Score      int     `json:"score,omitzero"`
	Confidence float64 `json:"confidence,omitzero"`
	Link       string  `json:"link,omitzero"`
}

// A Notice is what a message tells that is not about one alert.
type Notice struct {
	Title    string   `json:"title"`
	Lines    []string `json:"lines,omitzero"`
	RuleID   string   `json:"rule_id,omitzero"`
	Rule     string   `json:"rule,omitzero"`
	Severity string   `json:"severity,omitzero"`
	Hint     string   `json:"hint,omitzero"` // what to do next
	Link     string   `json:"link,omitzero"`
}

// Bounds of a message.
const (
	maxMessageSize  = 512 << 10 // more than what is bounded below can come to
	maxChannelName  = 64
	maxHandle       = 128
	maxMessageError = 500 // bytes of LastError
	maxMessageText  = 1 << 10
	maxNoticeLines  = 40
)

// Enqueue queues m on m.Channel to be sent at now, or not before m.Due if that is
// later. It returns false, and queues nothing, if a message with that key is in the
// outbox already or was sent less long ago than [PruneMessages] forgets. The caller
// fills Channel, Kind, Occasion and one of Alert and Notice.
func Enqueue(tx Tx, m Message, now time.Time) (bool, error) {
	if err := m.valid(); err != nil {
		return false, err
	}
	m.Key = messageKey(&m)
	m.bound()
	switch have, err := tx.Get(Outbox, keyKeyOf(m.Key)); {
	case err != nil:
		return false, fmt.Errorf("look a message up: %w", err)
	case have != nil:
		return false, nil
	}
	m.State, m.Created = MessageWaiting, now.UTC()
	if m.Due = m.Due.UTC(); m.Due.Before(m.Created) {
		m.Due = m.Created
	}
	if err := queueMessage(tx, &m); err != nil {
		return false, err
	}
	if m.Alert != nil && m.Alert.Handle != "" {
		return true, tx.Put(Outbox, toldKey(m.Alert.Handle, m.Channel), sequenceKey(m.Sequence))
	}
	return true, nil
}

// bound shortens what logs and people wrote into m, and makes it UTF-8: nothing that an
// attacker writes into a record may make a message that cannot be queued, or that is
// too large to be sent.
func (m *Message) bound() {
	var texts []*string
	if a := m.Alert; a != nil {
		c := *a
		m.Alert = &c
		texts = append(texts, &c.UUID, &c.RuleID, &c.Rule, &c.Severity, &c.Principal, &c.Who, &c.What, &c.Where, &c.Link)
	}
	if n := m.Notice; n != nil {
		c := *n
		m.Notice = &c
		if more := len(c.Lines) - maxNoticeLines; more > 0 {
			c.Lines = append(slices.Clone(c.Lines[:maxNoticeLines]), fmt.Sprintf("and %d more lines", more))
		}
		c.Lines = slices.Clone(c.Lines)
		for i := range c.Lines {
			texts = append(texts, &c.Lines[i])
		}
		texts = append(texts, &c.Title, &c.RuleID, &c.Rule, &c.Severity, &c.Hint, &c.Link)
	}
	texts = append(texts, &m.Occasion)
	for _, t := range texts {
		*t = strings.ToValidUTF8(cutText(*t, maxMessageText), "\uFFFD")
	}
}

// queueMessage gives m a sequence and writes it to the queue and to the keys.
func queueMessage(tx Tx, m *Message) error {
	last, err := tx.Get(Outbox, []byte{keySequence})
	if err != nil {
		return fmt.Errorf("number a message: %w", err)
	}
	if len(last) == 8 {
		m.Sequence = binary.BigEndian.Uint64(last)
	}
	m.Sequence++
	return cmp.Or(
		tx.Put(Outbox, []byte{keySequence}, sequenceKey(m.Sequence)),
		tx.Put(Outbox, keyKeyOf(m.Key), sequenceKey(m.Sequence)),
		putMessage(tx, m.waitingKey(), m),
	)
}

func (m *Message) valid() error {
	switch {
	case m.Channel == "" || len(m.Channel) > maxChannelName || strings.ContainsRune(m.Channel, 0):
		return fmt.Errorf("a message's channel %q: a name has 1 to %d bytes and no zero byte", m.Channel, maxChannelName)
	case !slices.Contains(MessageKinds(), m.Kind) || m.Kind == MessageDigest:
		return fmt.Errorf("a message cannot be of kind %q", m.Kind)
	case (m.Alert == nil) == (m.Notice == nil):
		return errors.New("a message is about an alert, or carries a notice, and never both")
	case m.Alert != nil && (len(m.Alert.Handle) > maxHandle || strings.ContainsRune(m.Alert.Handle, 0)):
		return fmt.Errorf("an alert's handle has at most %d bytes and no zero byte", maxHandle)
	}
	return nil
}

// messageKey hashes length-prefixed parts, so that no two lists of parts run together.
func messageKey(m *Message) string {
	var handle, uuid string
	if m.Alert != nil {
		handle, uuid = m.Alert.Handle, m.Alert.UUID
	}
	var b []byte
	for _, part := range []string{string(m.Kind), handle, uuid, m.Occasion, m.Channel} {
		b = binary.AppendUvarint(b, uint64(len(part)))
		b = append(b, part...)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:16])
}

// DueMessages returns up to n messages that may be sent on the channel at now, in the
// order in which they are to be sent.
func DueMessages(tx Tx, channel string, now time.Time, n int) ([]Message, error) {
	var out []Message
	from := waitingPrefix(channel)
	to := append(slices.Clone(from), sequenceKey(dueKey(now)+1)...)
	for p, err := range tx.Range(Outbox, from, to) {
		m, err := decodeMessage(p, err)
		if err != nil {
			return nil, err
		}
		if len(out) == n {
			break
		}
		out = append(out, m)
	}
	return out, nil
}

// NextDue returns when the first message of the channel may be sent; false if none
// waits.
func NextDue(tx Tx, channel string) (time.Time, bool, error) {
	from := waitingPrefix(channel)
	for p, err := range tx.Range(Outbox, from, behindAll(from)) {
		m, err := decodeMessage(p, err)
		return m.Due, err == nil, err
	}
	return time.Time{}, false, nil
}

// MarkSent takes m, and what it speaks for if it is a digest, out of the queue and
// keeps it as sent. Marking what is not in the queue any more changes nothing.
func MarkSent(tx Tx, m *Message, now time.Time) error {
	return finishMessage(tx, m, MessageSent, "", now)
}

// MarkDead gives m up, and what it speaks for if it is a digest. It is kept, and shown.
func MarkDead(tx Tx, m *Message, reason string, now time.Time) error {
	return finishMessage(tx, m, MessageDead, reason, now)
}

func finishMessage(tx Tx, m *Message, state MessageState, reason string, now time.Time) error {
	have, err := tx.Get(Outbox, m.waitingKey())
	if err != nil || have == nil {
		return err
	}
	members := memberPrefix(m.Sequence)
	if m.Kind == MessageDigest {
		for p, err := range tx.Range(Outbox, members, behindAll(members)) {
			member, err := decodeMessage(p, err)
			if err != nil {
				return err
			}
			if err := cmp.Or(tx.Delete(Outbox, p.Key), member.done(tx, state, reason, now)); err != nil {
				return err
			}
		}
	}
	return cmp.Or(tx.Delete(Outbox, m.waitingKey()), m.done(tx, state, reason, now))
}

// done writes m to where messages are kept that are not to be sent any more.
func (m *Message) done(tx Tx, state MessageState, reason string, now time.Time) error {
	m.State, m.Done, m.Next = state, now.UTC(), time.Time{}
	if reason != "" {
		m.LastError = strings.ToValidUTF8(cutText(reason, maxMessageError), "\uFFFD")
	}
	kind := byte(keySent)
	if state == MessageDead {
		kind = keyDead
	}
	return putMessage(tx, timedKey(kind, dueKey(m.Done), m.Sequence), m)
}

// MarkFailed records a failed attempt of m, which stays in the queue. next is when it
// is expected to be tried again. With later, what failed was this message and not the
// channel: it goes back in the line to where a message of that time stands.
func MarkFailed(tx Tx, m *Message, reason string, now, next time.Time, later bool) error {
	old := m.waitingKey()
	have, err := tx.Get(Outbox, old)
	if err != nil || have == nil {
		return err
	}
	m.Attempts++
	m.LastError = strings.ToValidUTF8(cutText(reason, maxMessageError), "\uFFFD")
	m.Tried, m.Next = now.UTC(), next.UTC()
	if later {
		m.Due = m.Next
		if err := tx.Delete(Outbox, old); err != nil {
			return err
		}
	}
	return putMessage(tx, m.waitingKey(), m)
}

// Told returns the channels that were told of the alert, or will be: a message about
// it was queued, and not given up, less long ago than [PruneMessages] forgets.
func Told(tx Tx, handle string) ([]string, error) {
	var out []string
	from := toldKey(handle, "")
	for p, err := range tx.Range(Outbox, from, behindAll(from)) {
		if err != nil {
			return nil, fmt.Errorf("look up who was told: %w", err)
		}
		out = append(out, string(p.Key[len(from):]))
	}
	return out, nil
}

// OutboxChannels returns the names of the channels on which messages wait, whether or
// not they are still configured.
func OutboxChannels(tx Tx) ([]string, error) {
	var out []string
	from := []byte{keyWaiting}
	for {
		found := false
		for p, err := range tx.Range(Outbox, from, behindAll([]byte{keyWaiting})) {
			if err != nil {
				return nil, fmt.Errorf("read the outbox: %w", err)
			}
			name, _, _ := bytes.Cut(p.Key[1:], []byte{0})
			out = append(out, string(name))
			from = behindAll(waitingPrefix(string(name)))
			found = true
			break
		}
		if !found {
			return out, nil
		}
	}
}

// Messages yields the messages in that state; waiting ones by channel and in the order
// in which they are sent, digested ones by digest, sent and dead ones the latest first.
func Messages(tx Tx, state MessageState) iter.Seq2[Message, error] {
	rows := iter.Seq2[Pair, error](func(func(Pair, error) bool) {}) // of no such state
	switch state {
	case MessageWaiting:
		rows = tx.Range(Outbox, []byte{keyWaiting}, []byte{keyWaiting + 1})
	case MessageDigested:
		rows = tx.Range(Outbox, []byte{keyMember}, []byte{keyMember + 1})
	case MessageDead:
		rows = tx.Reverse(Outbox, []byte{keyDead}, []byte{keyDead + 1})
	case MessageSent:
		rows = tx.Reverse(Outbox, []byte{keySent}, []byte{keySent + 1})
	}
	return func(yield func(Message, error) bool) {
		for p, err := range rows {
			m, err := decodeMessage(p, err)
			if !yield(m, err) {
				return
			}
		}
	}
}

// ListMessages returns up to limit messages in any of the states and for any of the
// channels, none of which means all: state by state, each in the order of [Messages].
func ListMessages(tx Tx, states []MessageState, channels []string, limit int) ([]Message, error) {
	var out []Message
	for _, state := range states {
		for m, err := range Messages(tx, state) {
			switch {
			case err != nil:
				return nil, err
			case len(out) >= limit:
				return out, nil
			case len(channels) == 0 || slices.Contains(channels, m.Channel):
				out = append(out, m)
			}
		}
	}
	return out, nil
}

// CountMessages returns how many messages wait on each channel, those of digests
// included, and when the first of them was queued.
func CountMessages(tx Tx) (map[string]Waiting, error) {
	out := map[string]Waiting{}
	for _, state := range []MessageState{MessageWaiting, MessageDigested} {
		for m, err := range Messages(tx, state) {
			if err != nil {
				return nil, err
			}
			if m.Kind == MessageDigest { // its members are counted
				continue
			}
			w := out[m.Channel]
			w.Count++
			if w.Oldest.IsZero() || m.Created.Before(w.Oldest) {
				w.Oldest = m.Created
			}
			out[m.Channel] = w
		}
	}
	return out, nil
}

// Waiting is what waits on a channel.
type Waiting struct {
	Count  int64
	Oldest time.Time
}

// PruneMessages forgets up to n of the messages that were sent or given up before a
// time, who was told by them and their keys, and returns how many it forgot.
func PruneMessages(tx Tx, before time.Time, n int) (int, error) {
	count := 0
	for _, kind := range []byte{keySent, keyDead} {
		for p, err := range tx.Range(Outbox, []byte{kind}, timedKey(kind, dueKey(before), 0)) {
			if count == n {
				return count, nil
			}
			m, err := decodeMessage(p, err)
			if err != nil {
				return count, err
			}
			if err := m.forget(tx, p.Key); err != nil {
				return count, fmt.Errorf("forget a message: %w", err)
			}
			count++
		}
	}
	return count, nil
}

func (m *Message) forget(tx Tx, key []byte) error {
	if err := cmp.Or(tx.Delete(Outbox, key), tx.Delete(Outbox, keyKeyOf(m.Key))); err != nil || m.Alert == nil {
		return err
	}
	told := toldKey(m.Alert.Handle, m.Channel)
	last, err := tx.Get(Outbox, told)
	if err == nil && bytes.Equal(last, sequenceKey(m.Sequence)) { // no later message about it
		err = tx.Delete(Outbox, told)
	}
	return err
}

func putMessage(tx Tx, key []byte, m *Message) error {
	b, err := json.Marshal(m)
	switch {
	case err != nil:
		return fmt.Errorf("write message %d: %w", m.Sequence, err)
	case len(b) > maxMessageSize && m.Kind != MessageDigest: // which is bounded by what it holds
		return fmt.Errorf("a message for %s has %d bytes; %d is the most", m.Channel, len(b), maxMessageSize)
	}
	return tx.Put(Outbox, key, b)
}

func decodeMessage(p Pair, err error) (Message, error) {
	var m Message
	if err != nil {
		return m, fmt.Errorf("read the outbox: %w", err)
	}
	if err := json.Unmarshal(p.Value, &m); err != nil {
		return Message{}, fmt.Errorf("a message of the outbox: %w: %w", ErrDamaged, err)
	}
	return m, nil
}

func (m *Message) waitingKey() []byte {
	return append(append(waitingPrefix(m.Channel), sequenceKey(dueKey(m.Due))...), sequenceKey(m.Sequence)...)
}

func waitingPrefix(channel string) []byte {
	return append(append([]byte{keyWaiting}, channel...), 0)
}

func memberPrefix(digest uint64) []byte { return append([]byte{keyMember}, sequenceKey(digest)...) }

func toldKey(handle, channel string) []byte {
	return append(append(append([]byte{keyTold}, handle...), 0), channel...)
}

func keyKeyOf(key string) []byte { return append([]byte{keyKey}, key...) }

func timedKey(kind byte, a, b uint64) []byte {
	return append(append([]byte{kind}, sequenceKey(a)...), sequenceKey(b)...)
}

func sequenceKey(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// dueKey is a time in a key: nanoseconds since 1970, and 0 for what was before.
func dueKey(t time.Time) uint64 {
	if t.Unix() < 0 {
		return 0
	}
	if t.Unix() > math.MaxInt64/int64(time.Second)-1 {
		return math.MaxInt64
	}
	return uint64(t.UnixNano())
}

// behindAll is the first key behind all that begin with prefix.
func behindAll(prefix []byte) []byte {
	out := slices.Clone(prefix)
	for i := len(out) - 1; i >= 0; i-- {
		if out[i]++; out[i] != 0 {
			return out[:i+1]
		}
	}
	return nil
}

// cutText shortens a text to at most n bytes of whole characters.
func cutText(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "… (" + strconv.Itoa(len(s)) + " bytes)"
}
