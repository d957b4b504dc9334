package files

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/debutsec/debut/internal/source"
)

func isPattern(path string) bool { return strings.ContainsAny(path, "*?[") }

// A pattern is matched element by element while folders are walked: states has a bit
// for each element that the rest of a path may begin with.
type pattern struct {
	text     string
	elements []string
}

const maxElements = 60

// pattern lists what a pattern matches.
func (w *Walk) pattern(text string) bool {
	root, elements := splitPattern(text)
	if len(elements) > maxElements {
		return w.fail(text, "bad-pattern", "a pattern of more than %d folders", maxElements)
	}
	for _, e := range elements {
		if _, err := filepath.Match(e, ""); err != nil {
			return w.fail(text, "bad-pattern", "a [ without its ] in %q", e)
		}
	}
	if info, err := os.Stat(root); err != nil || !info.IsDir() {
		return w.fail(text, "not-found", "there is no folder %s: check the spelling and the current folder", root)
	}
	p := &pattern{text, elements}
	before := w.taken
	if !w.match(p, root, realPath(root), p.close(1)) {
		return false
	}
	if w.taken == before {
		return w.fail(text, "no-match", "no file matches the pattern: check the spelling; ** stands for any number of folders")
	}
	return true
}

// splitPattern parts a pattern into the folder where it begins and its elements.
func splitPattern(text string) (root string, elements []string) {
	text = filepath.Clean(text)
	parts := strings.Split(filepath.ToSlash(text), "/")
	n := 0
	for n < len(parts) && !isPattern(parts[n]) {
		n++
	}
	root = filepath.FromSlash(strings.Join(parts[:n], "/"))
	switch {
	case n == 0:
		root = "."
	case root == "" || strings.HasSuffix(root, ":"): // of an absolute path
		root += string(filepath.Separator)
	}
	for _, e := range parts[n:] {
		if e == "**" && len(elements) > 0 && elements[len(elements)-1] == "**" {
			continue
		}
		elements = append(elements, e)
	}
	if elements[len(elements)-1] == "**" { // everything below
		elements = append(elements, "*")
	}
	return root, elements
}

// close adds what follows a ** to states: it may stand for nothing.
func (p *pattern) close(states uint64) uint64 {
	for i, e := range p.elements {
		if e == "**" && states&(1<<i) != 0 {
			states |= 1 << (i + 1)
		}
	}
	return states
}

// next returns the states behind an entry of that name. Through says that ** may stand
// for it.
func (p *pattern) next(states uint64, name string, through bool) uint64 {
	var out uint64
	for i, e := range p.elements {
		switch {
		case states&(1<<i) == 0:
		case e == "**":
			if through && !source.IsHidden(name) {
				out |= 1 << i
			}
		case source.IsHidden(name) && !source.IsHidden(e):
		default:
			if ok, _ := filepath.Match(e, name); ok {
				out |= 1 << (i + 1)
			}
		}
	}
	return p.close(out)
}

// match lists what p matches in a folder.
func (w *Walk) match(p *pattern, path, full string, states uint64) bool {
	entries, ok := w.entries(path)
	for i := 0; ok && i < len(entries); i++ {
		name := entries[i].Name()
		ok = !w.cancelled() && w.try(p, filepath.Join(path, name), filepath.Join(full, name), entries[i], states)
	}
	return ok
}

// try follows p into an entry of a folder. Links to folders are followed for an element
// that names them, not for **.
func (w *Walk) try(p *pattern, path, full string, e fs.DirEntry, states uint64) bool {
	mode := e.Type()
	next := p.next(states, e.Name(), mode.IsDir())
	whole := next&(1<<len(p.elements)) != 0
	switch {
	case next == 0:
		return true
	case mode&fs.ModeSymlink != 0:
		info, err := os.Stat(path)
		if err != nil {
			return !whole || w.fail(path, "broken-link", "a symbolic link that leads nowhere: %v", reasonOf(err))
		}
		return w.matched(p, path, realPath(path), info.Mode().Type(), next)
	}
	return w.matched(p, path, full, mode, next)
}

// matched lists an entry that p matches in part or, with the final state, whole.
func (w *Walk) matched(p *pattern, path, full string, mode fs.FileMode, states uint64) bool {
	whole := states&(1<<len(p.elements)) != 0
	switch {
	case mode.IsDir() && whole:
		if w.walked(full, true) {
			return w.skip(NamedTwice)
		}
		w.roots[full] = true
		return w.walk(path, full)
	case mode.IsDir():
		return w.match(p, path, full, states)
	case !whole:
		return true
	case !mode.IsRegular():
		return w.skip(SpecialFile)
	}
	reason, key := w.unwanted(full, true)
	switch {
	case reason != "":
		return w.skip(reason)
	case w.seen.has(full) || w.walked(full, false):
		return w.skip(NamedTwice)
	}
	if w.remember {
		w.seen.add(full)
	}
	return w.give(path, key)
}
