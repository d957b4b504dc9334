package cloudtrail

import "strings"

// category is what event.category and event.type say about an action.
type category struct{ category, types []string }

// categoryOf returns the category of an action, whatever its service.
func categoryOf(action string) category {
	if c, ok := categories[action]; ok {
		return c
	}
	return category{types: uncategorised}
}

var uncategorised = []string{"info"} //nolint:gochecknoglobals // a constant list

// categories are the actions that have a category, by event.action.
//
//nolint:gochecknoglobals // a constant table
var categories = func() map[string]category {
	all := make(map[string]category)
	for _, row := range [...]struct{ category, types, actions string }{
		{"iam", "group change", "AddUserToGroup AttachGroupPolicy DeleteGroupPolicy DetachGroupPolicy PutGroupPolicy RemoveUserFromGroup UpdateGroup"},
		{"iam", "group creation", "CreateGroup"},
		{"iam", "group deletion", "DeleteGroup"},
		{"iam", "group info", "GetGroup GetGroupPolicy ListAttachedGroupPolicies ListGroupPolicies ListGroups"},
		{"iam", "user change", `AttachUserPolicy ChangePassword CreateAccessKey CreateVirtualMFADevice DeactivateMFADevice
			DeleteAccessKey DeleteSSHPublicKey DeleteUserPermissionsBoundary DeleteUserPolicy DeleteVirtualMFADevice
			DetachUserPolicy EnableMFADevice PutUserPermissionsBoundary PutUserPolicy TagUser UntagUser UpdateAccessKey
			UpdateLoginProfile UpdateSSHPublicKey UpdateUser`},
		{"iam", "user creation", "CreateUser"},
		{"iam", "user deletion", "DeleteUser"},
		{"iam", "user info", "GetUser GetUserPolicy ListAttachedUserPolicies ListGroupsForUser ListUserPolicies ListUsers ListUserTags"},
		{"iam", "admin creation", "CreateKeyPair"},
		{"iam", "admin change", "SetDefaultPolicyVersion SetSecurityTokenServicePreferences UpdateAccountPasswordPolicy UpdateRole"},
		{"iam", "info", "ListRoles GetPolicy ListAttachedRolePolicies"},
		{"iam", "creation", "CreatePolicy"},
		{"iam", "change", "AttachRolePolicy"},
		{"authentication", "info", "AssumeRole ConsoleLogin GetCallerIdentity"},
		{"file", "creation", "CreateBucket CreateDocument"},
		{"file", "deletion", "DeleteBucket DeleteObject"},
		{"file", "info", "ListBuckets ListObjects HeadObject GetObject"},
		{"file", "change", "PutObject"},
		{"host", "info", "DescribeInstances DescribeVolumes ListInstanceAssociations"},
		{"network", "info", "DescribeSecurityGroups DescribeNetworkInterfaces DescribeVpcs DescribeNetworkAcls DescribeLoadBalancers"},
		{"network", "access", "AuthorizeSecurityGroupIngress"},
		{"api", "info", "DescribeRegions Publish Converse"},
		{"configuration", "info", "DescribeTrails"},
		{"configuration", "creation", "CreateTopic"},
		{"configuration", "change", "Subscribe"},
		{"configuration", "deletion", "DeleteTrail"},
		{"package", "info", "ListFunctions"},
		{"database", "info", "ListTables DescribeDBInstances"},
		{"process", "start", "SendCommand"},
		{"session", "start", "StartSession CreateControlChannel OpenControlChannel CreateDataChannel OpenDataChannel"},
		{"session", "end", "TerminateSession"},
	} {
		c := category{[]string{row.category}, strings.Fields(row.types)}
		for action := range strings.FieldsSeq(row.actions) {
			all[action] = c
		}
	}
	return all
}()
