// Package cloudtrail reads CloudTrail records and maps them to ECS events.
package cloudtrail
