package s3

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/debutsec/debut/internal/source"
)

const account = "111122223333"

// epoch is where the clock of a synctest bubble begins.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func newTest(t *testing.T) (*fakeBucket, *fakeQueue, *fakeSink) {
	return newFakeBucket(), &fakeQueue{visibility: 5 * time.Minute}, newFakeSink(t)
}

// startTest is newTest with a source that has been started.
func startTest(t *testing.T) (s *Source, b *fakeBucket, q *fakeQueue, sink *fakeSink, stop func()) {
	b, q, sink = newTest(t)
	s = newSource(testOptions(), b, q)
	return s, b, q, sink, start(t, s, sink)
}

func TestNotificationAndListingReadOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, b, q, sink, stop := startTest(t)
		var keys []string
		for i := range 50 { // random order of names, some announced twice, some never
			key := keyAt(account, time.Now(), fmt.Sprintf("%04x", i*7919%50))
			keys = append(keys, key)
			b.put(key, zipped(key))
			if i%5 != 0 {
				q.send(b.notice(key))
			}
			if i%3 == 0 {
				q.send(cloudTrailNotice(key, keys[i/2]))
			}
			time.Sleep(20 * time.Second)
		}
		time.Sleep(2 * time.Hour)
		stop()
		if len(sink.expected) == 0 {
			t.Error("nothing was expected")
		}
		for _, key := range keys {
			if n := sink.times(key); n != 1 {
				t.Errorf("%s was read %d times", key, n)
			}
			if e, ok := sink.expectation(s.object(key, b.objects[key].etag())); ok && (e.Account != account || e.Region != "eu-west-1" || e.Hour != epoch) {
				t.Errorf("%s is expected as %+v", key, e)
			}
		}
		if n := q.left(); n != 0 {
			t.Errorf("%d messages are left", n)
		}
		if len(sink.failed) > 0 || sink.lastTrouble() != "<nil>" {
			t.Errorf("failed: %v, troubles: %v", sink.failed, sink.troubles)
		}
		if st := s.Stats(); st.Read != 50 || st.Deleted == 0 || st.Deleted != st.Messages {
			t.Errorf("stats: %+v", st)
		}
	})
}

// A message is kept as long as its objects are not durable, and hidden from others.
func TestMessageStaysUntilDurable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, q, sink := newTest(t)
		sink.delay = func() time.Duration { return time.Hour }
		s := newSource(testOptions(), b, q)
		stop := start(t, s, sink)
		key := keyAt(account, time.Now(), "a")
		b.put(key, zipped("x"))
		q.send(b.notice(key))
		time.Sleep(50 * time.Minute)
		if q.left() != 1 || s.Stats().Messages != 1 {
			t.Errorf("%d messages left, received %d times", q.left(), s.Stats().Messages)
		}
		time.Sleep(20 * time.Minute)
		if q.left() != 0 || sink.times(key) != 1 {
			t.Errorf("%d messages left, read %d times", q.left(), sink.times(key))
		}
		stop()
	})
}

// At the end, what is not done goes back to the queue at once.
func TestStopGivesBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, q, sink := newTest(t)
		sink.delay = func() time.Duration { return time.Hour }
		s := newSource(testOptions(), b, q)
		stop := start(t, s, sink)
		key := keyAt(account, time.Now(), "a")
		b.put(key, zipped("x"))
		q.send(b.notice(key))
		time.Sleep(time.Minute)
		stop()
		if q.left() != 1 || q.messages[0].visible.After(time.Now()) {
			t.Errorf("the message is not visible")
		}
	})
}

func TestMessagesThatAreNotForUs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, q, sink := newTest(t)
		o := testOptions()
		o.Prefixes = []string{"AWSLogs"}
		s := newSource(o, b, q)
		stop := start(t, s, sink)
		for _, key := range []string{
			"other/" + keyAt(account, time.Now(), "a"),
			"AWSLogs/" + account + "/vpcflowlogs/eu-west-1/2000/01/01/x.log.gz",
			keyAt(account, o.Start.AddDate(0, 0, -1), "old"),
			"AWSLogs/report.csv",
		} {
			b.put(key, zipped("x"))
			q.send(b.notice(key))
		}
		q.send(strings.Replace(b.notice(keyAt(account, time.Now(), "a")), `"trail"`, `"elsewhere"`, 1))
		q.send(`{"Event":"s3:TestEvent"}`)
		q.send(`{"Records":[{"eventName":"ObjectRemoved:Delete","s3":{"bucket":{"name":"trail"},"object":{"key":"x"}}}]}`)
		id := q.send(`who are you? ` + strings.Repeat("é", maxBody))
		time.Sleep(time.Minute)
		stop()
		if q.left() != 0 || len(sink.content) != 0 {
			t.Errorf("%d messages left, read %v", q.left(), sink.content)
		}
		if st := s.Stats(); st.Ignored != 6 || st.Parked != 1 {
			t.Errorf("stats: %+v", st)
		}
		var p source.Parked
		if err := json.Unmarshal(sink.positions["parked/"+id], &p); err != nil || len(p.Body) > maxBody || !strings.HasPrefix(p.Body, "who are you?") ||
			!strings.Contains(p.Reason, "not JSON") {
			t.Errorf("parked: %+v, %v", p, err)
		}
		if got := string(sink.positions["parked"]); got != `["`+id+`"]` {
			t.Errorf("list of parked messages: %s", got)
		}
	})
}

func TestParkedMessagesAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, q, sink := newTest(t)
		s := newSource(testOptions(), b, q)
		for range maxParked + 20 {
			q.send("?")
		}
		stop := start(t, s, sink)
		time.Sleep(10 * time.Minute)
		stop()
		n := 0
		for name := range sink.positions {
			if strings.HasPrefix(name, "parked/") {
				n++
			}
		}
		if n != maxParked || q.left() != 0 || s.Stats().Parked != maxParked+20 {
			t.Errorf("%d kept, %d left, %+v", n, q.left(), s.Stats())
		}
	})
}

// An object that cannot be read is given up while others can, and comes back when it
// can be read.
func TestPoisonObject(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, q, sink := newTest(t)
		poison := keyAt(account, time.Now(), "poison")
		b.put(poison, zipped("x"))
		b.setFault(func(op, key string) error {
			if op == "get" && key == poison {
				return fmt.Errorf("get: %w: kms", errDenied)
			}
			return nil
		})
		s := newSource(testOptions(), b, q)
		stop := start(t, s, sink)
		q.send(b.notice(poison))
		for i := range 100 {
			key := keyAt(account, time.Now(), fmt.Sprint(i))
			b.put(key, zipped("x"))
			q.send(b.notice(key))
			time.Sleep(time.Second)
		}
		time.Sleep(2 * time.Minute)
		if got := sink.reasons(); len(got) != 1 || !strings.Contains(got[0], "access denied: kms (given up after 5 attempts") || q.left() != 0 {
			t.Errorf("failed: %v; %d messages left", got, q.left())
		}
		b.setFault(nil)
		time.Sleep(3 * time.Hour)
		stop()
		if sink.times(poison) != 1 || len(sink.failed) != 0 {
			t.Errorf("read %d times, failed: %v", sink.times(poison), sink.failed)
		}
	})
}

// When S3 fails altogether, nothing is given up; the operator is told, and then that it
// is over.
func TestOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, b, q, sink, stop := startTest(t)
		time.Sleep(time.Minute)
		b.setFault(func(string, string) error { return errors.New("503 SlowDown") })
		var keys []string
		for i := range 30 {
			keys = append(keys, keyAt(account, time.Now(), fmt.Sprint(i)))
			b.put(keys[i], zipped("x"))
			q.send(b.notice(keys[i]))
		}
		time.Sleep(6 * time.Hour)
		if got := sink.lastTrouble(); !strings.Contains(got, "503 SlowDown") {
			t.Errorf("trouble: %s", got)
		}
		if got := sink.reasons(); len(got) != 0 {
			t.Errorf("given up: %v", got)
		}
		b.setFault(nil)
		time.Sleep(2 * time.Hour)
		stop()
		for _, key := range keys {
			if sink.times(key) != 1 {
				t.Errorf("%s was read %d times", key, sink.times(key))
			}
		}
		if got := sink.lastTrouble(); got != "<nil>" || q.left() != 0 {
			t.Errorf("trouble: %s; %d messages left", got, q.left())
		}
	})
}

func TestQueueDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, q, sink := newTest(t)
		q.setFault(errors.New("no such host"))
		s := newSource(testOptions(), b, q)
		stop := start(t, s, sink)
		key := keyAt(account, time.Now(), "a")
		b.put(key, zipped("x"))
		time.Sleep(61 * time.Minute)
		if sink.times(key) != 1 || sink.lastTrouble() != "no such host (listings go on)" {
			t.Errorf("read %d times; trouble: %s", sink.times(key), sink.lastTrouble())
		}
		q.setFault(nil)
		time.Sleep(2 * time.Minute)
		if sink.lastTrouble() != "<nil>" {
			t.Errorf("trouble: %s", sink.lastTrouble())
		}
		stop()
	})
}

// A sink that cannot store is not the object's fault.
func TestSinkCannotStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, q, sink := newTest(t)
		full := true
		sink.refuse = func(string) error {
			if full {
				return errors.New("no space left on device")
			}
			return nil
		}
		s := newSource(testOptions(), b, q)
		stop := start(t, s, sink)
		key := keyAt(account, time.Now(), "a")
		b.put(key, zipped("x"))
		q.send(b.notice(key))
		time.Sleep(3 * time.Hour)
		if got := sink.reasons(); len(got) != 0 || q.left() != 1 {
			t.Errorf("failed: %v, %d messages left", got, q.left())
		}
		sink.mu.Lock()
		full = false
		sink.mu.Unlock()
		time.Sleep(2 * time.Minute)
		stop()
		if sink.times(key) != 1 || q.left() != 0 {
			t.Errorf("read %d times, %d messages left", sink.times(key), q.left())
		}
	})
}

func TestVanishedObject(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, b, q, sink, stop := startTest(t)
		q.send(b.notice(keyAt(account, time.Now(), "gone")))
		unlisted := fmt.Sprintf("AWSLogs/%s_CloudTrail_eu-west-1_20000101T0000Z_x.json.gz", account)
		q.send(b.notice(unlisted))
		versionless := q.send(cloudTrailNotice(keyAt(account, time.Now(), "versionless")))
		time.Sleep(2 * time.Minute)
		got := sink.reasons()
		if p := string(sink.positions["parked/"+versionless]); !strings.Contains(p, "given up: ") || !strings.Contains(p, "it is not in the bucket") {
			t.Errorf("parked: %s", p)
		}
		if len(got) != 2 || !strings.Contains(got[0], "it is not in the bucket (given up after 5 attempts") {
			t.Errorf("failed: %v", got)
		}
		// No listing finds the second, so its message stays.
		if q.left() != 1 {
			t.Errorf("%d messages left", q.left())
		}
		b.put(unlisted, zipped("x"))
		time.Sleep(10 * time.Minute)
		stop()
		if sink.times(unlisted) != 1 || q.left() != 0 {
			t.Errorf("read %d times, %d messages left", sink.times(unlisted), q.left())
		}
	})
}

// A message that was received over and over is not tried again.
func TestEndlessMessage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, q, sink := newTest(t)
		key := keyAt(account, time.Now().AddDate(0, 0, 1), "a") // no listing finds it today
		b.put(key, zipped("x"))
		q.send(b.notice(key))
		q.messages[0].receives = maxReceives
		s := newSource(testOptions(), b, q)
		stop := start(t, s, sink)
		time.Sleep(time.Minute)
		stop()
		if got := string(sink.positions["parked/m1"]); !strings.Contains(got, "received 26 times") || q.left() != 0 {
			t.Errorf("parked: %s; %d messages left", got, q.left())
		}
	})
}

func TestReplacedObjectIsAnother(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, b, _, sink, stop := startTest(t)
		key := keyAt(account, time.Now(), "a")
		b.put(key, zipped("x"))
		time.Sleep(2 * time.Hour)
		b.put(key, zipped("y"))
		time.Sleep(2 * time.Hour)
		stop()
		if n := sink.times(key); n != 2 {
			t.Errorf("read %d times", n)
		}
	})
}

func TestListingStandsStill(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, _, sink := newTest(t)
		b.stalls = 3
		key := keyAt(account, time.Now(), "a")
		b.put(key, zipped("x"))
		stop := start(t, newSource(testOptions(), b, nil), sink)
		time.Sleep(5 * time.Minute)
		stop()
		if sink.times(key) != 1 {
			t.Errorf("read %d times", sink.times(key))
		}
	})
}

func TestOptions(t *testing.T) {
	t.Parallel()
	good := testOptions()
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(*Options){
		"name is needed":                         func(o *Options) { o.Name = "" },
		"bucket is needed":                       func(o *Options) { o.Bucket = "" },
		"give the bare name, without s3://":      func(o *Options) { o.Bucket = "s3://trail/x" },
		"account and name of the queue":          func(o *Options) { o.QueueURL = "https://sqs.eu-west-1.amazonaws.com/x" },
		"it must look like https://sqs":          func(o *Options) { o.QueueURL = "arn:aws:sqs:eu-west-1:1:x" },
		"no role_arn that it belongs to":         func(o *Options) { o.ExternalID = "x" },
		"it must begin with arn:":                func(o *Options) { o.RoleARN = "debut" },
		"it must begin with https:// or http://": func(o *Options) { o.Endpoint = "localhost:9000" },
		"it must be between 10s and 12h":         func(o *Options) { o.VisibilityTimeout = time.Second },
		"it must be at least 10s":                func(o *Options) { o.ListInterval = time.Second },
		"between 1 and 100000":                   func(o *Options) { o.Concurrency = -1 },
		"idle_timeout":                           func(o *Options) { o.IdleTimeout = -1 },
		"need digests":                           func(o *Options) { o.Digests, o.Verify = false, true },
		"no clock":                               func(o *Options) { o.Now = nil },
	} {
		o := testOptions()
		change(&o)
		if err := o.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
		if _, err := New(t.Context(), o); err == nil || !strings.HasPrefix(err.Error(), "source ") {
			t.Errorf("%s: New: %v", want, err)
		}
	}
}

func TestHints(t *testing.T) {
	t.Parallel()
	o := testOptions()
	o.QueueURL, o.Prefixes = "https://sqs.us-gov-west-1.amazonaws.com/111122223333/debut", []string{"AWSLogs/"}
	p := placesOf(&o)
	for action, want := range map[string]string{
		"s3:ListBucket":      `: the policy of the role lacks {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws-us-gov:s3:::trail"}`,
		"s3:GetObject":       `: the policy of the role lacks {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws-us-gov:s3:::trail/AWSLogs/*"}`,
		"sqs:ReceiveMessage": `: the policy of the role lacks {"Effect": "Allow", "Action": ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"], "Resource": "arn:aws-us-gov:sqs:us-gov-west-1:111122223333:debut"}`,
	} {
		if got := p.hint(action); got != want {
			t.Errorf("%s: %s", action, got)
		}
	}
}
