package generate

import (
	"cmp"
	"math"
	"slices"
	"strings"
)

// An action is one kind of call.
type action struct {
	service, name string
	read          bool
	global        bool // answered in us-east-1
	bare          bool // its records have no resources
	key           string
	// What is fixed in a record of the action, ready to be written.
	head, tail []byte
}

// catalogText lists the calls that principals make: a line for reads, one for writes.
// SendCommand, StartSession and DescribeInstanceInformation are left to the overlay,
// GetObject and PutObject to the data events, the calls of services to serviceCalls.
const catalogText = `
ec2 r DescribeInstances DescribeVolumes DescribeSnapshots DescribeImages DescribeSecurityGroups DescribeSubnets DescribeVpcs DescribeRouteTables DescribeAddresses DescribeKeyPairs DescribeTags DescribeRegions DescribeAvailabilityZones DescribeInstanceStatus DescribeInstanceTypes DescribeLaunchTemplates DescribeNatGateways DescribeInternetGateways DescribeVpcEndpoints DescribeFlowLogs DescribeNetworkAcls DescribeReservedInstances DescribeSpotPriceHistory DescribeTransitGateways DescribeVpnConnections DescribeCustomerGateways DescribeDhcpOptions DescribeAccountAttributes GetConsoleOutput GetPasswordData GetEbsEncryptionByDefault GetLaunchTemplateData
ec2 w RunInstances StartInstances StopInstances TerminateInstances CreateTags DeleteTags AuthorizeSecurityGroupIngress RevokeSecurityGroupIngress CreateSecurityGroup DeleteSecurityGroup CreateSnapshot DeleteSnapshot CreateVolume AttachVolume DetachVolume DeleteVolume ModifyInstanceAttribute CreateLaunchTemplate CreateImage AssociateAddress
s3 r ListBuckets GetBucketLocation GetBucketPolicy GetBucketVersioning GetBucketTagging GetBucketLogging GetBucketEncryption GetBucketLifecycle GetBucketPublicAccessBlock GetBucketReplication GetBucketNotification GetBucketOwnershipControls GetBucketCors GetBucketWebsite GetAccountPublicAccessBlock
s3 w CreateBucket DeleteBucket PutBucketPolicy DeleteBucketPolicy PutBucketLifecycle PutBucketEncryption PutBucketTagging PutBucketVersioning
iam r ListRoles ListUsers ListPolicies ListGroups GetRole GetUser GetPolicy GetPolicyVersion GetRolePolicy ListRolePolicies ListAttachedRolePolicies ListAttachedUserPolicies ListAccessKeys GetAccessKeyLastUsed ListMFADevices GetAccountSummary GetAccountPasswordPolicy ListInstanceProfiles ListInstanceProfilesForRole GetInstanceProfile GenerateCredentialReport GetCredentialReport ListServerCertificates ListAccountAliases GetAccountAuthorizationDetails ListSAMLProviders ListOpenIDConnectProviders ListUserTags
iam w CreateRole DeleteRole AttachRolePolicy DetachRolePolicy PutRolePolicy CreatePolicy CreatePolicyVersion CreateUser CreateAccessKey UpdateAssumeRolePolicy PassRole TagRole AddRoleToInstanceProfile
sts r GetCallerIdentity GetSessionToken GetAccessKeyInfo DecodeAuthorizationMessage
sts w AssumeRoleWithWebIdentity AssumeRoleWithSAML
kms r DescribeKey ListKeys ListAliases GetKeyPolicy GetKeyRotationStatus ListGrants Encrypt ListResourceTags
kms w CreateKey CreateAlias CreateGrant EnableKeyRotation ScheduleKeyDeletion
ssm r GetParameter GetParameters GetParametersByPath DescribeParameters ListDocuments DescribeDocument ListCommands ListCommandInvocations GetCommandInvocation DescribeSessions ListAssociations DescribePatchBaselines GetInventory ListTagsForResource DescribeMaintenanceWindows
ssm w PutParameter DeleteParameter UpdateInstanceInformation AddTagsToResource PutInventory TerminateSession
secretsmanager r GetSecretValue DescribeSecret ListSecrets GetResourcePolicy ListSecretVersionIds GetRandomPassword
secretsmanager w CreateSecret PutSecretValue UpdateSecret
lambda r ListFunctions20150331 GetFunction20150331v2 GetFunctionConfiguration20150331v2 GetPolicy20150331v2 ListEventSourceMappings20150331 ListTags20170331 ListVersionsByFunction20150331 GetAccountSettings20160819 ListLayers20181031 GetFunctionUrlConfig ListAliases20150331
lambda w CreateFunction20150331 UpdateFunctionCode20150331v2 UpdateFunctionConfiguration20150331v2 PublishVersion20150331 AddPermission20150331v2
logs r DescribeLogGroups DescribeLogStreams DescribeMetricFilters DescribeSubscriptionFilters DescribeResourcePolicies FilterLogEvents GetLogEvents ListTagsLogGroup DescribeQueries GetQueryResults DescribeExportTasks
logs w CreateLogGroup DeleteLogGroup PutRetentionPolicy PutMetricFilter StartQuery
monitoring r DescribeAlarms ListMetrics GetMetricData GetMetricStatistics ListDashboards DescribeAlarmHistory DescribeAnomalyDetectors ListTagsForResource
monitoring w PutMetricAlarm DeleteAlarms PutDashboard
cloudtrail r DescribeTrails GetTrailStatus LookupEvents GetEventSelectors ListTrails GetTrail GetInsightSelectors ListTags
cloudtrail w AddTags PutEventSelectors
config r DescribeConfigurationRecorders DescribeConfigurationRecorderStatus DescribeDeliveryChannels DescribeConfigRules GetComplianceDetailsByConfigRule DescribeComplianceByConfigRule GetResourceConfigHistory ListDiscoveredResources SelectResourceConfig GetDiscoveredResourceCounts
config w PutEvaluations PutConfigRule StartConfigRulesEvaluation
cloudformation r DescribeStacks DescribeStackEvents DescribeStackResources ListStacks GetTemplate ListStackResources DescribeChangeSet ListStackSets ValidateTemplate GetTemplateSummary ListExports
cloudformation w CreateStack UpdateStack DeleteStack CreateChangeSet ExecuteChangeSet
rds r DescribeDBInstances DescribeDBClusters DescribeDBSnapshots DescribeDBParameterGroups DescribeDBSubnetGroups DescribeDBSecurityGroups DescribeDBEngineVersions DescribeEventSubscriptions DescribePendingMaintenanceActions ListTagsForResource DescribeDBClusterSnapshots DescribeDBSnapshotAttributes DescribeCertificates
rds w CreateDBSnapshot DeleteDBSnapshot ModifyDBInstance CreateDBInstance CopyDBSnapshot AddTagsToResource
dynamodb r ListTables DescribeTable DescribeTimeToLive DescribeContinuousBackups ListTagsOfResource DescribeBackup ListBackups DescribeLimits ListGlobalTables
dynamodb w CreateTable UpdateTable CreateBackup
ecs r ListClusters DescribeClusters ListServices DescribeServices ListTasks DescribeTasks DescribeTaskDefinition ListTaskDefinitions ListContainerInstances DescribeContainerInstances DescribeCapacityProviders
ecs w RunTask StopTask UpdateService RegisterTaskDefinition DeregisterTaskDefinition CreateService
ecr r DescribeRepositories ListImages DescribeImages GetAuthorizationToken GetRepositoryPolicy GetLifecyclePolicy GetDownloadUrlForLayer BatchCheckLayerAvailability
ecr w PutImage InitiateLayerUpload UploadLayerPart CompleteLayerUpload CreateRepository
eks r ListClusters DescribeCluster ListNodegroups DescribeNodegroup ListFargateProfiles DescribeAddon ListAddons DescribeUpdate
eks w CreateNodegroup UpdateNodegroupConfig
elasticloadbalancing r DescribeLoadBalancers DescribeTargetGroups DescribeTargetHealth DescribeListeners DescribeRules DescribeLoadBalancerAttributes DescribeTags DescribeSSLPolicies DescribeInstanceHealth
elasticloadbalancing w RegisterTargets DeregisterTargets ModifyRule CreateTargetGroup
autoscaling r DescribeAutoScalingGroups DescribeAutoScalingInstances DescribeLaunchConfigurations DescribePolicies DescribeScalingActivities DescribeLifecycleHooks DescribeTags
autoscaling w UpdateAutoScalingGroup SetDesiredCapacity CompleteLifecycleAction TerminateInstanceInAutoScalingGroup
sns r ListTopics GetTopicAttributes ListSubscriptions ListSubscriptionsByTopic GetSubscriptionAttributes
sns w CreateTopic Subscribe SetTopicAttributes
sqs r ListQueues GetQueueAttributes GetQueueUrl ListQueueTags
sqs w CreateQueue SetQueueAttributes PurgeQueue
route53 r ListHostedZones GetHostedZone ListResourceRecordSets GetChange ListHealthChecks ListQueryLoggingConfigs
route53 w ChangeResourceRecordSets CreateHostedZone
cloudfront r ListDistributions GetDistribution GetDistributionConfig ListInvalidations
cloudfront w CreateInvalidation UpdateDistribution
organizations r DescribeOrganization ListAccounts ListRoots ListOrganizationalUnitsForParent ListPolicies ListDelegatedAdministrators DescribeAccount ListParents
guardduty r ListDetectors GetDetector ListFindings GetFindings GetMembers ListIPSets ListMembers
securityhub r DescribeHub GetFindings GetEnabledStandards DescribeStandardsControls GetInsights
securityhub w BatchImportFindings BatchUpdateFindings
acm r ListCertificates DescribeCertificate ListTagsForCertificate
acm w RequestCertificate
states r ListStateMachines DescribeStateMachine ListExecutions DescribeExecution GetExecutionHistory
states w StartExecution StopExecution UpdateStateMachine
events r ListRules DescribeRule ListTargetsByRule ListEventBuses DescribeEventBus
events w PutRule PutTargets
glue r GetDatabases GetTables GetTable GetJobs GetJobRuns GetCrawlers GetPartitions GetSecurityConfigurations GetDevEndpoints GetConnections
glue w StartJobRun CreateTable UpdateTable CreatePartition
athena r ListWorkGroups GetWorkGroup GetQueryExecution GetQueryResults ListNamedQueries ListDataCatalogs
athena w StartQueryExecution StopQueryExecution
elasticache r DescribeCacheClusters DescribeReplicationGroups DescribeCacheSubnetGroups DescribeSnapshots
redshift r DescribeClusters DescribeLoggingStatus DescribeClusterParameters DescribeClusterSnapshots
elasticfilesystem r DescribeFileSystems DescribeMountTargets DescribeFileSystemPolicy
backup r ListBackupPlans ListBackupVaults ListProtectedResources GetBackupVaultAccessPolicy
backup w StartBackupJob
codebuild r ListProjects BatchGetProjects BatchGetBuilds ListBuildsForProject
codebuild w StartBuild StopBuild
codepipeline r ListPipelines GetPipeline GetPipelineState GetPipelineExecution
codepipeline w StartPipelineExecution PutJobSuccessResult
wafv2 r ListWebACLs GetWebACL ListResourcesForWebACL GetLoggingConfiguration
kinesis r ListStreams DescribeStreamSummary ListTagsForStream ListShards
firehose r ListDeliveryStreams DescribeDeliveryStream
apigateway r GetRestApis GetStages GetResources GetDomainNames GetUsagePlans GetAuthorizers
apigateway w CreateDeployment UpdateStage PutIntegration
sagemaker r ListNotebookInstances DescribeNotebookInstance ListModels ListEndpoints ListTrainingJobs
access-analyzer r ListAnalyzers ListFindings GetFinding
tagging r GetResources GetTagKeys GetTagValues
ce r GetCostAndUsage GetCostForecast GetDimensionValues
servicequotas r ListServiceQuotas GetServiceQuota ListServices
health r DescribeEvents DescribeEventDetails
support r DescribeTrustedAdvisorChecks DescribeTrustedAdvisorCheckResult DescribeCases
`

// serviceCalls are what AWS services do of their own accord: who, and what.
var serviceCalls = [...]struct{ by, service, name string }{ //nolint:gochecknoglobals // a table
	{"cloudtrail.amazonaws.com", "s3", "GetBucketAcl"},
	{"secretsmanager.amazonaws.com", "kms", "Decrypt"},
	{"s3.amazonaws.com", "kms", "GenerateDataKey"},
	{"ec2.amazonaws.com", "sts", "AssumeRole"},
	{"elasticloadbalancing.amazonaws.com", "ec2", "DescribeNetworkInterfaces"},
	{"lambda.amazonaws.com", "ec2", "CreateNetworkInterface"},
	{"delivery.logs.amazonaws.com", "logs", "CreateLogStream"},
	{"ecs-tasks.amazonaws.com", "ecr", "BatchGetImage"},
}

// A catalog holds all actions. It is immutable.
type catalog struct {
	actions []action
	drawn   int // the first so many are drawn from by lists of actions
	// Where the others are.
	services                              [len(serviceCalls)]int
	sendCommand, startSession, describeII int
	getObject, putObject                  int
	// weights of the drawn actions by kind.
	weights [kinds][]float64
}

func newCatalog() *catalog {
	c := &catalog{}
	for line := range strings.Lines(catalogText) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		for _, name := range words[2:] {
			c.add(words[0], name, words[1] == "r")
		}
	}
	c.drawn = len(c.actions)
	for i, s := range serviceCalls {
		// As CloudTrail has it, GenerateDataKey, Decrypt and AssumeRole only read.
		c.services[i] = c.add(s.service, s.name, !strings.HasPrefix(s.name, "Create"))
	}
	c.sendCommand = c.add("ssm", "SendCommand", false)
	c.startSession = c.add("ssm", "StartSession", false)
	c.describeII = c.add("ssm", "DescribeInstanceInformation", true)
	for i := c.sendCommand; i <= c.describeII; i++ {
		c.actions[i].bare = true
	}
	c.getObject = c.add("s3", "GetObject", true)
	c.putObject = c.add("s3", "PutObject", false)
	for k := range kinds {
		c.weights[k] = c.popularity(k)
	}
	return c
}

func (c *catalog) add(service, name string, read bool) int {
	a := action{service: service, name: name, read: read, key: idKeys[service]}
	if a.key == "" {
		a.key = "name"
	}
	switch service {
	case "iam", "route53", "cloudfront", "organizations", "support", "health", "ce":
		a.global = true
	}
	a.head, a.tail = fixedParts(&a)
	c.actions = append(c.actions, a)
	return len(c.actions) - 1
}

// popularity ranks the actions for a kind of principal, each kind in its own order.
func (c *catalog) popularity(k kind) []float64 {
	order := make([]int, c.drawn)
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int {
		return cmp.Compare(hash(forList, uint64(k), uint64(i)), hash(forList, uint64(k), uint64(j)))
	})
	w := make([]float64, c.drawn)
	for rank, i := range order {
		w[i] = math.Pow(1+float64(rank), -0.8)
	}
	return w
}

// sample draws n different actions, the popular ones of the kind more often and first.
func (c *catalog) sample(s *stream, k kind, n int) []int {
	type key struct {
		at float64
		i  int
	}
	keys := make([]key, c.drawn)
	for i := range keys {
		keys[i] = key{s.exponential(1) / c.weights[k][i], i}
	}
	slices.SortFunc(keys, func(a, b key) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.i, b.i))
	})
	list := make([]int, min(n, c.drawn))
	for i := range list {
		list[i] = keys[i].i
	}
	return list
}

// idKeys names the parameter that holds what a call is about.
var idKeys = map[string]string{ //nolint:gochecknoglobals // a table
	"ec2": "instanceId", "s3": "bucketName", "iam": "roleName", "sts": "roleArn", "kms": "keyId", "ssm": "name",
	"secretsmanager": "secretId", "lambda": "functionName", "logs": "logGroupName", "rds": "dBInstanceIdentifier",
	"dynamodb": "tableName", "ecs": "cluster", "ecr": "repositoryName", "sns": "topicArn", "sqs": "queueUrl",
	"cloudformation": "stackName", "states": "stateMachineArn", "glue": "databaseName", "config": "configRuleName",
}
