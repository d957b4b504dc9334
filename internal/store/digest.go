package store

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/debutsec/debut/internal/alert"
)

// A Digest tells many messages in one: how many there are of each kind, rule and
// principal. It grows until it is sealed, and is sent only then: the same key never
// stands for two contents.
type Digest struct {
	Count  int64                 `json:"count"`
	First  time.Time             `json:"first"` // when the first of them was queued
	Last   time.Time             `json:"last"`
	Kinds  map[MessageKind]int64 `json:"kinds"`
	Rules  []DigestRule          `json:"rules,omitzero"`
	Sealed bool                  `json:"sealed,omitzero"`
	// MoreRules counts the messages about rules beyond the ones that are named.
	MoreRules int64    `json:"more_rules,omitzero"`
	Notices   []string `json:"notices,omitzero"` // the first titles of what is not about an alert
}

// A DigestRule is one rule in a digest.
type DigestRule struct {
	RuleID     string            `json:"rule_id"`
	Rule       string            `json:"rule"`
	Severity   string            `json:"severity"` // the highest
	Count      int64             `json:"count"`
	Principals []DigestPrincipal `json:"principals,omitzero"`
	// More counts the messages about principals beyond the ones that are named.
	More int64 `json:"more,omitzero"`
}

// A DigestPrincipal is one principal under a rule of a digest. Who is empty for
// alerts that name none.
type DigestPrincipal struct {
	Who    string `json:"who"`
	Count  int64  `json:"count"`
	Handle string `json:"handle"` // of the first alert
}

// Bounds of a digest.
const (
	maxDigestRules      = 200
	maxDigestPrincipals = 20
	maxDigestNotices    = 20
	maxDigests          = 8 // that may stand in the way of what they do not speak for
)

// FoldMessages moves up to n messages that are due on the channel into its digest, and
// returns the digest and how many it moved: into the one that is not sealed yet, or a
// new one, which stands before the first message in the line. Digests are not
// folded. With seal the digest may be sent afterwards and grows no more.
func FoldMessages(tx Tx, channel string, now time.Time, n int, seal bool) (*Message, int, error) {
	list, err := DueMessages(tx, channel, now, n+maxDigests)
	if err != nil {
		return nil, 0, err
	}
	var digest *Message
	for i := range list {
		if list[i].Kind == MessageDigest && !list[i].Digest.Sealed {
			digest = &list[i]
		}
	}
	list = slices.DeleteFunc(slices.Clone(list), func(m Message) bool { return m.Kind == MessageDigest })
	list = list[:min(len(list), n)]
	switch {
	case digest == nil && len(list) == 0:
		return nil, 0, nil
	case digest == nil:
		if digest, err = newDigest(tx, &list[0]); err != nil {
			return nil, 0, err
		}
	}
	for i := range list {
		m := &list[i]
		old := m.waitingKey()
		digest.Digest.add(m)
		m.State, m.InDigest, m.Next = MessageDigested, digest.Sequence, time.Time{}
		if err := cmp.Or(
			tx.Delete(Outbox, old),
			putMessage(tx, append(memberPrefix(digest.Sequence), sequenceKey(m.Sequence)...), m),
		); err != nil {
			return nil, 0, fmt.Errorf("fold a message into a digest: %w", err)
		}
	}
	digest.Digest.Sealed = digest.Digest.Sealed || seal
	if err := putMessage(tx, digest.waitingKey(), digest); err != nil {
		return nil, 0, err
	}
	return digest, len(list), nil
}

// newDigest queues an empty digest just before first, and before what is due at the
// same instant, so that it is found again as long as it is open.
func newDigest(tx Tx, first *Message) (*Message, error) {
	m := &Message{
		Channel: first.Channel, Kind: MessageDigest, State: MessageWaiting, Occasion: first.Key,
		Created: first.Created, Due: first.Due.Add(-1), Digest: &Digest{Kinds: map[MessageKind]int64{}},
	}
	m.Key = messageKey(m)
	if err := queueMessage(tx, m); err != nil {
		return nil, fmt.Errorf("begin a digest: %w", err)
	}
	return m, nil
}

// add counts m.
func (d *Digest) add(m *Message) {
	d.Count++
	d.Kinds[m.Kind]++
	if d.First.IsZero() || m.Created.Before(d.First) {
		d.First = m.Created
	}
	if m.Created.After(d.Last) {
		d.Last = m.Created
	}
	if m.Alert == nil {
		if len(d.Notices) < maxDigestNotices {
			d.Notices = append(d.Notices, m.Notice.Title)
		}
		return
	}
	a := m.Alert
	i := slices.IndexFunc(d.Rules, func(r DigestRule) bool { return r.RuleID == a.RuleID })
	if i < 0 {
		if len(d.Rules) == maxDigestRules {
			d.MoreRules++
			return
		}
		i = len(d.Rules)
		d.Rules = append(d.Rules, DigestRule{RuleID: a.RuleID, Rule: a.Rule, Severity: a.Severity})
	}
	d.Rules[i].add(a)
}

func (r *DigestRule) add(a *Snapshot) {
	r.Count++
	if alert.SeverityRank(a.Severity) > alert.SeverityRank(r.Severity) {
		r.Severity = a.Severity
	}
	i := slices.IndexFunc(r.Principals, func(p DigestPrincipal) bool { return p.Who == a.Who })
	switch {
	case i >= 0:
		r.Principals[i].Count++
	case len(r.Principals) == maxDigestPrincipals:
		r.More++
	default:
		r.Principals = append(r.Principals, DigestPrincipal{Who: a.Who, Count: 1, Handle: a.Handle})
	}
}

// ByWeight returns the rules of the digest in the order in which to show them: critical
// and high ones first, so that no flood hides them, then the most frequent.
func (d *Digest) ByWeight() []DigestRule {
	out := slices.Clone(d.Rules)
	grave := func(r DigestRule) int { return max(alert.SeverityRank(r.Severity), alert.SeverityRank("medium")) }
	slices.SortStableFunc(out, func(a, b DigestRule) int {
		return cmp.Or(cmp.Compare(grave(b), grave(a)), cmp.Compare(b.Count, a.Count))
	})
	return out
}

// KindCounts returns the kinds that the digest has, in order of their names.
func (d *Digest) KindCounts() []MessageKind { return slices.Sorted(maps.Keys(d.Kinds)) }
