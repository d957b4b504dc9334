package cloudtrail

// moves are the rows of the mapping that carry a value over as it is: where it goes,
// and the path of the member that it comes from.
//
//nolint:gochecknoglobals // a constant table
var moves = [...]struct{ target, source string }{
	{"aws.cloudtrail.event_version", "eventVersion"},
	{"event.provider", "eventSource"},
	{"event.action", "eventName"},
	{"aws.cloudtrail.event_category", "eventCategory"},
	{"cloud.region", "awsRegion"},
	{"user_agent.original", "userAgent"},
	{"aws.cloudtrail.error_code", "errorCode"},
	{"aws.cloudtrail.error_message", "errorMessage"},
	{"aws.cloudtrail.request_id", "requestID"},
	{"event.id", "eventID"},
	{"aws.cloudtrail.event_type", "eventType"},
	{"aws.cloudtrail.api_version", "apiVersion"},
	{"aws.cloudtrail.read_only", "readOnly"},
	{"aws.cloudtrail.recipient_account_id", "recipientAccountId"},
	{"aws.cloudtrail.vpc_endpoint_id", "vpcEndpointId"},
	{"aws.cloudtrail.vpc_endpoint_account_id", "vpcEndpointAccountId"},
	{"aws.cloudtrail.session_credential_from_console", "sessionCredentialFromConsole"},
	{"aws.cloudtrail.addendum.reason", "addendum.reason"},
	{"aws.cloudtrail.addendum.updated_fields", "addendum.updatedFields"},
	{"aws.cloudtrail.addendum.original_request_id", "addendum.originalRequestID"},
	{"aws.cloudtrail.addendum.original_event_id", "addendum.originalEventID"},
	{"group.id", "responseElements.group.groupId"},
	{"group.name", "requestParameters.groupName"},
	{"user.target.id", "responseElements.user.userId"},
	{"user.target.name", "requestParameters.userName"},
	{"user.changes.name", "requestParameters.newUserName"},

	{"aws.cloudtrail.user_identity.type", "userIdentity.type"},
	{"aws.cloudtrail.user_identity.arn", "userIdentity.arn"},
	{"aws.cloudtrail.user_identity.access_key_id", "userIdentity.accessKeyId"},
	{"aws.cloudtrail.user_identity.invoked_by", "userIdentity.invokedBy"},
	{"aws.cloudtrail.user_identity.credential_id", "userIdentity.credentialId"},
	{"aws.cloudtrail.user_identity.identity_provider", "userIdentity.identityProvider"},
	{"aws.cloudtrail.user_identity.invoked_by_delegate.account_id", "userIdentity.invokedByDelegate.accountId"},
	{"aws.cloudtrail.user_identity.on_behalf_of.user_id", "userIdentity.onBehalfOf.userId"},
	{"aws.cloudtrail.user_identity.on_behalf_of.identity_store_arn", "userIdentity.onBehalfOf.identityStoreArn"},
	{"aws.cloudtrail.user_identity.in_scope_of.issuer_type", "userIdentity.inScopeOf.issuerType"},
	{"aws.cloudtrail.user_identity.in_scope_of.credentials_issued_to", "userIdentity.inScopeOf.credentialsIssuedTo"},
	{"aws.cloudtrail.user_identity.in_scope_of.source_arn", "userIdentity.inScopeOf.sourceArn"},
	{"aws.cloudtrail.user_identity.in_scope_of.source_account", "userIdentity.inScopeOf.sourceAccount"},
	{"aws.cloudtrail.user_identity.session_context.mfa_authenticated", "userIdentity.sessionContext.attributes.mfaAuthenticated"},
	{"aws.cloudtrail.user_identity.session_context.session_issuer.type", "userIdentity.sessionContext.sessionIssuer.type"},
	{"aws.cloudtrail.user_identity.session_context.session_issuer.principal_id", "userIdentity.sessionContext.sessionIssuer.principalId"},
	{"aws.cloudtrail.user_identity.session_context.session_issuer.arn", "userIdentity.sessionContext.sessionIssuer.arn"},
	{"aws.cloudtrail.user_identity.session_context.session_issuer.account_id", "userIdentity.sessionContext.sessionIssuer.accountId"},
	{"aws.cloudtrail.user_identity.session_context.web_id_federation_data.federated_provider", "userIdentity.sessionContext.webIdFederationData.federatedProvider"},
	{"aws.cloudtrail.user_identity.session_context.ec2_role_delivery", "userIdentity.sessionContext.ec2RoleDelivery"},
	{"aws.cloudtrail.user_identity.session_context.source_identity", "userIdentity.sessionContext.sourceIdentity"},
	{"aws.cloudtrail.user_identity.session_context.assumed_root", "userIdentity.sessionContext.assumedRoot"},
	{"aws.cloudtrail.user_identity.session_context.sign_in_session_arn", "userIdentity.sessionContext.signInSessionArn"},
}

// constants are the fields that are the same in every event.
//
//nolint:gochecknoglobals // a constant table
var constants = [...]struct{ target, value string }{
	{"cloud.provider", "aws"},
	{"data_stream.dataset", "aws.cloudtrail"},
	{"data_stream.namespace", "default"},
	{"data_stream.type", "logs"},
	{"ecs.version", "8.11.0"},
	{"event.dataset", "aws.cloudtrail"},
	{"event.module", "aws"},
}

// texts are the members that are kept twice: as a string that reads as Java prints
// it, and, where it is an object and not too large, as a flattened copy.
//
//nolint:gochecknoglobals // a constant table
var texts = [...]struct {
	target, flattened string
	source            Member
}{
	{"aws.cloudtrail.request_parameters", "aws.cloudtrail.flattened.request_parameters", RequestParameters},
	{"aws.cloudtrail.response_elements", "aws.cloudtrail.flattened.response_elements", ResponseElements},
	{"aws.cloudtrail.additional_eventdata", "aws.cloudtrail.flattened.additional_eventdata", AdditionalEventData},
	{"aws.cloudtrail.service_event_details", "aws.cloudtrail.flattened.service_event_details", ServiceEventDetails},
}

// Limits of the flattened copies.
const (
	maxFlattened      = 32766 // UTF-16 units: a text as long or longer has no flattened copy
	maxFlattenedDepth = 20    // names on the way to a leaf: what is deeper is cut off
)
