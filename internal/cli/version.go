package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is the release. It is set here, and nowhere else, in the commit that
// makes a release.
const version = "0.1.0-dev"

// VersionCmd prints the version.
type VersionCmd struct{}

// Run implements the command.
func (*VersionCmd) Run(env *Env) error {
	_, err := fmt.Fprintf(env.Stdout, "debut %s%s %s %s/%s\n", version, revision(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

// revision returns the commit that the binary was built from, if it knows.
func revision() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return " (" + s.Value[:12] + ")"
		}
	}
	return ""
}
