package command

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// Normalise removes what does not change what a text does: line ends of Windows, blanks
// at the ends of lines, empty lines at the start and the end. The text ends in one line
// feed, so that the hash of a usual script is that of its file.
func Normalise(text string) string {
	lines := strings.Split(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text), "\n")
	for i, l := range lines {
		lines[i] = strings.TrimRight(l, " \t")
	}
	if text = strings.Trim(strings.Join(lines, "\n"), "\n"); text == "" {
		return ""
	}
	return text + "\n"
}

// Hash returns the SHA-256 of the normalised text in hexadecimal digits; "" for a text
// without content.
func Hash(text string) string {
	n := Normalise(text)
	if n == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(n))
	return hex.EncodeToString(sum[:])
}
