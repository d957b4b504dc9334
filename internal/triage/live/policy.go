package live

import (
	"encoding/json"
	"slices"
)

// Actions are those that Ask may call, in order.
func Actions() []string {
	return slices.Clone(actions[:])
}

var actions = [...]string{ //nolint:gochecknoglobals // a constant list
	"ec2:DescribeInstances",
	"ssm:DescribeAssociation",
	"ssm:DescribeDocument",
	"ssm:DescribeDocumentPermission",
	"ssm:DescribeEffectiveInstanceAssociations",
	"ssm:DescribeInstanceInformation",
	"ssm:DescribeMaintenanceWindowExecutionTasks",
	"ssm:DescribeMaintenanceWindowExecutions",
	"ssm:DescribeMaintenanceWindows",
	"ssm:GetCommandInvocation",
	"ssm:GetDocument",
	"ssm:ListCommandInvocations",
	"ssm:ListCommands",
}

type statement struct {
	Sid      string
	Effect   string
	Action   []string
	Resource string
}

type document struct {
	Version   string
	Statement []statement
}

// Policy returns the IAM policy that allows what [Asker.Ask] reads, and forbids what an
// investigator must not: parameters, secrets and changes of itself.
func Policy() []byte {
	text, err := json.MarshalIndent(document{Version: "2012-10-17", Statement: []statement{
		{"DebutTriageReads", "Allow", actions[:], "*"},
		{
			"DebutTriageNever", "Deny",
			[]string{
				"ssm:GetParameter*", "secretsmanager:GetSecretValue", "secretsmanager:BatchGetSecretValue",
				"iam:Put*", "iam:Attach*", "iam:Detach*", "iam:Delete*", "iam:Update*",
			},
			"*",
		},
	}}, "", "  ")
	if err != nil {
		panic(err) // strings only
	}
	return text
}

// PolicyFor returns, in one line, a policy that allows only some actions.
func PolicyFor(some ...string) []byte {
	text, err := json.Marshal(document{Version: "2012-10-17", Statement: []statement{{"DebutTriageReads", "Allow", some, "*"}}})
	if err != nil {
		panic(err) // strings only
	}
	return text
}
