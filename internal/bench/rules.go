//go:build unix

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
)

// runnable returns the ids of the rules that run, in order of name.
func (b *bench) runnable(ctx context.Context) ([]string, error) {
	out, err := exec.CommandContext(ctx, b.program, "rules", "list", "--format", "json", b.rules).Output()
	if err != nil {
		return nil, fmt.Errorf("list the rules: %w", err)
	}
	var list []struct {
		RuleID   string `json:"rule_id"`
		Runnable bool   `json:"runnable"`
	}
	if err := json.Unmarshal(out, &list); err != nil {
		return nil, fmt.Errorf("list the rules: %w", err)
	}
	var ids []string
	for _, r := range list {
		if r.Runnable {
			ids = append(ids, r.RuleID)
		}
	}
	return ids, nil
}
