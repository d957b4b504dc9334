package s3

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/debutsec/debut/cloudtrail"
	"github.com/debutsec/debut/internal/source"
)

const (
	root        = "AWSLogs/"
	dayFormat   = "2006/01/02/"
	listers     = 8   // listings at a time
	maxDepth    = 4   // folders above AWSLogs, where no prefix is given
	maxFolders  = 200 // looked into for AWSLogs
	maxBranches = 200_000
)

// A branch is what one account has of one kind in one region.
type branch struct {
	prefix string // [prefix/]AWSLogs/[o-…/]ACCOUNT/KIND/REGION/
	kind   string
}

func (b *branch) digest() bool { return b.kind == "CloudTrail-Digest" }

// branchOf returns the branch of an object with CloudTrail's layout, and its day.
func branchOf(key string) (branch, time.Time, bool) {
	k, ok := cloudtrail.ParseKey(key)
	if !ok {
		return branch{}, time.Time{}, false
	}
	prefix, ok := strings.CutSuffix(key, k.Day.Format(dayFormat)+k.File)
	i := max(strings.LastIndex(prefix, "/"+root)+1, 0)
	if !ok || !strings.HasPrefix(prefix[i:], root) || !strings.HasSuffix(prefix, "/"+k.Account+"/"+k.Kind+"/"+k.Region+"/") {
		return branch{}, time.Time{}, false
	}
	return branch{prefix: prefix, kind: k.Kind}, k.Day, true
}

func cleanPrefixes(list []string) []string {
	var out []string
	for _, p := range list {
		if p = strings.Trim(p, "/"); p != "" {
			p += "/"
		}
		if p == "" {
			return nil // all of the bucket
		}
		out = append(out, p)
	}
	slices.Sort(out)
	// A prefix in another one adds nothing, and would be listed twice.
	var clean []string
	for _, p := range out {
		if len(clean) == 0 || !strings.HasPrefix(p, clean[len(clean)-1]) {
			clean = append(clean, p)
		}
	}
	return clean
}

// layout discovers the branches: level by level, folders only.
func (s *Source) layout(ctx context.Context) ([]branch, error) {
	prefixes := s.o.Prefixes
	if len(prefixes) == 0 {
		prefixes = []string{""}
	}
	var levels [4][]string // below AWSLogs, an organisation, an account, a kind
	var branches []branch
	for _, p := range prefixes {
		i := strings.LastIndex("/"+p, "/"+root)
		if i < 0 {
			roots, err := s.roots(ctx, p)
			if err != nil {
				return nil, err
			}
			levels[0] = append(levels[0], roots...)
			continue
		}
		if b, ok := place(&levels, p, i+len(root)); ok {
			branches = append(branches, b)
		}
	}
	for level := range levels {
		folders, err := s.below(ctx, levels[level])
		if err != nil {
			return nil, err
		}
		for _, f := range folders {
			name := lastElement(f)
			switch {
			case level == 0 && strings.HasPrefix(name, "o-"):
				levels[1] = append(levels[1], f)
			case level <= 1 && isAccount(name):
				levels[2] = append(levels[2], f)
			case level == 2 && s.isKind(name):
				levels[3] = append(levels[3], f)
			case level == 3:
				branches = append(branches, branch{prefix: f, kind: lastElement(strings.TrimSuffix(f, name+"/"))})
			}
		}
		if len(levels[min(level+1, 3)]) > maxBranches || len(branches) > maxBranches {
			return nil, fmt.Errorf("list s3://%s: more than %d folders of accounts and regions: set prefixes", s.o.Bucket, maxBranches)
		}
	}
	return slices.CompactFunc(slices.SortedFunc(slices.Values(branches), func(a, b branch) int { return cmp.Compare(a.prefix, b.prefix) }),
		func(a, b branch) bool { return a == b }), nil
}

// place puts a prefix that goes beyond AWSLogs, which ends at i, where the discovery
// meets it; a prefix down to a region or beyond is a branch by itself.
func place(levels *[4][]string, p string, i int) (branch, bool) {
	parts := strings.Split(strings.TrimSuffix(p[i:], "/"), "/")
	if parts[0] == "" {
		parts = nil
	}
	n := len(parts)
	if n > 0 && strings.HasPrefix(parts[0], "o-") {
		if n == 1 {
			levels[1] = append(levels[1], p)
			return branch{}, false
		}
		i += len(parts[0]) + 1
		parts, n = parts[1:], n-1
	}
	switch n {
	case 0:
		levels[0] = append(levels[0], p)
	case 1:
		levels[2] = append(levels[2], p)
	case 2:
		levels[3] = append(levels[3], p)
	default:
		return branch{prefix: p[:i] + strings.Join(parts[:3], "/") + "/", kind: parts[1]}, true
	}
	return branch{}, false
}

// roots finds AWSLogs below a prefix.
func (s *Source) roots(ctx context.Context, prefix string) ([]string, error) {
	var found []string
	looked := 0
	for level := []string{prefix}; len(level) > 0 && looked < maxFolders; {
		looked += len(level)
		folders, err := s.below(ctx, level[:min(len(level), maxFolders)])
		if err != nil {
			return nil, err
		}
		level = nil
		for _, f := range folders {
			if lastElement(f) == strings.TrimSuffix(root, "/") {
				found = append(found, f)
			} else if strings.Count(f, "/")-strings.Count(prefix, "/") <= maxDepth {
				level = append(level, f)
			}
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("list s3://%s/%s: no folder %s in it: is prefixes right? It is what stands before AWSLogs in the trail's settings",
			s.o.Bucket, prefix, root)
	}
	return found, nil
}

// below lists the folders of each prefix.
func (s *Source) below(ctx context.Context, prefixes []string) ([]string, error) {
	lists := make([][]string, len(prefixes))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(listers)
	for i, p := range prefixes {
		g.Go(func() error {
			for page, err := range s.pages(ctx, listing{prefix: p, delimiter: "/"}) {
				if err != nil {
					return err
				}
				if lists[i] = append(lists[i], page.folders...); len(lists[i]) > maxBranches {
					return fmt.Errorf("list s3://%s/%s: more than %d folders", s.o.Bucket, p, maxBranches)
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return slices.Concat(lists...), nil
}

func lastElement(folder string) string {
	folder = strings.TrimSuffix(folder, "/")
	return folder[strings.LastIndexByte(folder, '/')+1:]
}

func isAccount(s string) bool {
	return len(s) == 12 && strings.Trim(s, "0123456789") == ""
}

// pages lists, and repeats a request that fails for a while.
func (s *Source) pages(ctx context.Context, q listing) iter.Seq2[page, error] {
	const tries = 4
	return func(yield func(page, error) bool) {
		for n := 1; ; {
			s.stats.lists.Add(1)
			limited, cancel := context.WithTimeout(ctx, s.o.IdleTimeout)
			p, err := s.bucket.list(limited, q)
			cancel()
			if err != nil {
				if ctx.Err() == nil && n < tries && !isDefinite(err) {
					n++
					if sleep(ctx, backoff(n, time.Second, 20*time.Second)) == nil {
						continue
					}
				}
				yield(page{}, err)
				return
			}
			n = 1
			if !yield(p, nil) || p.next == "" {
				return
			}
			q.token = p.next
		}
	}
}

// dayPrefix is where the objects of a day are, as far as the prefixes let them be read.
func (s *Source) dayPrefixes(b *branch, day time.Time) []string {
	p := b.prefix + day.Format(dayFormat)
	if s.inPrefix(p) {
		return []string{p}
	}
	var list []string
	for _, longer := range s.o.Prefixes {
		if strings.HasPrefix(longer, p) {
			list = append(list, longer)
		}
	}
	return list
}

// Objects lists the objects delivered from the day of from to that of to, both
// included, oldest day first, without digests and whether they were read or not. The
// deliveries' Done does nothing and may be replaced. An error ends the listing.
func (s *Source) Objects(ctx context.Context, from, to time.Time) iter.Seq2[source.Delivery, error] {
	return func(yield func(source.Delivery, error) bool) {
		branches, err := s.layout(ctx)
		if err != nil {
			yield(source.Delivery{}, err)
			return
		}
		for d := day(from); !d.After(to); d = d.AddDate(0, 0, 1) {
			for i := range branches {
				if branches[i].digest() {
					continue
				}
				for _, prefix := range s.dayPrefixes(&branches[i], d) {
					for p, err := range s.pages(ctx, listing{prefix: prefix}) {
						if err != nil {
							yield(source.Delivery{}, err)
							return
						}
						for _, o := range p.objects {
							if k, ok := s.readable(o.key); ok && !yield(s.delivery(&o, k), nil) {
								return
							}
						}
					}
				}
			}
		}
	}
}

func (s *Source) delivery(o *info, k *cloudtrail.Key) source.Delivery {
	id := s.object(o.key, o.etag)
	d := source.Delivery{
		Source: s.o.Name, Name: s.url(o.key), Key: k, Object: &id, Arrived: o.modified,
		Done: func(source.Outcome) {},
	}
	d.Open = s.opener(o.key, o.etag, func(error) {})
	return d
}

func day(t time.Time) time.Time { return t.UTC().Truncate(24 * time.Hour) }
