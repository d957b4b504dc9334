// Package rawjson checks and walks JSON text in place: no tree, no allocation.
//
// It is the floor under the CloudTrail reader and the lazy event. [Skip] checks a
// value against the full grammar and says where it ends; [Walk], [Get] and [Path]
// then move through text that has been checked; [String] gives a value's text,
// sharing memory where nothing has to be unescaped.
//
// Of duplicate names the first wins, everywhere. A name or value is compared as
// the text it means, never as the bytes that happen to spell it: "\u0053" is "S".
//
//	id := rawjson.String(rawjson.Path(record, "userIdentity", "sessionContext", "sessionIssuer", "arn"))
package rawjson
