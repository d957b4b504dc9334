// Package rule loads Elastic-format detection rules and their exceptions.
package rule
