package enrich

import (
	"math"
	"time"

	"github.com/debutsec/debut/cloudtrail"
)

// earthRadius is the mean radius in kilometres (IUGG).
const earthRadius = 6371.0088

// Distance returns the great-circle distance of two places in kilometres, by the
// haversine formula. It is exact to half a percent, since the earth is no sphere. ok is
// false unless both places are located.
func Distance(a, b cloudtrail.Place) (km float64, ok bool) {
	if !located(a) || !located(b) {
		return 0, false
	}
	rad := func(deg float64) float64 { return deg * math.Pi / 180 }
	sinLat, sinLon := math.Sin(rad(b.Lat-a.Lat)/2), math.Sin(rad(b.Lon-a.Lon)/2)
	h := sinLat*sinLat + math.Cos(rad(a.Lat))*math.Cos(rad(b.Lat))*sinLon*sinLon
	return 2 * earthRadius * math.Asin(math.Sqrt(min(h, 1))), true
}

// located reports whether a place has coordinates that are on the earth.
func located(p cloudtrail.Place) bool {
	return p.HasLocation && math.Abs(p.Lat) <= 90 && math.Abs(p.Lon) <= 180 // false of NaN
}

// ImpossibleTravel returns the distance of two places in kilometres, and whether nobody
// gets from one to the other in the time between: they are least kilometres apart or more,
// which asks for more than speed kilometres an hour. The time's sign does not matter.
func ImpossibleTravel(a, b cloudtrail.Place, between time.Duration, speed, least float64) (km float64, impossible bool) {
	km, ok := Distance(a, b)
	if !ok || km < least {
		return km, false
	}
	return km, km > speed*between.Abs().Hours()
}
