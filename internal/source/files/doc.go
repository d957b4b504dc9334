// Package files finds log files on disk: it turns the PATHs of a command line into
// objects that the pipeline reads.
//
// A PATH is one of
//
//   - a file: always read, whatever its name;
//   - a folder: walked whole, in the order of names. Hidden entries, digest files, logs
//     of other services in the same bucket and files whose names say that they are
//     something else are left out and counted by reason (see [Walk.Skipped]);
//   - a pattern with *, ? or […] in any element, ** for any number of folders: what it
//     matches is read as if it had been named, folders whole. A name that exists is never
//     taken for a pattern. As in a shell, only a pattern's own dot matches a leading dot;
//   - "-": standard input.
//
// Where a name follows CloudTrail's key layout (see [cloudtrail.ParseKey]), files that
// were delivered too early or too late for the time asked for are left out of folders
// and patterns, with a day of slack.
//
// Symbolic links are followed. A file or folder is read once, however many PATHs and
// links lead to it.
//
// What it is not: it never opens a file, nor looks into one. [cloudtrail.Decoder] does.
//
//	walk := files.New(files.Options{Stdin: os.Stdin})
//	for object, err := range walk.Objects(ctx, []string{"logs/AWSLogs"}) {
//		if err != nil {
//			return err // a *pipeline.Failure: the listing goes on if the loop does
//		}
//		fmt.Println(object.Name)
//	}
//	fmt.Println(walk.Skipped())
package files
