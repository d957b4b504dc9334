package triage

import "time"

// Live is what AWS said when it was asked (--live). Each part is stamped; one that
// could not be read says why. Package triage/live asks.
type Live struct {
	Commands     Looked[[]LiveCommand]     // ssm:ListCommands of the command
	Invocations  Looked[[]LiveInvocation]  // ssm:ListCommandInvocations, ssm:GetCommandInvocation
	Document     Looked[LiveDocument]      // ssm:DescribeDocument, ssm:DescribeDocumentPermission, ssm:GetDocument
	Instances    Looked[[]LiveInstance]    // ssm:DescribeInstanceInformation, ec2:DescribeInstances
	Associations Looked[[]LiveAssociation] // ssm:DescribeEffectiveInstanceAssociations
	Executions   Looked[[]LiveExecution]   // ssm:DescribeMaintenanceWindowExecutions
}

// Looked is an answer of AWS with its stamps. Value is only good where OK.
type Looked[T any] struct {
	OK    bool   `json:"ok"`
	Value T      `json:"value"`
	Looks []Look `json:"looks"`
}

// Looks returns the stamps of everything that was asked.
func (l *Live) Looks() (all []Look) {
	if l == nil {
		return nil
	}
	for _, list := range [][]Look{
		l.Commands.Looks, l.Invocations.Looks, l.Document.Looks, l.Instances.Looks, l.Associations.Looks, l.Executions.Looks,
	} {
		all = append(all, list...)
	}
	return all
}

// A LiveCommand is a command as Systems Manager keeps it for 30 days.
type LiveCommand struct {
	ID, Document, Version, Comment string
	Parameters                     map[string][]string
	Status                         string
	Targets                        int
	Requested                      time.Time
	Instances                      []string
	OutputBucket                   string
	ServiceRole                    string
}

// A LiveInvocation is what became of a command on one instance.
type LiveInvocation struct {
	Instance, Status, Output, ErrorOutput string
	ResponseCode                          int
}

// A LiveDocument is a document as it is now.
type LiveDocument struct {
	Name, Owner, Status, Hash, HashType, DefaultVersion, LatestVersion string
	Created                                                            time.Time
	SharedWith                                                         []string // account ids, or "all"
	Content                                                            string
}

// A LiveInstance is a managed node as it is now.
type LiveInstance struct {
	ID, Name, Platform, PrivateIP, PublicIP, Profile string
	Tags                                             map[string]string
	Launched                                         time.Time
	Online                                           bool
}

// A LiveAssociation is an association of State Manager with a node.
type LiveAssociation struct{ ID, Document, Instance, Version string }

// A LiveExecution is a run of a maintenance window.
type LiveExecution struct {
	Window, ID, Status, Document string
	Start, End                   time.Time
}
