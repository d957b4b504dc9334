package cloudtrail

import "strings"

//nolint:gochecknoglobals // constant tables
var (
	commandInstances = newPath("rq.instanceIds")
	commandValues    = newPath("rq.targets.values")
	lambdaFunction   = newPaths("rq.functionName")

	relatedAlways = newPaths(`userIdentity.accessKeyId userIdentity.arn userIdentity.userName
		userIdentity.sessionContext.sessionIssuer.arn userIdentity.sessionContext.sessionIssuer.userName RES`)
	relatedIdentityStore = newPaths("userIdentity.onBehalfOf.identityStoreArn")
)

// targets are where actions name what they act on, by service and action.
//
//nolint:gochecknoglobals // a constant table
var targets = func() map[string][]path {
	all := make(map[string][]path)
	for _, row := range [...]struct{ service, actions, paths string }{
		{"bedrock", "Converse", "rq.modelId"},
		{"cloudformation", "CreateStack", "rs.stackId"},
		{"cloudformation", "CreateStackSet", "rs.stackSetId"},
		{"cloudtrail", "DeleteTrail StopLogging", "rq.name"},
		{"cloudtrail", "DescribeTrails", "ACC"},
		{"config", "StartConfigurationRecorder StopConfigurationRecorder", "rq.configurationRecorderName"},
		{"dynamodb", "ListTables", "ACC"},
		{"ec2", "AuthorizeSecurityGroupIngress AuthorizeSecurityGroupEgress", "rq.groupId rs.securityGroupRuleSet.items.securityGroupRuleId"},
		{"ec2", "CreateTrafficMirrorFilter", "rs.CreateTrafficMirrorFilterResponse.trafficMirrorFilter.trafficMirrorFilterId"},
		{"ec2", "CreateTrafficMirrorFilterRule", "rs.CreateTrafficMirrorFilterRuleResponse.trafficMirrorFilterRule.trafficMirrorFilterRuleId"},
		{"ec2", "CreateTrafficMirrorSession", "rs.CreateTrafficMirrorSessionResponse.trafficMirrorSession.trafficMirrorSessionId"},
		{"ec2", "CreateTrafficMirrorTarget", "rs.CreateTrafficMirrorTargetResponse.trafficMirrorTarget.trafficMirrorTargetId"},
		{"ec2", "DeleteFlowLogs", "rq.DeleteFlowLogsRequest.FlowLogId.content"},
		{"ec2", "DeleteNetworkAcl", "rq.networkAclId"},
		{"ec2", "DeleteNetworkAclEntry", "rq.networkAclId rq.ruleNumber"},
		{"ec2", `DescribeSecurityGroups DescribeNetworkInterfaces DescribeRegions DescribeVpcs
			DescribeNetworkAcls DescribeVolumes`, "ACC"},
		{"ec2", "GetPasswordData", "rq.instanceId"},
		{"ec2", "ModifyImageAttribute", "rq.imageId"},
		{"ec2", "ModifySnapshotAttribute", "rq.snapshotId"},
		{"ec2-instance-connect", "SendSSHPublicKey SendSerialConsoleSSHPublicKey", "rq.instanceId"},
		{"elasticfilesystem", "DeleteFileSystem", "rq.fileSystemId"},
		{"elasticfilesystem", "DeleteMountTarget", "rq.mountTargetId"},
		{"elasticloadbalancing", "DescribeLoadBalancers", "ACC"},
		{"events", "DeleteRule", "rq.name"},
		{"guardduty", "CreateDetector", "rs.detectorId"},
		{"guardduty", "DeleteDetector", "rq.detectorId"},
		{"iam", "AttachGroupPolicy", "rq.groupName"},
		{"iam", "AttachRolePolicy ListAttachedRolePolicies UpdateAssumeRolePolicy", "rq.roleName"},
		{"iam", "AttachUserPolicy", "rq.policyArn rq.userName"},
		{"iam", "CreateAccessKey", "rs.accessKey.accessKeyId rq.userName"},
		{"iam", "CreatePolicy", "rs.policy.arn"},
		{"iam", "CreateUser DeactivateMFADevice", "rq.userName"},
		{"iam", "DeleteVirtualMFADevice", "rq.serialNumber"},
		{"iam", "GetPolicy", "rq.policyArn"},
		{"iam", "ListRoles ListUsers", "ACC"},
		{"kms", "DisableKey ScheduleKeyDeletion", "RES"},
		{"logs", "DeleteLogGroup", "rq.logGroupName"},
		{"logs", "DeleteLogStream", "rq.logStreamName"},
		{"monitoring", "DeleteAlarms", "rq.alarmNames"},
		{"rds", "DeleteDBCluster ModifyDBCluster StopDBCluster", "rs.dBClusterArn"},
		{"rds", "DeleteDBInstance ModifyDBInstance RestoreDBInstanceFromDBSnapshot RestoreDBInstanceFromS3 StopDBInstance", "rs.dBInstanceArn"},
		{"rds", "DeleteGlobalCluster", "rs.globalClusterArn"},
		{"rds", "DescribeDBInstances", "ACC"},
		{"rds", "ModifyDBClusterSnapshotAttribute", "rs.dBClusterSnapshotIdentifier"},
		{"rds", "ModifyDBSnapshotAttribute", "rs.dBSnapshotIdentifier"},
		{"rolesanywhere", "CreateTrustAnchor", "rs.trustAnchor.trustAnchorArn"},
		{"route53resolver", "DeleteResolverQueryLogConfig", "rs.resolverQueryLogConfig.arn"},
		{"s3", `CopyObject PutBucketLogging PutBucketVersioning PutObject GetBucketPolicy ListObjects HeadObject
			GetObject DeleteObject DeleteBucket`, "RES"},
		{"s3", "ListBuckets", "ACC"},
		{"s3", "PutBucketReplication", "RES rq.ReplicationConfiguration.Rule.Destination.Bucket"},
		{"secretsmanager", "BatchGetSecretValue", "rq.secretIdList"},
		{"secretsmanager", "GetSecretValue", "rq.secretId"},
		{"signin", "ConsoleLogin", "ACC"},
		{"sns", "CreateTopic", "rs.topicArn"},
		{"sns", "Subscribe Publish", "rq.topicArn"},
		{"ssm", "CreateDocument", "rq.name"},
		{"ssm", "GetParameter GetParameters CreateControlChannel OpenControlChannel", "RES"},
		{"ssm", "ListInstanceAssociations", "ACC"},
		{"ssm", "StartSession", "rq.target"},
		{"ssm", "TerminateSession OpenDataChannel", "rq.sessionId"},
		{"sts", "AssumeRole", "rq.roleArn"},
		{"sts", "GetCallerIdentity", "ACC"},
		{"wafv2", "DeleteRuleGroup DeleteWebACL", "rq.id"},
	} {
		paths := newPaths(row.paths)
		for action := range strings.FieldsSeq(row.actions) {
			all[row.service+" "+action] = paths
		}
	}
	return all
}()

// relatedPaths are what else is named in related.entity, by service.
//
//nolint:gochecknoglobals // a constant table
var relatedPaths = map[string][]path{
	"cloudtrail": newPaths(`rq.name rq.s3BucketName rs.cloudWatchLogsLogGroupArn rs.cloudWatchLogsRoleArn rs.kmsKeyId
		rs.snsTopicARN rs.trailARN rs.name`),
	"config": newPaths("rq.configurationRecorderName"),
	"ec2": newPaths(`rq.groupId rq.groupName rq.roleName rq.subnetId rq.volumeId rq.networkInterfaceId rq.vpcId
		rq.snapshotId rs.groupId rs.reservationId rs.snapshotId rs.volumeId rs.vpc.vpcId rs.vpc.dhcpOptionsId
		rs.securityGroupRuleSet.items.groupId rs.securityGroupRuleSet.items.referencedGroupInfo.groupId
		rs.securityGroupRuleSet.items.securityGroupRuleId
		rq.revokedSecurityGroupRuleSet.items.securityGroupRuleId rq.revokedSecurityGroupRuleSet.items.groupId
		rq.groupSet.items.groupId rs.groupSet.items.groupId
		rq.instancesSet.items.instanceId
		rs.instancesSet.items.subnetId rs.instancesSet.items.vpcId rs.instancesSet.items.instanceId
		rs.instancesSet.items.imageId rs.instancesSet.items.iamInstanceProfile.arn
		rs.instancesSet.items.networkInterfaceSet.items.networkInterfaceId
		rs.instancesSet.items.networkInterfaceSet.items.vpcId
		rs.instancesSet.items.networkInterfaceSet.items.subnetId
		rs.instancesSet.items.networkInterfaceSet.items.groupSet.items.groupId`),
	"guardduty": newPaths("rq.detectorId rs.detectorId"),
	"iam": newPaths(`rq.userName rq.serialNumber rq.accessKeyId rq.policyArn rq.roleName rq.policyName
		rs.accessKey.userName rs.accessKey.accessKeyId rs.user.arn rs.user.userId rs.user.userName rs.userId
		rs.role.arn rs.serialNumber`),
	"kms":    newPaths("rq.keyId rs.keyId rs.keyMetadata.arn rs.keyMetadata.keyId"),
	"lambda": newPaths("rq.functionName rs.functionArn rs.functionName rs.role rs.vpcConfig.securityGroupIds rs.vpcConfig.subnetIds"),
	"rds": newPaths(`rq.dBInstanceIdentifier rq.dBInstanceArn rs.dBInstanceIdentifier rs.dbInstanceArn
		rs.dBSubnetGroup.vpcId rs.dBSubnetGroup.subnets.subnetIdentifier rs.vpcSecurityGroups.vpcSecurityGroupId`),
	"s3": newPaths("rq.bucketName"),
	"sts": newPaths(`rq.roleArn rq.roleSessionName additionalEventData.MFAIdentifier rs.assumedRoleUser.arn
		rs.accessKeyId`),
	"wafv2": newPaths("rq.id rs.summary"),
}
