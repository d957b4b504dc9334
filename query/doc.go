// Package query holds what the query languages share.
package query
