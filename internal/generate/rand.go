package generate

import "math"

// All chance comes from here: 64-bit SplitMix, keyed by address.

const golden = 0x9E3779B97F4A7C15

func mix(z uint64) uint64 {
	z += golden
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

// hash folds an address into 64 bits. hash(a, b, c) is under(hash(a, b), c).
func hash(keys ...uint64) uint64 {
	var s uint64
	for _, k := range keys {
		s = mix(s ^ k)
	}
	return s
}

// under extends an address by one more key.
func under(s, key uint64) uint64 { return mix(s ^ key) }

// A stream is the sequence of random numbers of one address.
type stream uint64

func (s *stream) next() uint64 {
	*s += golden
	return mix(uint64(*s))
}

// uniform is in [0, 1).
func (s *stream) uniform() float64 { return float64(s.next()>>11) * 0x1p-53 }

// below is in [0, n).
func (s *stream) below(n int) int { return int(s.uniform() * float64(n)) }

// between is in [lo, hi].
func (s *stream) between(lo, hi int) int { return lo + s.below(hi-lo+1) }

func (s *stream) normal() float64 {
	u, v := 1-s.uniform(), s.uniform()
	return math.Sqrt(-2*math.Log(u)) * math.Cos(2*math.Pi*v)
}

func (s *stream) lognormal(median, sigma float64) float64 {
	return median * math.Exp(sigma*s.normal())
}

func (s *stream) exponential(mean float64) float64 { return -mean * math.Log(1-s.uniform()) }

// geometric is at least 1.
func (s *stream) geometric(mean float64) int {
	if mean <= 1 {
		return 1
	}
	return 1 + int(math.Log(1-s.uniform())/math.Log(1-1/mean))
}

func (s *stream) poisson(mean float64) int {
	if mean >= 50 {
		return max(0, int(math.Round(mean+math.Sqrt(mean)*s.normal())))
	}
	u, p, n := s.uniform(), math.Exp(-mean), 0
	for sum := p; u >= sum && n < 1000; sum += p {
		n++
		p *= mean / float64(n)
	}
	return n
}

// zipf draws a rank in [0, n), with exponent 1.
func (s *stream) zipf(n int) int {
	return min(n, int(math.Pow(float64(n+1), s.uniform()))) - 1
}

// chance is true with probability p.
func (s *stream) chance(p float64) bool { return s.uniform() < p }

// Purposes: the second key of every address, after the seed.
const (
	forAccount = 1 + iota
	forWeight
	forPrincipal
	forList
	forBursts
	forBurst
	forTouch
	forAlive
	forLapse
	forWriter
	forObject
	forOrg
	forSecondTrail
	forOverlay
	forFlood
	forName
	forResource
	// The following extend the address of a record.
	forJitter
	forRepeat
)
