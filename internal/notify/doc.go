// Package notify tells people of alerts: it decides which channels are told
// ([Router]), when nobody is ([Silences]), and carries messages from the store's outbox
// to the channels ([Sender]).
//
// A message is queued in the transaction that makes it true, so that a crash neither
// loses nor repeats it:
//
//	err := db.Update(ctx, func(tx store.Tx) error {
//		if err := store.PutAlert(tx, a); err != nil {
//			return err
//		}
//		_, err := router.Alert(tx, store.MessageNew, snapshot, "", now)
//		return err
//	})
//	sender.Wake()
//
// The sender takes it from there, for as long as it takes: a channel that is down
// delays its own messages and nobody else's, a flood becomes one digest, and what is
// given up after days is kept and shown. Delivery is at least once: a crash between
// sending and noting it sends the message again, with the same idempotency key.
//
// Channels are the services that shoutrrr knows, by URL, and a signed webhook.
// docs/notify.md describes both, and the webhook's format. Everything that comes from
// a log is hostile text: see render.go.
package notify
