"""Identifier and code systems that claims are made of."""

BASE = "https://chartloop.example/fhir"
PCN = f"{BASE}/pcn"
CLAIM_OF_ENCOUNTER = f"{BASE}/claim-of-encounter"
ISA13 = f"{BASE}/isa13"
PAYER_ID = f"{BASE}/payer-id"
MEMBER_ID = f"{BASE}/member-id"
CLAIM_RESPONSE = f"{BASE}/claim-response"
PAYMENT = f"{BASE}/payment"
TASK_CODE = f"{BASE}/CodeSystem/task"
TASK_INPUT = f"{BASE}/CodeSystem/task-input"
CHARGE_ITEM = f"{BASE}/StructureDefinition/charge-item"
CODED_NOTE = f"{BASE}/StructureDefinition/coded-note"
MODIFIER = f"{BASE}/StructureDefinition/modifier"
CONNECTION = f"{BASE}/CodeSystem/connection"
NPI = "http://hl7.org/fhir/sid/us-npi"
TIN = ("urn:oid:2.16.840.1.113883.4.4", "http://hl7.org/fhir/sid/us-ein")
ICD_10_CM = ("http://hl7.org/fhir/sid/icd-10-cm", "urn:oid:2.16.840.1.113883.6.90")
PROCEDURES = (
    "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets",
    "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets",
    "urn:oid:2.16.840.1.113883.6.285",
    "http://www.ama-assn.org/go/cpt",
    "urn:oid:2.16.840.1.113883.6.12",
)
TAXONOMY = ("http://nucc.org/provider-taxonomy", "urn:oid:2.16.840.1.113883.6.101")
PLACE_OF_SERVICE = "https://www.cms.gov/Medicare/Coding/place-of-service-codes/Place_of_Service_Code_Set"
ADJUDICATION = "http://terminology.hl7.org/CodeSystem/adjudication"
ADJUSTMENT_GROUP = "https://x12.org/codes/claim-adjustment-group-codes"
ADJUSTMENT_REASON = "https://x12.org/codes/claim-adjustment-reason-codes"
STATUS_CATEGORY = "https://x12.org/codes/claim-status-category-codes"
STATUS_CODE = "https://x12.org/codes/claim-status-codes"
ACKNOWLEDGMENT = f"{BASE}/CodeSystem/x12-acknowledgment"
CLAIM_TYPE = "http://terminology.hl7.org/CodeSystem/claim-type"
PAYMENT_TYPE = "http://terminology.hl7.org/CodeSystem/payment-type"
