// Package config is the configuration of the daemon: one struct, its defaults, and a
// strict reader of its one TOML file.
//
//	c, err := config.Load("debut.toml", os.Getenv)
//	if err != nil {
//		return err // query.Diagnostics: file, line, column, what and what to do
//	}
//	fmt.Println(c.Server.Listen)
//
// A key that nobody knows is an error, and so is a value that makes no sense; all of
// them are told at once. DEBUT_SERVER_LISTEN overrides server.listen, and so for every
// key outside lists. A secret may be a reference: env:NAME or file:/path.
// docs/config.md describes every key, and a test holds it to that.
package config
