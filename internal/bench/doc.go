// Command bench measures the figures of docs/benchmarks.md: what a scan costs as a
// ratio to only decompressing the same files, in one run on one machine.
//
// Every measurement is a process of its own, so that its CPU time and its greatest
// memory are the kernel's figures. The processes of one table run in rounds, one
// after the other, and the median of the rounds counts.
//
//	go run ./internal/bench -records 1000000
package main
