package generate

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"time"
)

//go:embed digest-key.pem
var digestKey []byte

// A signer signs digest files as CloudTrail does, with the key of this package, so that
// the same flags give the same bytes. Signatures of RSA with PKCS #1 v1.5 are no matter
// of chance. It is safe for concurrent use.
type signer struct {
	key         *rsa.PrivateKey
	fingerprint string
}

func newSigner() (*signer, error) {
	block, _ := pem.Decode(digestKey)
	if block == nil {
		return nil, errors.New("the key for digests is no PEM")
	}
	key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(x509.MarshalPKCS1PublicKey(&key.PublicKey))
	return &signer{key: key, fingerprint: hex.EncodeToString(sum[:16])}, nil
}

func (s *signer) sign(text string) (string, error) {
	sum := sha256.Sum256([]byte(text))
	sig, err := rsa.SignPKCS1v15(nil, s.key, crypto.SHA256, sum[:])
	return hex.EncodeToString(sig), err
}

// writePublicKey writes the file that aws cloudtrail list-public-keys would print.
func (s *signer) writePublicKey(dir string, cfg *Config) error {
	type publicKey struct {
		Value             []byte
		ValidityStartTime string
		ValidityEndTime   string
		Fingerprint       string
	}
	b, err := json.MarshalIndent(map[string][]publicKey{"PublicKeyList": {{
		Value: x509.MarshalPKCS1PublicKey(&s.key.PublicKey), Fingerprint: s.fingerprint,
		ValidityStartTime: cfg.at(0).Format(time.RFC3339), ValidityEndTime: cfg.at(cfg.end() + day).Format(time.RFC3339),
	}}}, "", "  ")
	if err != nil {
		return err
	}
	return explain(os.WriteFile(filepath.Join(dir, KeysFile), append(b, '\n'), 0o644)) //nolint:gosec // a trail is made to be read
}
