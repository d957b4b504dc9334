// Package watch is the source whose records arrive as files in a folder.
//
// Start with [New]: a [Source] delivers every log below the folder once, as soon as it
// is finished, and the new lines of those that only grow.
//
//	logs, err := watch.New(watch.Options{Dir: "/var/log/cloudtrail", Now: now})
//	err = logs.Run(ctx, sink)
//
// A file is finished when its size and its modification time have not changed for
// [Options.Settle]. Names that programs write to and rename from (x.tmp, x.part, .x) are
// not looked at. The system tells of changes where it can, but that is only a hint: the
// folder is read anew at every [Options.Interval], so network file systems, lost
// events and folders that come and go are no special cases.
//
// # Identity
//
// A file is the object of its absolute path, without links, with the version SIZE-MTIME
// (nanoseconds since 1970): written anew, it is another version and read again. What has
// been read is also remembered by inode, size, modification time and a hash of its
// beginning and end, so that a file that was renamed, moved or linked to is not read
// again.
//
// A file of lines that has [Options.Lines] bytes or more is read in parts, each an
// object of its own with the version "lines START-END CHECK". Its identity is its first line:
// renamed or copied and truncated, as rotation does, it is still known. Before a part
// is delivered it is written down as a plan, in the source's position; after a crash,
// the very same part is delivered again, and the sink, which knows the objects that it
// has read, neither loses nor doubles it. A file that no longer ends, where it was left,
// with the bytes that stood there has been written anew: it is read from its beginning.
//
// What it is not: it decodes nothing, and it never writes to the folder. docs/watch.md
// is the manual.
package watch
