// Package detect is the engine: it tests events against every rule at once and
// turns what matches into findings.
//
// Start with [Compile], which takes loaded rules and returns an immutable
// [Engine]. Each worker takes a [Matcher] from it and gives it events; what
// matches comes out as [Hit] values, one for each rule and group. Matching keeps
// no state. What has state works on the hits of one rule and group at a time, in
// order of time: [Rule.Reduce]. Between the two the hits are grouped and sorted,
// by whatever means fit the amount: see internal/pipeline for one that spills to
// disk. Because a reduction sees the whole group in order, the result is a
// function of the set of events and nothing else: not of the order in which they
// came, nor of how they were split, nor of how often each was seen.
//
// New-terms hits are folded early: a [Fold] keeps one episode (first event, time of
// the last) for a combination however many events carry it, and decides with one
// look-up.
//
// Findings then go through [Suppression], which is one more reduction, and a
// [Limiter], which applies max_signals in order of time.
//
// The package does not read files, keep time or store anything. What rules mean
// here, and where that differs from Elastic's engine, is in
// docs/design/0001-one-direction.md. The example shows the whole way.
package detect
