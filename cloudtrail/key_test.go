package cloudtrail_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/debutsec/debut/cloudtrail"
)

func TestParseKey(t *testing.T) {
	t.Parallel()
	day := time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC)
	const file = "111122223333_CloudTrail_eu-west-1_20240229T2355Z_AbCdEfGhIjKlMnOp.json.gz"
	plain := cloudtrail.Key{Account: "111122223333", Kind: "CloudTrail", Region: "eu-west-1", Day: day, File: file}
	with := func(change func(*cloudtrail.Key)) cloudtrail.Key {
		k := plain
		change(&k)
		return k
	}
	for name, want := range map[string]cloudtrail.Key{
		"AWSLogs/111122223333/CloudTrail/eu-west-1/2024/02/29/" + file:             plain,
		"a/b/AWSLogs/111122223333/CloudTrail/eu-west-1/2024/02/29/" + file:         plain,
		"AWSLogs/old/AWSLogs/111122223333/CloudTrail/eu-west-1/2024/02/29/" + file: plain,
		`C:\logs\AWSLogs\111122223333\CloudTrail\eu-west-1\2024\02\29\` + file:     plain,
		"111122223333/CloudTrail/eu-west-1/2024/02/29/" + file:                     plain,
		"flat/" + file: plain,
		file:           plain,
		"AWSLogs/o-abcdefghij/111122223333/CloudTrail/eu-west-1/2024/02/29/" + file: with(func(k *cloudtrail.Key) { k.Org = "o-abcdefghij" }),
		"AWSLogs/111122223333/CloudTrail-Insight/eu-west-1/2024/02/29/x":            with(func(k *cloudtrail.Key) { k.Kind, k.File = "CloudTrail-Insight", "x" }),
		"111122223333_CloudTrail-Digest_eu-west-1_my_own_trail_eu-west-1_20240229T235500Z.json.gz": with(func(k *cloudtrail.Key) {
			k.Kind, k.File = "CloudTrail-Digest", "111122223333_CloudTrail-Digest_eu-west-1_my_own_trail_eu-west-1_20240229T235500Z.json.gz"
		}),
	} {
		got, ok := cloudtrail.ParseKey(name)
		if !ok {
			t.Errorf("%s: not a key", name)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	for _, name := range []string{
		"", "/", "x.json", "AWSLogs", "AWSLogs/",
		"AWSLogs/111122223333/Config/eu-west-1/2024/02/29/x.json",
		"AWSLogs/111122223333/CloudTrails/eu-west-1/2024/02/29/x.json",
		"AWSLogs/11112222333/CloudTrail/eu-west-1/2024/02/29/x.json",
		"AWSLogs/111122223333/CloudTrail/eu-west-1/2024/02/30/x.json",
		"AWSLogs/111122223333/CloudTrail/eu-west-1/2024/2/9/x.json",
		"AWSLogs/111122223333/CloudTrail/eu-west-1/2024/02/29",
		"AWSLogs/111122223333/CloudTrail/eu-west-1/2024/02/29/x/y.json",
		"111122223333_CloudTrail_eu-west-1_20240230T2355Z_x.json.gz",
		"111122223333_CloudTrail_eu-west-1_20240229",
		"111122223333_CloudTrail_eu-west-1",
		"111122223333_Config_eu-west-1_20240229T2355Z_x.json.gz",
	} {
		if k, ok := cloudtrail.ParseKey(name); ok {
			t.Errorf("%q: got %+v, want no key", name, k)
		}
	}
}

// A day's objects hold what happened on the day, or shortly before it: a day of slack
// on either side.
func TestKeyPrunes(t *testing.T) {
	t.Parallel()
	k := cloudtrail.Key{Day: time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC)}
	if at := time.Date(2024, 3, 2, 0, 0, 0, 0, time.UTC); k.Before(at) || !k.Before(at.Add(1)) {
		t.Errorf("before %v: %v, a nanosecond later: %v", at, k.Before(at), k.Before(at.Add(1)))
	}
	if at := time.Date(2024, 2, 28, 0, 0, 0, 0, time.UTC); k.After(at) || !k.After(at.Add(-1)) {
		t.Errorf("after %v: %v, a nanosecond earlier: %v", at, k.After(at), k.After(at.Add(-1)))
	}
	// The zone of a time does not matter.
	if at := time.Date(2024, 3, 2, 1, 0, 0, 0, time.FixedZone("", 3600)); k.Before(at) {
		t.Error("before: the zone matters")
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add("AWSLogs/111122223333/CloudTrail/eu-west-1/2024/02/29/x.json.gz")
	f.Add("111122223333_CloudTrail-Digest_eu-west-1_t_eu-west-1_20240229T235500Z.json.gz")
	f.Fuzz(func(t *testing.T, name string) {
		k, ok := cloudtrail.ParseKey(name)
		if !ok {
			if k != (cloudtrail.Key{}) {
				t.Errorf("no key, and %+v", k)
			}
			return
		}
		if len(k.Account) != 12 || k.Kind == "" || k.Day.IsZero() || k.File == "" {
			t.Errorf("half a key: %+v", k)
		}
		if again, ok := cloudtrail.ParseKey("prefix/" + name); !ok || again != k {
			t.Errorf("with a prefix: %+v, want %+v", again, k)
		}
	})
}
