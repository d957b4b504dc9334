// Package ecs holds the event: an Elastic Common Schema view of a record.
package ecs
