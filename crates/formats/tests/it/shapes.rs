//! Records of cloud services and of management tools, in the shapes that their vendors document: tables, types, values.

use moneta_formats::Format;
use serde_json::{Map, Value, json};

use crate::samples::check_row;
use crate::support::{decode, decode_pieces, options};

/// The rows of one record.
fn rows(record: &Value) -> Vec<Map<String, Value>> {
    let whole = decode_pieces(Format::Json, options("x"), record.to_string().as_bytes(), 1 << 16);
    assert_eq!(whole.reasons(), [""; 0], "{:?}", whole.quarantined);
    whole.rows()
}

/// Checks the one row of a record.
fn check(record: Value, table: &str, expected: &[(&str, Value)]) {
    let rows = rows(&record);
    assert_eq!(rows.len(), 1, "{rows:?}");
    check_row(&rows[0], &[("Type", json!(table))]);
    check_row(&rows[0], expected);
}

/// The envelope of a sign-in, as diagnostic settings write it.
fn sign_in(category: &str, properties: Value) -> Value {
    json!({
        "time": "2026-06-01T10:00:00.1234567Z",
        "resourceId": "/tenants/0b5e8d1c/providers/Microsoft.aadiam",
        "operationName": "Sign-in activity",
        "operationVersion": "1.0",
        "category": category,
        "tenantId": "0b5e8d1c",
        "resultType": "50126",
        "resultSignature": "None",
        "resultDescription": "Invalid username or password.",
        "durationMs": 12,
        "callerIpAddress": "192.0.2.7",
        "correlationId": "c0ffee00",
        "Level": 4,
        "location": "DE",
        "properties": properties
    })
}

#[test]
fn sign_ins_of_clients_services_and_managed_identities() {
    let place = json!({"city": "Bonn", "state": "NRW", "countryOrRegion": "DE", "geoCoordinates": {"latitude": 50.7}});
    let common = |mut more: Map<String, Value>| {
        let known = json!({
            "id": "5d7ba03a", "createdDateTime": "2026-06-01T09:59:58Z", "appId": "a1", "ipAddress": "192.0.2.7",
            "status": {"errorCode": 50126}, "location": place, "correlationId": "c0ffee00",
            "conditionalAccessStatus": "notApplied", "resourceDisplayName": "Windows Azure Active Directory",
            "resourceId": "00000002-0000", "uniqueTokenIdentifier": "dG9rZW4",
            "authenticationProcessingDetails": [{"key": "Is CAE Token", "value": "False"}]
        });
        more.extend(known.as_object().unwrap().clone());
        Value::from(more)
    };
    let shared = [
        ("TimeGenerated", json!("2026-06-01T10:00:00.1234567Z")),
        ("CreatedDateTime", json!("2026-06-01T09:59:58.0000000Z")),
        ("AADTenantId", json!("0b5e8d1c")),
        ("IPAddress", json!("192.0.2.7")),
        ("Location", json!("DE")),
        ("ResultType", json!("50126")),
        ("ResultDescription", json!("Invalid username or password.")),
        ("ResourceIdentity", json!("00000002-0000")),
        ("CorrelationId", json!("c0ffee00")),
        ("DurationMs", json!(12)),
        ("Level", json!("4")),
        ("LocationDetails", json!(place.to_string())),
        ("AuthenticationProcessingDetails", json!("[{\"key\":\"Is CAE Token\",\"value\":\"False\"}]")),
        ("_Class", json!("control")),
    ];
    let members = |value: Value| value.as_object().unwrap().clone();
    let user = common(members(json!({
        "userDisplayName": "Ann", "userPrincipalName": "ann@example.org", "userId": "u1", "isInteractive": false,
        "clientAppUsed": "Mobile Apps and Desktop clients", "userAgent": "Mozilla/5.0",
        "deviceDetail": {"operatingSystem": "Windows10"}, "autonomousSystemNumber": 64500, "isRisky": true
    })));
    let record = sign_in("NonInteractiveUserSignInLogs", user);
    check(record.clone(), "AADNonInteractiveUserSignInLogs", &shared);
    check(
        record,
        "AADNonInteractiveUserSignInLogs",
        &[
            ("UserPrincipalName", json!("ann@example.org")),
            ("UserId", json!("u1")),
            ("IsInteractive", json!("false")),
            ("IsRisky", json!("true")),
            ("AutonomousSystemNumber", json!("64500")),
            ("DeviceDetail", json!("{\"operatingSystem\":\"Windows10\"}")),
            ("Status", json!("{\"errorCode\":50126}")),
        ],
    );
    let service = common(members(json!({
        "servicePrincipalId": "sp1", "servicePrincipalName": "deploy", "servicePrincipalCredentialKeyId": "k1"
    })));
    let record = sign_in("ServicePrincipalSignInLogs", service);
    check(record.clone(), "AADServicePrincipalSignInLogs", &shared);
    check(
        record,
        "AADServicePrincipalSignInLogs",
        &[("ServicePrincipalName", json!("deploy")), ("ServicePrincipalCredentialKeyId", json!("k1"))],
    );
    let identity = common(members(json!({"servicePrincipalId": "sp2", "servicePrincipalName": "vm-identity"})));
    let record = sign_in("ManagedIdentitySignInLogs", identity);
    check(record.clone(), "AADManagedIdentitySignInLogs", &shared);
    check(record, "AADManagedIdentitySignInLogs", &[("ServicePrincipalId", json!("sp2")), ("AppId", json!("a1"))]);
}

#[test]
fn provisioning_and_risk() {
    let mut provisioned = sign_in(
        "ProvisioningLogs",
        json!({
            "id": "p1", "activityDateTime": "2026-06-01T10:00:00Z", "jobId": "j1", "cycleId": "y1", "changeId": "g1",
            "provisioningAction": "create", "durationInMilliseconds": 431,
            "initiatedBy": {"id": "", "displayName": "Azure AD Provisioning Service", "initiatorType": "system"},
            "sourceSystem": {"id": "s", "displayName": "Azure Active Directory"},
            "targetSystem": {"id": "t", "displayName": "ServiceNow"},
            "sourceIdentity": {"id": "si", "displayName": "Ann", "identityType": "User"},
            "targetIdentity": {"id": "ti", "displayName": "Ann", "identityType": "User"},
            "provisioningStatusInfo": {"status": "success", "errorInformation": null},
            "provisioningSteps": [{"name": "EntryImportAdd", "status": "success"}],
            "modifiedProperties": [{"displayName": "Active", "oldValue": null, "newValue": "True"}],
            "servicePrincipal": {"id": "sp", "displayName": "ServiceNow"}
        }),
    );
    provisioned.as_object_mut().unwrap().remove("durationMs");
    check(
        provisioned,
        "AADProvisioningLogs",
        &[
            ("AADTenantId", json!("0b5e8d1c")),
            ("JobId", json!("j1")),
            ("ProvisioningAction", json!("create")),
            ("ProvisioningStatusInfo", json!("{\"status\":\"success\",\"errorInformation\":null}")),
            ("TargetSystem", json!("{\"id\":\"t\",\"displayName\":\"ServiceNow\"}")),
            ("DurationMs", json!(431)),
            ("ProvisioningSteps", json!("[{\"name\":\"EntryImportAdd\",\"status\":\"success\"}]")),
            ("_Class", json!("control")),
        ],
    );
    let risky = sign_in(
        "RiskyUsers",
        json!({
            "id": "u1", "userDisplayName": "Ann", "userPrincipalName": "ann@example.org", "isDeleted": false,
            "riskLastUpdatedDateTime": "2026-06-01T09:00:00Z", "riskLevel": "high", "riskState": "atRisk",
            "riskDetail": "none", "isProcessing": false
        }),
    );
    check(
        risky,
        "AADRiskyUsers",
        &[
            ("Id", json!("u1")),
            ("RiskLevel", json!("high")),
            ("RiskState", json!("atRisk")),
            ("IsDeleted", json!("false")),
            ("RiskLastUpdatedDateTime", json!("2026-06-01T09:00:00.0000000Z")),
            ("CorrelationId", json!("c0ffee00")),
            ("_Class", json!("processed")),
        ],
    );
    let event = sign_in(
        "UserRiskEvents",
        json!({
            "id": "r1", "requestId": "q1", "correlationId": "c0ffee00", "riskEventType": "unfamiliarFeatures",
            "riskState": "atRisk", "riskLevel": "medium", "riskDetail": "none", "source": "IdentityProtection",
            "detectionTimingType": "realtime", "activity": "signin", "tokenIssuerType": "AzureAD",
            "ipAddress": "192.0.2.7", "activityDateTime": "2026-06-01T09:58:00Z",
            "detectedDateTime": "2026-06-01T09:58:00Z", "lastUpdatedDateTime": "2026-06-01T09:59:00Z",
            "userId": "u1", "userDisplayName": "Ann", "userPrincipalName": "ann@example.org",
            "location": {"city": "Bonn", "countryOrRegion": "DE"},
            "additionalInfo": "[{\"Key\":\"userAgent\",\"Value\":\"Mozilla/5.0\"}]"
        }),
    );
    check(
        event,
        "AADUserRiskEvents",
        &[
            ("RiskEventType", json!("unfamiliarFeatures")),
            ("IpAddress", json!("192.0.2.7")),
            ("Location", json!({"city": "Bonn", "countryOrRegion": "DE"})),
            ("AdditionalInfo", json!([{"Key": "userAgent", "Value": "Mozilla/5.0"}])),
            ("DetectedDateTime", json!("2026-06-01T09:58:00.0000000Z")),
            ("UserPrincipalName", json!("ann@example.org")),
        ],
    );
}

/// The envelope of a storage account's resource log.
fn storage(service: &str, operation: &str, more: &Value) -> Value {
    let mut properties = json!({
        "accountName": "acct", "userAgentHeader": "WA-Storage", "serviceType": service, "objectKey": "/acct/share/dir",
        "lastModifiedTime": "2026-06-01T09:00:00.0000000Z", "metricResponseType": "Success", "serverLatencyMs": 3,
        "requestHeaderSize": 289, "responseHeaderSize": 300, "tlsVersion": "TLS 1.2", "etag": "\"0x8D\""
    });
    properties.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({
        "time": "2026-06-01T10:00:00.1234567Z",
        "resourceId": format!("/subscriptions/s1/resourceGroups/g1/providers/Microsoft.Storage/storageAccounts/acct/{service}Services/default"),
        "category": "StorageRead", "operationName": operation, "operationVersion": "2020-04-08", "schemaVersion": "1.0",
        "statusCode": 403, "statusText": "AuthorizationFailure", "durationMs": 7, "callerIpAddress": "192.0.2.7:4242",
        "correlationId": "d04f", "location": "West Europe", "protocol": "SMB",
        "uri": "\\\\acct.file.core.windows.net\\share\\dir",
        "identity": {
            "type": "OAuth", "tokenHash": "sha",
            "requester": {"objectId": "o1", "upn": "ann@example.org", "tenantId": "t1", "appId": "a1",
                          "audience": "https://storage.azure.com", "tokenIssuer": "https://sts.windows.net/t1"},
            "authorization": [{"action": "read", "result": "Granted"}]
        },
        "properties": properties
    })
}

#[test]
fn storage_of_files_queues_and_tables() {
    let shared = [
        ("AccountName", json!("acct")),
        ("StatusCode", json!("403")),
        ("StatusText", json!("AuthorizationFailure")),
        ("AuthenticationType", json!("OAuth")),
        ("AuthenticationHash", json!("sha")),
        ("RequesterObjectId", json!("o1")),
        ("RequesterUpn", json!("ann@example.org")),
        ("RequesterTokenIssuer", json!("https://sts.windows.net/t1")),
        ("AuthorizationDetails", json!([{"action": "read", "result": "Granted"}])),
        ("CallerIpAddress", json!("192.0.2.7:4242")),
        ("DurationMs", json!("7.0")),
        ("ServerLatencyMs", json!("3.0")),
        ("RequestHeaderSize", json!(289)),
        ("LastModifiedTime", json!("2026-06-01T09:00:00.0000000Z")),
        ("_SubscriptionId", json!("s1")),
    ];
    let smb =
        json!({"smbTreeConnectID": "0x1", "smbCommandMajor": 5, "smbCommandMinor": "FileRead", "smbStatusCode": "0"});
    let record = storage("file", "Read", &smb);
    check(record.clone(), "StorageFileLogs", &shared);
    check(
        record,
        "StorageFileLogs",
        &[
            ("SmbCommandMajor", json!(5)),
            ("SmbTreeConnectID", json!("0x1")),
            ("Uri", json!("\\\\acct.file.core.windows.net\\share\\dir")),
        ],
    );
    check(storage("queue", "GetMessages", &json!({})), "StorageQueueLogs", &shared);
    check(storage("table", "QueryEntity", &json!({})), "StorageTableLogs", &shared);
    check(storage("blob", "GetBlob", &json!({})), "StorageBlobLogs", &shared);
}

#[test]
fn requests_to_app_services() {
    let properties = json!({
        "CsMethod": "GET", "CsUriStem": "/admin", "SPort": "443", "CIp": "192.0.2.7", "UserAgent": "Mozilla/5.0",
        "CsHost": "app.example.org", "ScStatus": 404, "ScSubStatus": "0", "ScWin32Status": "0", "ScBytes": 2345,
        "CsBytes": 678, "TimeTaken": 15, "Result": "Success", "Cookie": "-", "CsUriQuery": "a=b", "CsUsername": "-",
        "Referer": "-", "ComputerName": "RD501"
    });
    let record = |properties: Value| {
        json!({
            "time": "2026-06-01T10:00:00Z", "category": "AppServiceHTTPLogs", "EventStampType": "Stamp", "Host": "RD501",
            "resourceId": "/SUBSCRIPTIONS/S1/RESOURCEGROUPS/G1/PROVIDERS/MICROSOFT.WEB/SITES/APP", "properties": properties
        })
    };
    let expected = [
        ("CsMethod", json!("GET")),
        ("CsUriStem", json!("/admin")),
        ("CIp", json!("192.0.2.7")),
        ("ScStatus", json!(404)),
        ("ScBytes", json!(2345)),
        ("TimeTaken", json!(15)),
        ("SPort", json!("443")),
    ];
    check(record(properties.clone()), "AppServiceHTTPLogs", &expected);
    // Event hubs get the properties as a text that holds the object.
    check(record(properties.to_string().into()), "AppServiceHTTPLogs", &expected);
}

#[test]
fn calls_of_communication_services() {
    let envelope = |category: &str, properties: Value| {
        json!({
            "time": "2026-06-01T10:00:00.188Z", "correlationId": "call-1", "category": category,
            "resourceId": "/SUBSCRIPTIONS/S1/RESOURCEGROUPS/G1/PROVIDERS/MICROSOFT.COMMUNICATION/COMMUNICATIONSERVICES/ACS",
            "operationName": category, "operationVersion": "1.0", "properties": properties
        })
    };
    let summary = json!({
        "identifier": "acs:61fddbe3", "callStartTime": "2026-06-01T09:54:05.113Z", "callDuration": 6, "callType": "Group",
        "teamsThreadId": "null", "participantId": "p1", "participantStartTime": "2026-06-01T09:54:06.758Z",
        "participantDuration": "6", "participantEndReason": "0", "participantType": "ACS", "endpointId": "e1",
        "endpointType": "VoIP", "sdkVersion": "1.0.1.0", "osVersion": "Windows 10.0.17763 Arch: x64"
    });
    check(
        envelope("CallSummary", summary),
        "ACSCallSummary",
        &[
            ("CorrelationId", json!("call-1")),
            ("CallDuration", json!(6)),
            ("ParticipantDuration", json!(6)),
            ("CallStartTime", json!("2026-06-01T09:54:05.1130000Z")),
            ("Identifier", json!("acs:61fddbe3")),
            ("EndpointType", json!("VoIP")),
            ("ParticipantEndReason", json!("0")),
            ("_SubscriptionId", json!("S1")),
        ],
    );
    let diagnostics = json!({
        "identifier": "acs:61fddbe3", "participantId": "p1", "endpointId": "e1", "endpointType": "VoIP",
        "mediaType": "Audio", "streamId": "1000", "transportType": "UDP", "roundTripTimeAvg": "82",
        "roundTripTimeMax": "88", "jitterAvg": "1", "jitterMax": "2", "packetLossRateAvg": "0.25", "packetLossRateMax": "1"
    });
    check(
        envelope("CallDiagnostics", diagnostics),
        "ACSCallDiagnostics",
        &[
            ("CorrelationId", json!("call-1")),
            ("StreamId", json!(1000)),
            ("RoundTripTimeAvg", json!(82)),
            ("JitterMax", json!(2)),
            ("PacketLossRateAvg", json!("0.25")),
            ("MediaType", json!("Audio")),
        ],
    );
}

#[test]
fn lists_of_microsoft_graph() {
    check(
        json!({
            "id": "66ea54eb-6301-4ee5-be62-ff5a759b0100", "createdDateTime": "2026-06-01T10:00:00Z",
            "userDisplayName": "Ann", "userPrincipalName": "ann@example.org", "userId": "u1", "appId": "a1",
            "appDisplayName": "Graph explorer", "ipAddress": "192.0.2.7", "clientAppUsed": "Browser",
            "correlationId": "c0ffee00", "conditionalAccessStatus": "notApplied", "isInteractive": true,
            "riskDetail": "none", "riskLevelAggregated": "none", "riskEventTypes_v2": ["unfamiliarFeatures"],
            "resourceDisplayName": "Microsoft Graph", "resourceId": "00000003",
            "status": {"errorCode": 50126, "failureReason": "Invalid username or password.", "additionalDetails": null},
            "deviceDetail": {"browser": "Edge"},
            "location": {"city": "Bonn", "state": "NRW", "countryOrRegion": "DE"},
            "appliedConditionalAccessPolicies": []
        }),
        "SigninLogs",
        &[
            ("TimeGenerated", json!("2026-06-01T10:00:00.0000000Z")),
            ("ResultType", json!("50126")),
            ("ResultDescription", json!("Invalid username or password.")),
            ("UserPrincipalName", json!("ann@example.org")),
            ("Identity", json!("Ann")),
            ("IPAddress", json!("192.0.2.7")),
            ("Location", json!("DE")),
            ("ResourceIdentity", json!("00000003")),
            ("RiskEventTypes_V2", json!("[\"unfamiliarFeatures\"]")),
            ("_Class", json!("control")),
        ],
    );
    check(
        json!({
            "id": "Directory_504c302d", "category": "UserManagement", "correlationId": "c0ffee00", "result": "success",
            "resultReason": "", "activityDisplayName": "Add user", "activityDateTime": "2026-06-01T10:00:00Z",
            "loggedByService": "Core Directory", "operationType": "Add",
            "initiatedBy": {"user": {"id": "u1", "userPrincipalName": "ann@example.org"}, "app": null},
            "targetResources": [{"id": "u2", "type": "User"}], "additionalDetails": []
        }),
        "AuditLogs",
        &[
            ("TimeGenerated", json!("2026-06-01T10:00:00.0000000Z")),
            ("OperationName", json!("Add user")),
            ("ActivityDisplayName", json!("Add user")),
            ("AADOperationType", json!("Add")),
            ("Category", json!("UserManagement")),
            ("Result", json!("success")),
        ],
    );
    check(
        json!({
            "id": "da637551227677560813", "providerAlertId": "da637551227677560813", "incidentId": "28282",
            "status": "new", "severity": "low", "serviceSource": "microsoftDefenderForEndpoint",
            "detectionSource": "antivirus", "detectorId": "e0da400f", "tenantId": "b3c1b5fc", "title": "Suspicious run",
            "description": "A file ran.", "recommendedActions": "Look.", "category": "Execution", "assignedTo": null,
            "alertWebUrl": "https://security.example/alerts/1", "mitreTechniques": ["T1064", "T1085"],
            "createdDateTime": "2026-06-01T09:00:00.35Z", "lastUpdateDateTime": "2026-06-01T10:00:00.35Z",
            "firstActivityDateTime": "2026-06-01T08:00:00Z", "lastActivityDateTime": "2026-06-01T08:30:00Z",
            "evidence": [{"@odata.type": "#microsoft.graph.security.deviceEvidence"}]
        }),
        "SecurityAlert",
        &[
            ("TimeGenerated", json!("2026-06-01T10:00:00.3500000Z")),
            ("SystemAlertId", json!("da637551227677560813")),
            ("AlertName", json!("Suspicious run")),
            ("AlertSeverity", json!("low")),
            ("ProviderName", json!("microsoftDefenderForEndpoint")),
            ("VendorName", json!("Microsoft")),
            ("Tactics", json!("Execution")),
            ("Techniques", json!("[\"T1064\",\"T1085\"]")),
            ("StartTime", json!("2026-06-01T08:00:00.0000000Z")),
        ],
    );
}

#[test]
fn audit_of_google_cloud_and_kubernetes() {
    check(
        json!({
            "protoPayload": {
                "@type": "type.googleapis.com/google.cloud.audit.AuditLog",
                "status": {"code": 7, "message": "PERMISSION_DENIED"},
                "authenticationInfo": {"principalEmail": "ann@example.org"},
                "requestMetadata": {"callerIp": "192.0.2.7", "callerSuppliedUserAgent": "gcloud"},
                "serviceName": "compute.googleapis.com", "methodName": "v1.compute.instances.delete",
                "authorizationInfo": [{"permission": "compute.instances.delete", "granted": false}],
                "resourceName": "projects/p1/zones/z/instances/vm", "numResponseItems": "3",
                "request": {"@type": "type.googleapis.com/compute.instances.delete"}
            },
            "insertId": "ins1", "severity": "ERROR", "timestamp": "2026-06-01T10:00:00.123456789Z",
            "receiveTimestamp": "2026-06-01T10:00:01Z",
            "resource": {"type": "gce_instance", "labels": {"project_id": "p1", "zone": "z"}},
            "logName": "projects/p1/logs/cloudaudit.googleapis.com%2Factivity"
        }),
        "GCPAuditLogs",
        &[
            ("TimeGenerated", json!("2026-06-01T10:00:00.1234567Z")),
            ("Timestamp", json!("2026-06-01T10:00:00.1234567Z")),
            ("PrincipalEmail", json!("ann@example.org")),
            ("MethodName", json!("v1.compute.instances.delete")),
            ("ProjectId", json!("p1")),
            ("GCPResourceType", json!("gce_instance")),
            ("GCPResourceName", json!("projects/p1/zones/z/instances/vm")),
            ("Severity", json!("ERROR")),
            ("InsertId", json!("ins1")),
            ("LogName", json!("projects/p1/logs/cloudaudit.googleapis.com%2Factivity")),
            ("StatusMessage", json!("PERMISSION_DENIED")),
            ("NumResponseItems", json!("3")),
            ("AuthorizationInfo", json!([{"permission": "compute.instances.delete", "granted": false}])),
        ],
    );
    check(
        json!({
            "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "auditID": "id1",
            "stage": "ResponseComplete", "requestURI": "/api/v1/namespaces/default/secrets", "verb": "list",
            "user": {"username": "system:serviceaccount:default:app", "groups": ["system:authenticated"]},
            "sourceIPs": ["192.0.2.7"], "userAgent": "kubectl/v1.30",
            "objectRef": {"resource": "secrets", "namespace": "default", "apiVersion": "v1"},
            "responseStatus": {"code": 403}, "requestReceivedTimestamp": "2026-06-01T10:00:00.100000Z",
            "stageTimestamp": "2026-06-01T10:00:00.200000Z",
            "annotations": {"authorization.k8s.io/decision": "forbid"}
        }),
        "AKSAudit",
        &[
            ("TimeGenerated", json!("2026-06-01T10:00:00.2000000Z")),
            ("RequestReceivedTime", json!("2026-06-01T10:00:00.1000000Z")),
            ("StageReceivedTime", json!("2026-06-01T10:00:00.2000000Z")),
            ("AuditId", json!("id1")),
            ("Verb", json!("list")),
            ("Level", json!("Metadata")),
            ("SourceIps", json!(["192.0.2.7"])),
            ("UserAgent", json!("kubectl/v1.30")),
            ("ResponseStatus", json!({"code": 403})),
            ("Annotations", json!({"authorization.k8s.io/decision": "forbid"})),
            ("_Class", json!("control")),
        ],
    );
}

#[test]
fn audit_of_okta_and_github() {
    check(
        json!({
            "actor": {"id": "00u1", "type": "User", "alternateId": "ann@example.org", "displayName": "Ann", "detailEntry": null},
            "client": {"userAgent": {"rawUserAgent": "Mozilla/5.0", "os": "Mac OS X", "browser": "CHROME"}, "zone": "null",
                       "device": "Computer", "id": null, "ipAddress": "192.0.2.7",
                       "geographicalContext": {"city": "Bonn", "state": "NRW", "country": "Germany", "postalCode": "53111",
                                               "geolocation": {"lat": 50.7, "lon": 7.1}}},
            "authenticationContext": {"authenticationProvider": null, "authenticationStep": 0, "externalSessionId": "s1"},
            "displayMessage": "User login to Okta", "eventType": "user.session.start",
            "outcome": {"result": "FAILURE", "reason": "INVALID_CREDENTIALS"}, "published": "2026-06-01T10:00:00.123Z",
            "securityContext": {"asNumber": 64500, "asOrg": "example", "isp": "isp", "domain": "example.org", "isProxy": false},
            "severity": "WARN", "debugContext": {"debugData": {"requestUri": "/api/v1/authn"}},
            "legacyEventType": "core.user_auth.login_failed", "transaction": {"type": "WEB", "id": "t1", "detail": {}},
            "uuid": "id1", "version": "0", "request": {"ipChain": [{"ip": "192.0.2.7"}]},
            "target": [{"id": "x", "type": "AppInstance"}]
        }),
        "OktaV2_CL",
        &[
            ("TimeGenerated", json!("2026-06-01T10:00:00.1230000Z")),
            ("EventOriginalType", json!("user.session.start")),
            ("EventOriginalUid", json!("id1")),
            ("ActorUsername", json!("ann@example.org")),
            ("SrcIpAddr", json!("192.0.2.7")),
            ("SrcGeoLatitude", json!("50.7")),
            ("SecurityContextAsNumber", json!(64500)),
            ("SecurityContextIsProxy", json!("false")),
            ("OriginalOutcomeResult", json!("FAILURE")),
            ("EventOriginalResultDetails", json!("INVALID_CREDENTIALS")),
            ("DebugData", json!({"requestUri": "/api/v1/authn"})),
            ("LegacyEventType", json!("core.user_auth.login_failed")),
            ("AuthenticationContextAuthenticationStep", json!(0)),
            ("Version", json!("0")),
        ],
    );
    check(
        json!({
            "@timestamp": 1_780_308_000_123_i64, "_document_id": "d1", "action": "repo.destroy", "actor": "ann",
            "actor_id": 42, "actor_ip": "192.0.2.7", "actor_location": {"country_code": "DE"}, "business": "b",
            "business_id": 7, "created_at": 1_780_308_000_123_i64, "operation_type": "remove", "org": "o", "org_id": 9,
            "repo": "o/r", "repo_id": 11, "public_repo": false, "user_agent": "Mozilla/5.0", "actor_is_bot": false
        }),
        "GitHubAuditLogsV2_CL",
        &[
            ("TimeGenerated", json!("2026-06-01T10:00:00.1230000Z")),
            ("Action", json!("repo.destroy")),
            ("Actor", json!("ann")),
            ("ActorId", json!("42.0")),
            ("ActorIp", json!("192.0.2.7")),
            ("CountryCode", json!("DE")),
            ("DocumentId", json!("d1")),
            ("OperationType", json!("remove")),
            ("Org", json!("o")),
            ("OrgId", json!("9.0")),
            ("RepoId", json!("11.0")),
            ("PublicRepo", json!("false")),
            ("ActorIsBot", json!("false")),
        ],
    );
}

#[test]
fn tables_of_defender_as_they_are_streamed() {
    let stream = |table: &str, properties: Value| {
        json!({
            "time": "2026-06-01T10:00:05Z", "tenantId": "t1", "operationName": "Publish",
            "category": format!("AdvancedHunting-{table}"), "_TimeReceivedBySvc": "2026-06-01T10:00:01Z",
            "properties": properties
        })
    };
    check(
        stream(
            "EmailEvents",
            json!({
                "Timestamp": "2026-06-01T10:00:00.123Z", "NetworkMessageId": "n1", "SenderFromAddress": "a@example.org",
                "RecipientEmailAddress": "b@example.net", "Subject": "hi", "EmailDirection": "Inbound",
                "DeliveryAction": "Blocked", "ThreatTypes": "Phish", "UrlCount": 2, "AttachmentCount": 0,
                "SenderIPv4": "192.0.2.7", "EmailClusterId": 4_112_557_000_i64, "ReportId": "r1"
            }),
        ),
        "EmailEvents",
        &[
            ("TimeGenerated", json!("2026-06-01T10:00:00.1230000Z")),
            ("Timestamp", json!("2026-06-01T10:00:00.1230000Z")),
            ("NetworkMessageId", json!("n1")),
            ("DeliveryAction", json!("Blocked")),
            ("UrlCount", json!(2)),
            ("EmailClusterId", json!(4_112_557_000_i64)),
        ],
    );
    check(
        stream(
            "EmailUrlInfo",
            json!({"Timestamp": "2026-06-01T10:00:00Z", "Url": "https://x/", "UrlDomain": "x", "NetworkMessageId": "n1"}),
        ),
        "EmailUrlInfo",
        &[("Url", json!("https://x/")), ("UrlDomain", json!("x"))],
    );
    check(
        stream(
            "EmailAttachmentInfo",
            json!({"Timestamp": "2026-06-01T10:00:00Z", "FileName": "a.exe", "SHA256": "AB", "FileSize": 7}),
        ),
        "EmailAttachmentInfo",
        &[("FileName", json!("a.exe")), ("SHA256", json!("AB")), ("FileSize", json!(7))],
    );
    check(
        stream(
            "DeviceProcessEvents",
            json!({"Timestamp": "2026-06-01T10:00:00Z", "DeviceName": "d", "ActionType": "ProcessCreated", "ProcessId": 7, "FileName": "a.exe"}),
        ),
        "DeviceProcessEvents",
        &[("DeviceName", json!("d")), ("ProcessId", json!(7))],
    );
    check(
        stream(
            "IdentityLogonEvents",
            json!({"Timestamp": "2026-06-01T10:00:00Z", "AccountUpn": "ann@example.org", "LogonType": "Interactive"}),
        ),
        "IdentityLogonEvents",
        &[("AccountUpn", json!("ann@example.org"))],
    );
}

/// Tables that only Moneta writes take no records from outside, whatever those name as their table.
#[test]
fn no_record_becomes_a_row_of_a_table_of_monetas_own() {
    for name in ["MonetaAudit", "MonetaHealth", "Quarantine", "QuarantineReplay"] {
        let stream = json!({"time": "2026-06-01T10:00:00Z", "category": format!("AdvancedHunting-{name}"), "properties": {"a": 1}});
        assert_eq!(rows(&stream)[0]["Type"], "x_CL");
        let named = json!({"Type": name, "ActorName": "ann", "Action": "query"}).to_string();
        let table = format!("Type,ActorName,TimeGenerated\n{name},ann,2026-06-01T10:00:00Z\n");
        for (format, text) in [(Format::Json, named), (Format::Csv, table)] {
            let whole = decode_pieces(format, options("x"), text.as_bytes(), 100);
            assert_eq!((whole.num_rows(), whole.reasons()), (0, vec!["own_table"]), "{text}");
        }
    }
}

#[test]
fn exports_of_operations_manager() {
    check(
        json!({
            "AlertName": "Health Service Heartbeat Failure", "AlertDescription": "The System Center Management Health Service failed.",
            "Severity": "2", "Priority": "1", "RaisedDateTime": "2026-06-01T10:00:00Z", "ManagedEntityPath": "srv1.example.org",
            "ManagedEntityName": "Microsoft.SystemCenter.HealthService", "RepeatCount": 3
        }),
        "Alert",
        &[
            ("TimeGenerated", json!("2026-06-01T10:00:00.0000000Z")),
            ("TimeRaised", json!("2026-06-01T10:00:00.0000000Z")),
            ("AlertSeverity", json!("2")),
            ("AlertPriority", json!("1")),
            ("Computer", json!("srv1.example.org")),
            ("RepeatCount", json!(3)),
            ("_Class", json!("processed")),
        ],
    );
    let separated = |text: &str, table: &str, expected: &[(&str, Value)]| {
        let whole = decode("scom.csv", text.as_bytes());
        assert_eq!(whole.reasons(), [""; 0]);
        let rows = whole.rows();
        check_row(&rows[0], &[("Type", json!(table))]);
        check_row(&rows[0], expected);
    };
    separated(
        "NTEventID,ProviderName,ComputerName,DateTime,Message\n21025,OpsMgr Connector,srv1,2026-06-01T10:00:00Z,\"new, configuration\"\n",
        "Event",
        &[
            ("EventID", json!(21025)),
            ("Source", json!("OpsMgr Connector")),
            ("Computer", json!("srv1")),
            ("RenderedDescription", json!("new, configuration")),
            ("TimeGenerated", json!("2026-06-01T10:00:00.0000000Z")),
        ],
    );
    separated(
        "ObjectName,CounterName,InstanceName,SampleValue,DateTime,Path\nMemory,Available MBytes,,2048.5,2026-06-01T10:00:00Z,srv1\n",
        "Perf",
        &[
            ("ObjectName", json!("Memory")),
            ("CounterValue", json!("2048.5")),
            ("Computer", json!("srv1")),
            ("TimeGenerated", json!("2026-06-01T10:00:00.0000000Z")),
        ],
    );
    separated(
        "MonitorName,ManagedEntity,Computer,OldHealthState,NewHealthState,EventDateTime\nCPU,Windows,srv1,1,3,2026-06-01T10:00:00Z\n",
        "ScomState_CL",
        &[
            ("MonitorName", json!("CPU")),
            ("OldHealthState", json!("1")),
            ("NewHealthState", json!("3")),
            ("TimeGenerated", json!("2026-06-01T10:00:00.0000000Z")),
        ],
    );
}

#[test]
fn audio_of_a_skype_quality_database() {
    let text = "ConferenceDateTime,SessionSeq,StreamID,MediaLineLabel,JitterInterArrival,JitterInterArrivalMax,PacketLossRate,\
RoundTrip,DegradationAvg,OverallAvgNetworkMOS\n2026-06-01 10:00:00,1,77,0,5,20,0.02,80,0.3,4.1\n";
    let rows = decode("audio.csv", text.as_bytes()).rows();
    check_row(
        &rows[0],
        &[
            ("Type", json!("CallQuality_CL")),
            ("SessionId", json!("1")),
            ("StreamId", json!("77")),
            ("JitterAvg", json!("5.0")),
            ("PacketLossRateAvg", json!("0.02")),
            ("RoundTripTimeAvg", json!("80.0")),
            ("MosDegradationAvg", json!("0.3")),
        ],
    );
}

/// Items of the continuous export, and envelopes of the SDKs, of every type.
#[test]
fn telemetry_items_of_every_type() {
    let exported = |kind: &str, item: Value, metrics: Value| {
        json!({
            (kind): item,
            "internal": {"data": {"id": "i1", "documentVersion": "1.61"}},
            "context": {
                "data": {"eventTime": "2026-06-01T10:00:00.5Z"}, "device": {"roleName": "shop"}, "operation": {"id": "o1"},
                "custom": {"dimensions": [{"ProcessId": "4068"}], "metrics": metrics}
            }
        })
    };
    let one = |kind: &str, item: Value| exported(kind, json!([item]), json!([]));
    let shared =
        [("AppRoleName", json!("shop")), ("OperationId", json!("o1")), ("Properties", json!({"ProcessId": "4068"}))];
    let check_export = |kind: &str, item: Value, table: &str, expected: &[(&str, Value)]| {
        check(one(kind, item.clone()), table, &shared);
        check(one(kind, item), table, expected);
    };
    check_export(
        "remoteDependency",
        json!({"name": "GET /x", "commandName": "/x", "dependencyTypeName": "Http", "durationMetric": {"value": 20_000.0}, "resultCode": "500", "success": false, "count": 1, "id": "d1"}),
        "AppDependencies",
        &[
            ("Data", json!("/x")),
            ("DependencyType", json!("Http")),
            ("DurationMs", json!("2.0")),
            ("Success", json!("false")),
            ("ItemCount", json!(1)),
        ],
    );
    check_export(
        "basicException",
        json!({"assembly": "A", "exceptionType": "E", "method": "m", "outerExceptionMessage": "o", "problemId": "p", "handledAt": "UserCode", "parsedStack": [{"method": "m", "level": 0}]}),
        "AppExceptions",
        &[
            ("ExceptionType", json!("E")),
            ("OuterMessage", json!("o")),
            ("ProblemId", json!("p")),
            ("HandledAt", json!("UserCode")),
        ],
    );
    check_export(
        "event",
        json!({"name": "Checkout", "count": 2}),
        "AppEvents",
        &[("Name", json!("Checkout")), ("ItemCount", json!(2))],
    );
    check_export(
        "message",
        json!({"loggerName": "l", "raw": "low disk", "severityLevel": "Warning"}),
        "AppTraces",
        &[("Message", json!("low disk")), ("SeverityLevel", json!(2))],
    );
    check_export(
        "view",
        json!({"name": "Home", "url": "https://x/", "durationMetric": {"value": 15_000_000}}),
        "AppPageViews",
        &[("Name", json!("Home")), ("DurationMs", json!("1500.0"))],
    );
    check_export(
        "availability",
        json!({"testName": "ping", "testRunId": "t1", "result": "Fail", "message": "timeout", "runLocation": "Paris", "durationMetric": {"value": 10_000}, "dataSizeMetric": {"value": 12}}),
        "AppAvailabilityResults",
        &[
            ("Name", json!("ping")),
            ("Id", json!("t1")),
            ("Success", json!("false")),
            ("Location", json!("Paris")),
            ("DurationMs", json!("1.0")),
            ("Size", json!("12.0")),
        ],
    );
    check_export(
        "clientPerformance",
        json!({"name": "Home", "total": {"value": 30_000}, "clientProcess": {"value": 10_000}, "networkConnection": {"value": 0}}),
        "AppBrowserTimings",
        &[
            ("TotalDurationMs", json!("3.0")),
            ("ProcessingDurationMs", json!("1.0")),
            ("NetworkDurationMs", json!("0.0")),
        ],
    );
    check_export(
        "performanceCounter",
        json!({"available_bytes": {"value": 2048.0}, "categoryName": "Memory", "instanceName": ""}),
        "AppPerformanceCounters",
        &[("Category", json!("Memory")), ("Counter", json!("available_bytes")), ("Value", json!("2048.0"))],
    );
    let measured = json!([{"dispatchRate": {"value": 0.5, "count": 4.0, "min": 0.25, "max": 1.0, "sum": 2.0}}, {"depth": {"value": 7}}]);
    let metrics = rows(&exported("metric", json!([]), measured));
    assert_eq!(metrics.len(), 2);
    check_row(
        &metrics[0],
        &[
            ("Type", json!("AppMetrics")),
            ("Name", json!("dispatchRate")),
            ("Sum", json!("2.0")),
            ("Min", json!("0.25")),
            ("Max", json!("1.0")),
            ("ItemCount", json!(4)),
            ("AppRoleName", json!("shop")),
        ],
    );
    check_row(&metrics[1], &[("Name", json!("depth")), ("Sum", json!("7.0")), ("Min", json!("7.0"))]);

    let sent = |base_type: &str, base: Value| {
        json!({
            "time": "2026-06-01T10:00:00Z", "iKey": "k1", "name": "Microsoft.ApplicationInsights.Item",
            "tags": {"ai.cloud.role": "shop", "ai.operation.id": "o1"}, "data": {"baseType": base_type, "baseData": base}
        })
    };
    check(
        sent(
            "ExceptionData",
            json!({"ver": 2, "severityLevel": 3, "problemId": "p", "exceptions": [
            {"typeName": "Outer", "message": "o", "hasFullStack": true, "parsedStack": [{"level": 0, "method": "m", "assembly": "a"}]},
            {"typeName": "Inner", "message": "i", "hasFullStack": true}]}),
        ),
        "AppExceptions",
        &[
            ("ExceptionType", json!("Outer")),
            ("OuterMessage", json!("o")),
            ("InnermostType", json!("Inner")),
            ("InnermostMessage", json!("i")),
            ("Method", json!("m")),
            ("SeverityLevel", json!(3)),
            ("IKey", json!("k1")),
        ],
    );
    check(
        sent("MessageData", json!({"ver": 2, "message": "low disk", "severityLevel": "Error"})),
        "AppTraces",
        &[("Message", json!("low disk")), ("SeverityLevel", json!(3)), ("AppRoleName", json!("shop"))],
    );
    check(
        sent(
            "RemoteDependencyData",
            json!({"ver": 2, "name": "SELECT", "id": "d1", "type": "SQL", "target": "db", "data": "select 1", "duration": "00:00:00.0125", "success": true, "resultCode": "0"}),
        ),
        "AppDependencies",
        &[
            ("Target", json!("db")),
            ("Data", json!("select 1")),
            ("DurationMs", json!("12.5")),
            ("DependencyType", json!("SQL")),
        ],
    );
    check(
        sent(
            "AvailabilityData",
            json!({"ver": 2, "id": "t1", "name": "ping", "duration": "00:00:01", "success": true, "runLocation": "Paris"}),
        ),
        "AppAvailabilityResults",
        &[("Success", json!("true")), ("Location", json!("Paris")), ("DurationMs", json!("1000.0"))],
    );
    check(
        sent("PageViewData", json!({"ver": 2, "name": "Home", "url": "https://x/", "duration": "00:00:02"})),
        "AppPageViews",
        &[("Url", json!("https://x/")), ("DurationMs", json!("2000.0"))],
    );
    check(
        sent(
            "PageViewPerfData",
            json!({"ver": 2, "name": "Home", "perfTotal": "00:00:01.5", "networkConnect": "00:00:00.1", "domProcessing": "00:00:01"}),
        ),
        "AppBrowserTimings",
        &[
            ("TotalDurationMs", json!("1500.0")),
            ("NetworkDurationMs", json!("100.0")),
            ("ProcessingDurationMs", json!("1000.0")),
        ],
    );
    check(
        sent("EventData", json!({"ver": 2, "name": "Checkout", "properties": {"a": "b"}, "measurements": {"m": 1.5}})),
        "AppEvents",
        &[("Name", json!("Checkout")), ("Properties", json!({"a": "b"})), ("Measurements", json!({"m": 1.5}))],
    );
    let metrics = rows(&sent(
        "MetricData",
        json!({"ver": 2, "metrics": [{"name": "a", "value": 4.5, "count": 3, "min": 1, "max": 2}, {"name": "b", "value": 1}], "properties": {"p": "q"}}),
    ));
    assert_eq!(metrics.len(), 2);
    check_row(
        &metrics[0],
        &[
            ("Name", json!("a")),
            ("Sum", json!("4.5")),
            ("ItemCount", json!(3)),
            ("Max", json!("2.0")),
            ("Properties", json!({"p": "q"})),
        ],
    );
    check_row(&metrics[1], &[("Name", json!("b")), ("Max", json!("1.0")), ("Properties", json!({"p": "q"}))]);
}

#[test]
fn platform_metrics_and_metrics_of_storage() {
    let record = json!({
        "count": 4, "total": 10.0, "minimum": 1.0, "maximum": 5.0, "average": 2.5, "metricName": "CpuPercentage",
        "resourceId": "/SUBSCRIPTIONS/S1/RESOURCEGROUPS/G1/PROVIDERS/MICROSOFT.WEB/SERVERFARMS/PLAN",
        "time": "2026-06-01T10:00:00.0000000Z", "timeGrain": "PT1M"
    });
    check(
        json!({"records": [record]}),
        "AzureMetrics",
        &[
            ("TimeGenerated", json!("2026-06-01T10:00:00.0000000Z")),
            ("MetricName", json!("CpuPercentage")),
            ("Average", json!("2.5")),
            ("Count", json!("4.0")),
            ("Total", json!("10.0")),
            ("TimeGrain", json!("PT1M")),
            ("ResourceGroup", json!("G1")),
            ("Resource", json!("PLAN")),
            ("ResourceProvider", json!("MICROSOFT.WEB")),
        ],
    );
    let text = "PartitionKey,RowKey,Timestamp,TotalIngress,TotalEgress,TotalRequests,TotalBillableRequests,Availability,\
AverageE2ELatency,PercentSuccess\n20260601T1000,user;GetBlob,2026-06-01T11:05:00Z,3217,8000,12,12,100,7.5,91.7\n";
    let rows = decode("metrics.csv", text.as_bytes()).rows();
    check_row(
        &rows[0],
        &[
            ("Type", json!("StorageMetrics_CL")),
            ("TimeGenerated", json!("2026-06-01T10:00:00.0000000Z")),
            ("Period", json!("20260601T1000")),
            ("AccessAndOperation", json!("user;GetBlob")),
            ("TotalRequests", json!(12)),
            ("Availability", json!("100.0")),
            ("AverageE2ELatency", json!("7.5")),
        ],
    );
    check(
        json!({"PartitionKey": "20260601T0000", "RowKey": "data", "Timestamp": "2026-06-02T01:00:00Z", "Capacity": 4096, "ContainerCount": 2, "ObjectCount": 9}),
        "StorageMetrics_CL",
        &[
            ("Capacity", json!(4096)),
            ("ObjectCount", json!(9)),
            ("TimeGenerated", json!("2026-06-01T00:00:00.0000000Z")),
        ],
    );
}

#[test]
fn tables_of_azure_diagnostics() {
    let row = |mut more: Value| {
        let known = json!({
            "PartitionKey": "0639000000000000000", "RowKey": "d___r___i", "Timestamp": "2026-06-01T10:01:00Z",
            "PreciseTimeStamp": "2026-06-01T10:00:00.5Z", "EventTickCount": 639_000_000_000_000_000_i64,
            "DeploymentId": "d", "Role": "Web", "RoleInstance": "Web_IN_0"
        });
        more.as_object_mut().unwrap().extend(known.as_object().unwrap().clone());
        more
    };
    check(
        row(json!({
            "ProviderGuid": "{g}", "ProviderName": "Service Control Manager", "EventId": 7036, "Level": 4, "Pid": 512,
            "Tid": 600, "Opcode": 0, "Task": 0, "Channel": "System", "RawXml": "<Event/>", "Description": "running"
        })),
        "WindowsEvent",
        &[
            ("TimeGenerated", json!("2026-06-01T10:00:00.5000000Z")),
            ("Provider", json!("Service Control Manager")),
            ("EventID", json!(7036)),
            ("EventLevel", json!(4)),
            ("Channel", json!("System")),
            ("Computer", json!("Web_IN_0")),
            ("SystemProcessId", json!(512)),
            ("RawEventData", json!("<Event/>")),
        ],
    );
    check(
        row(json!({"CounterName": "\\Memory\\Available Bytes", "CounterValue": 2048.5})),
        "Perf",
        &[
            ("CounterPath", json!("\\Memory\\Available Bytes")),
            ("CounterValue", json!("2048.5")),
            ("Computer", json!("Web_IN_0")),
        ],
    );
    check(
        row(json!({"Level": 3, "Pid": 1, "Tid": 2, "EventId": 0, "Message": "low disk"})),
        "AppTraces",
        &[("Message", json!("low disk")), ("AppRoleName", json!("Web")), ("AppRoleInstance", json!("Web_IN_0"))],
    );
}

/// Call records of an exchange that no mapping knows: the example of the documentation.
#[test]
fn call_records_of_any_exchange_by_a_mapping() {
    let mapping = include_str!("../../../../docs/examples/sip-calls.toml");
    let mappings = moneta_formats::Mappings::with_built_in(&[("sip-calls.toml", mapping)]).unwrap();
    let options = moneta_formats::DecodeOptions { mappings: std::sync::Arc::new(mappings), ..options("calls.csv") };
    let text = "call_id,from_uri,to_uri,invite_time,answer_time,bye_time,duration_s,sip_code,sip_reason,trunk\n\
a1@gw,sip:+4930123@gw,sip:+4989456@gw,2026-06-01T10:00:00Z,2026-06-01T10:00:03Z,2026-06-01T10:01:03Z,60,200,OK,t1\n\
a2@gw,sip:+4930123@gw,sip:+4989457@gw,2026-06-01T10:02:00Z,,2026-06-01T10:02:01Z,0,486,Busy Here,t1\n";
    let whole = decode_pieces(Format::Csv, options, text.as_bytes(), 7);
    assert_eq!(whole.reasons(), [""; 0]);
    let rows = whole.rows();
    check_row(
        &rows[0],
        &[
            ("Type", json!("CallDetailRecord_CL")),
            ("TimeGenerated", json!("2026-06-01T10:00:00.0000000Z")),
            ("CallId", json!("a1@gw")),
            ("CallerNumber", json!("sip:+4930123@gw")),
            ("AnswerTime", json!("2026-06-01T10:00:03.0000000Z")),
            ("DurationSeconds", json!(60)),
            ("Source", json!("SipGateway")),
            ("Trunk", json!("t1")),
        ],
    );
    check_row(&rows[1], &[("FailureCode", json!(486)), ("FailureReason", json!("Busy Here"))]);
    assert_eq!(rows[1].get("AnswerTime"), None);
}

#[test]
fn video_and_shared_applications_of_a_skype_quality_database() {
    let video = "ConferenceDateTime,SessionSeq,MediaLineLabel,StreamID,VideoPayloadDescription,JitterInterArrival,VideoPacketLossRate,\
RecvFrameRateAverage,RoundTrip\n2026-06-01 10:00:00,1,1,78,H264,6,0.03,14.5,90\n";
    let rows = decode("video.csv", video.as_bytes()).rows();
    check_row(
        &rows[0],
        &[
            ("Type", json!("CallQuality_CL")),
            ("MediaLabel", json!("1")),
            ("StreamId", json!("78")),
            ("CodecName", json!("H264")),
            ("JitterAvg", json!("6.0")),
            ("PacketLossRateAvg", json!("0.03")),
            ("RoundTripTimeAvg", json!("90.0")),
        ],
    );
    let shared = "ConferenceDateTime,SessionSeq,MediaLineLabel,RoundTrip,JitterInterArrival,SpoiledTilePercentTotal\n\
2026-06-01 10:00:00,1,3,95,7,1.5\n";
    let rows = decode("sharing.csv", shared.as_bytes()).rows();
    check_row(
        &rows[0],
        &[("Type", json!("CallQuality_CL")), ("MediaLabel", json!("3")), ("RoundTripTimeAvg", json!("95.0"))],
    );
}

/// The rows of a request, and what is refused of it decoded once more.
fn rows_and_refused(request: &Value) -> (Vec<Map<String, Value>>, Vec<&'static str>, Vec<String>) {
    let whole = decode_pieces(Format::Json, options("x"), request.to_string().as_bytes(), 1 << 16);
    let texts = whole.quarantined.iter().map(|record| String::from_utf8(record.bytes.clone()).unwrap()).collect();
    (whole.rows(), whole.reasons(), texts)
}

#[test]
fn a_dead_clock_costs_one_record_of_a_request_and_what_is_kept_of_it_is_a_request() {
    let record =
        |time: &str, text: &str| json!({"timeUnixNano": time, "body": {"stringValue": text}, "severityNumber": 9});
    let request = |records: Vec<Value>| {
        json!({"resourceLogs": [{
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]},
            "scopeLogs": [{"scope": {"name": "s"}, "logRecords": records}]
        }]})
    };
    let good = "1780308000000000000";
    let (rows, reasons, refused) =
        rows_and_refused(&request(vec![record(good, "one"), record("86400000000000", "two"), record(good, "three")]));
    let messages: Vec<_> = rows.iter().map(|row| row["Message"].as_str().unwrap()).collect();
    assert_eq!((messages, reasons), (vec!["one", "three"], vec!["time_out_of_range"]));
    assert_eq!(serde_json::from_str::<Value>(&refused[0]).unwrap(), request(vec![record("86400000000000", "two")]));

    let point = |time: &str| json!({"timeUnixNano": time, "asInt": "5"});
    let request = |points: Vec<Value>| {
        json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": [
            {"name": "m", "unit": "By", "sum": {"isMonotonic": true, "dataPoints": points}}
        ]}]}]})
    };
    let (rows, reasons, refused) = rows_and_refused(&request(vec![point("1"), point(good)]));
    assert_eq!((rows.len(), reasons), (1, vec!["time_out_of_range"]));
    assert_eq!(serde_json::from_str::<Value>(&refused[0]).unwrap(), request(vec![point("1")]));
}

#[test]
fn members_of_otlp_without_a_column_are_kept() {
    let attribute = |key: &str, value: &str| json!([{"key": key, "value": {"stringValue": value}}]);
    let request = json!({"resourceMetrics": [{
        "resource": {"attributes": attribute("service.name", "shop"), "droppedAttributesCount": 3},
        "schemaUrl": "https://r",
        "scopeMetrics": [{
            "scope": {"name": "lib", "version": "1.2", "attributes": attribute("k", "v")},
            "schemaUrl": "https://s",
            "metrics": [{
                "name": "m", "unit": "ms", "description": "how long",
                "exponentialHistogram": {"aggregationTemporality": 2, "dataPoints": [{
                    "timeUnixNano": "1780308000000000000", "startTimeUnixNano": "1780300000000000000", "count": "3", "sum": 7.5,
                    "scale": 2, "zeroCount": "1", "positive": {"offset": 1, "bucketCounts": ["2"]}, "negative": {},
                    "flags": 1, "exemplars": [{"asDouble": 1.5}], "attributes": attribute("path", "/")
                }]}
            }]
        }]
    }]});
    check(
        request,
        "InsightsMetrics",
        &[
            ("Name", json!("m")),
            ("Val", json!("7.5")),
            ("Tags", json!("{\"path\":\"/\"}")),
            (
                "_Extra",
                json!({
                    "Unit": "ms", "description": "how long", "aggregationTemporality": 2,
                    "startTimeUnixNano": "1780300000000000000", "count": "3", "scale": 2, "zeroCount": "1",
                    "positive": {"offset": 1, "bucketCounts": ["2"]}, "negative": {}, "flags": 1,
                    "exemplars": [{"asDouble": 1.5}], "ScopeName": "lib", "ScopeVersion": "1.2",
                    "ScopeAttributes": {"k": "v"}, "ScopeSchemaUrl": "https://s", "ResourceSchemaUrl": "https://r",
                    "ResourceDroppedAttributesCount": 3
                }),
            ),
        ],
    );
    let request = json!({"resourceLogs": [{"scopeLogs": [{"scope": {"version": "3"}, "logRecords": [{
        "observedTimeUnixNano": "1780308000000000000", "body": {"stringValue": "x"}, "flags": 1, "droppedAttributesCount": 2
    }]}]}]});
    check(
        request,
        "AppTraces",
        &[
            ("TimeGenerated", json!("2026-06-01T10:00:00.0000000Z")),
            (
                "_Extra",
                json!({
                    "observedTimeUnixNano": "1780308000000000000", "flags": 1, "droppedAttributesCount": 2,
                    "ScopeVersion": "3"
                }),
            ),
        ],
    );
}

#[test]
fn lists_of_azure_are_events_with_and_without_a_further_page() {
    let event = |name: &str| {
        json!({
            "authorization": {"action": "Microsoft.Compute/virtualMachines/delete", "scope": "/subscriptions/s"},
            "caller": "ann@example.org", "channels": "Operation", "claims": {"ipaddr": "192.0.2.7"},
            "correlationId": "c", "eventDataId": name, "eventTimestamp": "2026-06-01T10:00:00Z",
            "category": {"value": "Administrative"}, "level": "Informational", "operationId": "o",
            "operationName": {"value": "Microsoft.Compute/virtualMachines/delete"},
            "resourceGroupName": "g", "resourceId": "/subscriptions/s/resourceGroups/g/providers/p/t/n",
            "status": {"value": "Succeeded"}, "subscriptionId": "s", "submissionTimestamp": "2026-06-01T10:00:09Z"
        })
    };
    let tables_of =
        |page: &Value| rows(page).iter().map(|row| row["Type"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    let page = json!({"value": [event("1"), event("2")], "nextLink": "https://management.azure.com/x?$skiptoken=1"});
    assert_eq!(tables_of(&page), ["AzureActivity", "AzureActivity"]);
    assert_eq!(tables_of(&json!({"value": [event("1")]})), ["AzureActivity"]);
    // A list that is a value of one record stays in it.
    assert_eq!(tables_of(&json!({"value": [{"a": 1}], "name": "n"})), ["x_CL"]);
    assert_eq!(tables_of(&json!({"value": [{"a": 1}]})), ["x_CL"]);
    let hunted = json!({
        "Schema": [{"Name": "Timestamp"}], "Stats": {"ExecutionTime": 0.1},
        "Results": [{"Timestamp": "2026-06-01T10:00:00Z", "NetworkMessageId": "n", "Url": "https://x/", "UrlDomain": "x"}]
    });
    assert_eq!(tables_of(&hunted), ["EmailUrlInfo"]);
}

#[test]
fn exports_of_hunting_go_to_the_tables_they_are_of() {
    let process = "InitiatingProcessFileName,InitiatingProcessCommandLine,InitiatingProcessFolderPath";
    let cases = [
        ("DeviceProcessEvents", format!("FileName,FolderPath,SHA1,ProcessId,ProcessCommandLine,AdditionalFields,{process}")),
        ("DeviceNetworkEvents", format!("RemoteIP,RemotePort,RemoteUrl,LocalIP,LocalPort,Protocol,AdditionalFields,{process}")),
        ("DeviceFileEvents", format!("FileName,FolderPath,SHA1,PreviousFileName,RequestProtocol,AdditionalFields,{process}")),
        ("DeviceRegistryEvents", format!("RegistryKey,RegistryValueName,PreviousRegistryValueData,{process}")),
        ("DeviceLogonEvents", format!("LogonType,AccountName,IsLocalAdmin,RemoteIP,RemotePort,AdditionalFields,{process}")),
        ("DeviceImageLoadEvents", format!("FileName,FolderPath,SHA1,SHA256,{process}")),
        (
            "DeviceEvents",
            format!("FileName,FolderPath,SHA1,ProcessId,ProcessCommandLine,RegistryKey,RemoteUrl,RemoteIP,RemotePort,LocalIP,FileOriginUrl,AdditionalFields,{process}"),
        ),
        ("DeviceInfo", "ClientVersion,OSPlatform,OnboardingStatus,PublicIP".to_owned()),
        ("DeviceNetworkInfo", "NetworkAdapterName,MacAddress,IPAddresses".to_owned()),
        ("DeviceFileCertificateInfo", "SHA1,Signer,CertificateSerialNumber".to_owned()),
        ("EmailEvents", "NetworkMessageId,SenderFromAddress,RecipientEmailAddress,Subject,DeliveryAction".to_owned()),
        ("EmailUrlInfo", "NetworkMessageId,Url,UrlDomain,UrlLocation".to_owned()),
        ("EmailAttachmentInfo", "NetworkMessageId,SenderFromAddress,RecipientEmailAddress,FileName,SHA256".to_owned()),
        ("EmailPostDeliveryEvents", "NetworkMessageId,Action,ActionType,ActionTrigger,ActionResult".to_owned()),
        ("UrlClickEvents", "Url,ActionType,Workload,NetworkMessageId,IsClickedThrough".to_owned()),
        ("IdentityQueryEvents", "ActionType,Application,Query,QueryType,QueryTarget,DestinationDeviceName,TargetAccountUpn,TargetDeviceName".to_owned()),
        ("IdentityLogonEvents", "ActionType,Application,LogonType,AccountUpn,DestinationDeviceName,TargetAccountDisplayName,TargetDeviceName".to_owned()),
        ("IdentityDirectoryEvents", "ActionType,Application,AccountUpn,DestinationDeviceName,TargetAccountUpn,TargetDeviceName".to_owned()),
        ("CloudAppEvents", "ActionType,Application,ApplicationId,AccountObjectId,RawEventData".to_owned()),
        ("AlertInfo", "AlertId,Title,Category,ServiceSource,DetectionSource".to_owned()),
        ("AlertEvidence", "AlertId,EntityType,EvidenceRole,DeviceId,FileName,SHA1,ProcessCommandLine".to_owned()),
    ];
    for (table, names) in cases {
        let device = if table.starts_with("Device") { "DeviceId,DeviceName,ActionType," } else { "" };
        let header = format!("Timestamp,{device}{names},ReportId");
        let value = |name: &str| match name {
            "Timestamp" => "2026-06-01T10:00:00.5Z".to_owned(),
            name if name.ends_with("Id") || name.ends_with("Port") => "7".to_owned(),
            _ => String::new(),
        };
        let line = header.split(',').map(value).collect::<Vec<_>>().join(",");
        let whole = decode("export.csv", format!("{header}\n{line}\n").as_bytes());
        assert_eq!(whole.rows()[0]["Type"], table, "{header}");
        check_row(&whole.rows()[0], &[("TimeGenerated", json!("2026-06-01T10:00:00.5000000Z"))]);
        let record: Map<String, Value> = header.split(',').map(|name| (name.to_owned(), json!(value(name)))).collect();
        assert_eq!(rows(&record.into())[0]["Type"], table, "{header}");
    }
}

#[test]
fn names_that_suricata_puts_into_lists_have_columns() {
    let event = |dns: Value| json!({"timestamp": "2026-06-01T10:00:00.000001+0000", "event_type": "dns", "src_ip": "192.0.2.1", "dns": dns});
    let expected = [("dns_rrname", json!("a.example")), ("dns_rrtype", json!("A"))];
    for dns in [
        json!({"version": 2, "type": "query", "rrname": "a.example", "rrtype": "A"}),
        json!({"version": 3, "type": "request", "queries": [
            {"rrname": "a.example", "rrtype": "A"}, {"rrname": "b.example", "rrtype": "AAAA"}
        ]}),
        json!({"query": [{"type": "query", "rrname": "a.example", "rrtype": "A"}]}),
    ] {
        check(event(dns.clone()), "SuricataDns_CL", &expected);
        let kept = rows(&event(dns.clone()))[0]["dns"].clone();
        assert_eq!(kept.as_str().map_or_else(|| kept.clone(), |text| serde_json::from_str(text).unwrap()), dns);
    }
    check(event(json!({"version": 3, "queries": []})), "SuricataDns_CL", &[("src_ip", json!("192.0.2.1"))]);
}

#[test]
fn a_call_fails_in_any_of_its_sessions() {
    let session = |reason: Option<&str>| {
        let failure = reason.map(|reason| json!({"reason": reason, "stage": "callSetup"}));
        json!({"id": "s", "startDateTime": "2026-06-01T10:00:00Z", "failureInfo": failure, "segments": []})
    };
    let call = |sessions: Vec<Value>| {
        json!({"id": "c", "type": "groupCall", "modalities": ["audio"], "startDateTime": "2026-06-01T10:00:00Z",
            "endDateTime": "2026-06-01T10:05:00Z", "sessions": sessions})
    };
    let check = |sessions: Vec<Value>, outcome: &str, reason: Option<&str>| {
        let row = &rows(&call(sessions))[0];
        assert_eq!(
            (row["Outcome"].as_str(), row.get("FailureReason").and_then(Value::as_str)),
            (Some(outcome), reason)
        );
    };
    check(vec![session(None), session(None)], "Success", None);
    check(vec![session(None), session(Some("busy"))], "PartlyFailed", Some("busy"));
    check(vec![session(Some("busy")), session(Some("timeout"))], "Failed", Some("busy"));
}

#[test]
fn a_stream_with_a_dead_clock_costs_itself_alone_and_all_its_durations_are_milliseconds() {
    let stream =
        |id: &str, begun: &str| json!({"streamId": id, "startDateTime": begun, "maxAudioNetworkJitter": "PT0.043S"});
    let call = json!({"id": "c", "type": "peerToPeer", "modalities": ["audio"], "startDateTime": "2026-06-01T10:00:00Z",
    "endDateTime": "2026-06-01T10:05:00Z", "sessions": [{"id": "s", "segments": [{"id": "g", "media": [{
        "label": "main-audio", "streams": [stream("1", "1970-01-01T00:00:00Z"), stream("2", "2026-06-01T10:00:01Z")]
    }]}]}]});
    let (rows, reasons, refused) = rows_and_refused(&call);
    assert_eq!(reasons, ["time_out_of_range"]);
    let streams: Vec<_> = rows.iter().filter(|row| row["Type"] == "CallQuality_CL").collect();
    assert_eq!(streams.len(), 1);
    check_row(
        streams[0],
        &[("StreamId", json!("2")), ("SessionId", json!("s")), ("MaxAudioNetworkJitter", json!("43.0"))],
    );
    // What was refused is a list of media with the ids of its call, its session and its segment.
    let (rows, ..) = rows_and_refused(&serde_json::from_str(&refused[0].replace("1970", "2026")).unwrap());
    check_row(
        &rows[0],
        &[("StreamId", json!("1")), ("CallId", json!("c")), ("SessionId", json!("s")), ("SegmentId", json!("g"))],
    );
}

#[test]
fn rows_that_name_their_table_have_the_class_of_its_records() {
    for (table, more, class) in [
        ("SigninLogs", json!({}), "control"),
        ("AWSCloudTrail", json!({"ReadOnly": true}), "data"),
        ("AWSCloudTrail", json!({"ReadOnly": false}), "control"),
        ("SecurityAlert", json!({}), "processed"),
        ("SecurityEvent", json!({"EventID": 4720}), "control"),
        ("SecurityEvent", json!({"EventID": 4688}), "data"),
        ("Syslog", json!({"Facility": "authpriv"}), "control"),
        ("Syslog", json!({"Facility": "mail"}), "data"),
        ("Heartbeat", json!({}), "data"),
    ] {
        let mut record = json!({"Type": table, "TimeGenerated": "2026-06-01T10:00:00Z"});
        record.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        check(record.clone(), table, &[("_Class", json!(class))]);
        let names: Vec<_> = record.as_object().unwrap().keys().cloned().collect();
        let values: Vec<_> = record.as_object().unwrap().values().map(|v| v.to_string().replace('"', "")).collect();
        let text = format!("{}\n{}\n", names.join(","), values.join(","));
        check_row(&decode("x.csv", text.as_bytes()).rows()[0], &[("Type", json!(table)), ("_Class", json!(class))]);
    }
}

#[test]
fn sysmon_for_linux_within_syslog_is_also_an_event() {
    let event = "<Event><System><Provider Name=\"Linux-Sysmon\" Guid=\"{ff032593-a8d3-4f13-b0d6-01fc615a0f97}\"/>\
<EventID>1</EventID><Version>5</Version><Level>4</Level><Task>1</Task><Opcode>0</Opcode><Keywords>0x8000000000000000</Keywords>\
<TimeCreated SystemTime=\"2026-06-01T10:00:00.399931000Z\"/><EventRecordID>7</EventRecordID><Correlation/>\
<Execution ProcessID=\"9\" ThreadID=\"9\"/><Channel>Linux-Sysmon/Operational</Channel><Computer>web1</Computer>\
<Security UserId=\"0\"/></System><EventData><Data Name=\"Image\">/usr/bin/id</Data><Data Name=\"User\">root</Data></EventData></Event>";
    let expected = [
        ("Type", json!("Event")),
        ("Source", json!("Linux-Sysmon")),
        ("EventID", json!(1)),
        ("Computer", json!("web1")),
        ("TimeGenerated", json!("2026-06-01T10:00:00.3999310Z")),
    ];
    let line = format!("<14>Jun  1 10:00:00 web1 sysmon: {event}\n");
    let whole = decode_pieces(Format::Syslog, options("x"), line.as_bytes(), 1 << 16);
    let rows = whole.rows();
    assert_eq!((rows.len(), whole.reasons()), (2, vec![]));
    check_row(
        &rows[0],
        &[("Type", json!("Syslog")), ("SyslogMessage", json!(event)), ("ProcessName", json!("sysmon"))],
    );
    check_row(&rows[1], &expected);
    check_row(&rows[1], &[("Image", json!("/usr/bin/id")), ("User", json!("root"))]);
    let exported = json!({"Type": "Syslog", "TimeGenerated": "2026-06-01T10:00:01Z", "SyslogMessage": event});
    check_row(&self::rows(&exported)[1], &expected);
    // Cut short, it is a message like any other.
    let line = format!("<14>Jun  1 10:00:00 web1 sysmon: {}\n", &event[..300]);
    let whole = decode_pieces(Format::Syslog, options("x"), line.as_bytes(), 1 << 16);
    assert_eq!((whole.num_rows(), whole.reasons()), (1, vec![]));
}

#[test]
fn linux_audit_has_the_same_columns_whoever_ships_it() {
    let record = json!({
        "Timestamp": "2026-06-01T10:00:00Z", "RecordType": "SYSCALL", "SerialNumber": 7, "Computer": "web1", "success": "no",
        "syscall": "execve", "pid": 12, "ppid": 1, "comm": "id", "exe": "/usr/bin/id", "cmdline": "id -u", "audit_user": "ann",
        "name": "/usr/bin/id", "key": "(null)", "auid": "1000", "ses": "3"
    });
    check(
        record,
        "LinuxAudit_CL",
        &[
            ("Serial", json!(7)),
            ("RecordTypes", json!("SYSCALL")),
            ("Result", json!("fail")),
            ("SyscallName", json!("execve")),
            ("ProcessId", json!(12)),
            ("ParentProcessId", json!(1)),
            ("ProcessName", json!("id")),
            ("Executable", json!("/usr/bin/id")),
            ("CommandLine", json!("id -u")),
            ("UserName", json!("ann")),
            ("FilePath", json!("/usr/bin/id")),
            ("Session", json!("3")),
            ("Shipper", json!("auoms")),
        ],
    );
}

#[test]
fn calls_of_asterisk_with_all_their_columns_name_the_calls_that_belong_together() {
    let fields = r#""","100","200","from-internal","""Ann"" <100>","PJSIP/100-1","PJSIP/200-2","Dial","x","2026-06-01 10:00:00","2026-06-01 10:00:03","2026-06-01 10:01:00","60","57","ANSWERED","DOCUMENTATION","1780308000.2","note","peer","1780308000.1","4""#;
    let whole = decode("Master.csv", format!("{fields}\n").as_bytes());
    assert_eq!(whole.reasons(), [""; 0]);
    check_row(
        &whole.rows()[0],
        &[
            ("Type", json!("CallDetailRecord_CL")),
            ("CallId", json!("1780308000.2")),
            ("UserField", json!("note")),
            ("PeerAccount", json!("peer")),
            ("LinkedId", json!("1780308000.1")),
        ],
    );
    assert_eq!(whole.rows()[0]["Sequence"].to_string().trim_matches('"'), "4");
}

#[test]
fn the_log_of_postgresql_as_separated_values_is_typed() {
    let text = "2026-06-01 10:00:00.123 UTC,\"shop\",\"orders\",812,\"192.0.2.7:50122\",6a1d5c20.32c,3,\"INSERT\",2026-06-01 09:59:00 UTC,4/12,777,ERROR,23505,\"duplicate key \"\"k\"\"\",\"Key (id)=(1)\nexists.\",,,,,\"insert into t\nvalues (1)\",13,\"_bt_check_unique, nbtinsert.c:666\",\"psql\",\"client backend\",,0\n\
2026-06-01 10:00:01.000 UTC,,,1,,6a1d5c20.1,1,,2026-06-01 09:59:00 UTC,,0,LOG,00000,\"ready\",,,,,,,,,\"\"\n";
    let whole = decode("postgresql-2026-06-01.csv", text.as_bytes());
    assert_eq!(whole.reasons(), [""; 0]);
    let rows = whole.rows();
    check_row(
        &rows[0],
        &[
            ("Type", json!("PostgreSqlLog_CL")),
            ("TimeGenerated", json!("2026-06-01T10:00:00.1230000Z")),
            ("SessionStart", json!("2026-06-01T09:59:00.0000000Z")),
            ("Severity", json!("ERROR")),
            ("SqlState", json!("23505")),
            ("Message", json!("duplicate key \"k\"")),
            ("Detail", json!("Key (id)=(1)\nexists.")),
            ("Statement", json!("insert into t\nvalues (1)")),
            ("CursorPosition", json!(13)),
            ("ClientHost", json!("192.0.2.7")),
            ("ClientPort", json!(50_122)),
            ("ProcessId", json!(812)),
            ("FunctionName", json!("_bt_check_unique")),
            ("SourceFile", json!("nbtinsert.c")),
            ("SourceLine", json!(666)),
            ("BackendType", json!("client backend")),
        ],
    );
    check_row(&rows[1], &[("Message", json!("ready")), ("Severity", json!("LOG"))]);
}

#[test]
fn levels_of_the_common_schema_are_numbers_too() {
    for record in [
        json!({"@timestamp": "2026-06-01T10:00:00Z", "message": "m", "log.level": "WARN", "ecs.version": "1.6.0"}),
        json!({"@timestamp": "2026-06-01T10:00:00Z", "message": "m", "log": {"level": "WARN"}, "ecs": {"version": "8"}}),
    ] {
        check(record.clone(), "AppTraces", &[("SeverityLevel", json!(2)), ("Message", json!("m"))]);
        assert_eq!(rows(&record)[0]["_Extra"]["SeverityText"], "WARN");
    }
}

#[test]
fn a_large_member_around_many_records_stands_in_the_row_of_the_first() {
    let record = json!({"timeUnixNano": "1780308000000000000", "body": {"stringValue": "x"}});
    let request = json!({"resourceLogs": [{
        "schemaUrl": "https://r", "other": "y".repeat(10_000), "scopeLogs": [{"logRecords": [record, record, record]}]
    }]});
    let rows = rows(&request);
    let has = |name: &str| rows.iter().filter(|row| row["_Extra"].get(name).is_some()).count();
    assert_eq!((rows.len(), has("ResourceSchemaUrl"), has("ResourceOther")), (3, 3, 1));
}
