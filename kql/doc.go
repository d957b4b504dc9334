// Package kql parses and compiles the Kibana Query Language.
package kql
