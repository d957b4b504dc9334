package enrich

import (
	"net/netip"
	"strings"
)

// Classes of source addresses, as CloudTrail logs them.
const (
	AddressNone     = "none"         // nothing is logged
	AddressService  = "service"      // the host name of an AWS service that made the call
	AddressInternal = "AWS Internal" // a hop inside of AWS: the origin is not logged
	AddressPrivate  = "private"      // of a private network: through a VPC endpoint, or inside of AWS
	AddressPublic   = "public"
	AddressEndpoint = "endpoint" // the id of a VPC endpoint
	AddressInvalid  = "invalid"  // a text that is none of these
)

// AddressClass tells the class of a source address. Only "private" and "public" are
// addresses; an address is one only as [netip.ParseAddr] reads it, so that a part with a
// leading zero makes it invalid.
func AddressClass(text string) string {
	switch {
	case text == "" || text == "-":
		return AddressNone
	case text == "AWS Internal", text == "AWS internal":
		return AddressInternal
	case strings.HasPrefix(text, "vpce-"):
		return AddressEndpoint
	case serviceHost(text):
		return AddressService
	}
	a, err := netip.ParseAddr(text)
	if err != nil || a.Zone() != "" {
		return AddressInvalid
	}
	switch a = a.Unmap(); {
	case a.IsUnspecified(), a.IsMulticast(), a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return AddressInvalid
	case a.IsPrivate(), a.IsLoopback(), a.IsLinkLocalUnicast(), sharedSpace.Contains(a):
		return AddressPrivate
	}
	return AddressPublic
}

// sharedSpace is of carriers (RFC 6598), and of the pods of EKS.
var sharedSpace = netip.MustParsePrefix("100.64.0.0/10") //nolint:gochecknoglobals // a constant

// serviceHost reports whether a text is the host name of an AWS service, such as
// ssm.amazonaws.com or ec2.amazonaws.com.cn.
func serviceHost(s string) bool {
	s, _ = strings.CutSuffix(s, ".cn")
	name, ok := strings.CutSuffix(s, ".amazonaws.com")
	if !ok || name == "" || len(name) > 100 {
		return false
	}
	notHost := func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '.'
	}
	return name[0] != '.' && !strings.ContainsFunc(name, notHost)
}

// Amazon reports whether an operator of networks is Amazon.
func Amazon(asn uint32, org string) bool {
	switch asn {
	case 16509, 14618, 8987, 7224, 39111, 62785, 9059, 19047, 17493, 10124:
		return true
	}
	org = strings.ToLower(org)
	return hasWord(org, "amazon") || hasWord(org, "aws")
}

// Hosting reports whether an operator of networks is known to rent out servers or VPNs.
// It knows the large ones; who needs more brings lists of networks.
func Hosting(org string) bool {
	org = strings.ToLower(org)
	for _, w := range [...]string{
		"digitalocean", "hetzner", "ovh", "linode", "akamai connected cloud", "vultr", "choopa", "constant company", "leaseweb", "contabo", "scaleway", "online s.a.s",
		"m247", "datacamp", "oracle", "alibaba", "tencent", "google cloud", "google-cloud", "microsoft", "mullvad", "nordvpn", "expressvpn",
		"proton", "ionos", "hostinger", "namecheap", "hostwinds", "upcloud", "kamatera", "cloudflare", "frantech", "buyvm", "psychz", "quadranet", "colocrossing", "zenlayer",
	} {
		if hasWord(org, w) {
			return true
		}
	}
	return false
}
