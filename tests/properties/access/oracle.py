"""Who may see what, written a second time in plain Python: what the policies must amount to."""

from __future__ import annotations

from chartloop.kernel.access.rows import RowAttributes
from chartloop.kernel.access.subject import Subject

DIRECTORY = {"Practitioner", "PractitionerRole", "Organization", "OrganizationAffiliation", "Location", "HealthcareService", "Endpoint", "Medication", "Substance", "InsurancePlan", "Schedule", "Slot"}
PEOPLE = {"Patient", "RelatedPerson"}
VISIT = {"Encounter", "EpisodeOfCare", "Appointment"}
CLINICAL = {
    "AllergyIntolerance", "CarePlan", "CareTeam", "ClinicalImpression", "Communication", "Condition", "DetectedIssue", "Device", "DiagnosticReport",
    "FamilyMemberHistory", "Flag", "Goal", "ImagingStudy", "Immunization", "List", "MedicationAdministration", "MedicationDispense", "MedicationRequest",
    "MedicationStatement", "NutritionOrder", "Observation", "Procedure", "QuestionnaireResponse", "RiskAssessment", "ServiceRequest", "Specimen",
    "SupplyDelivery", "SupplyRequest",
}  # fmt: skip
NOTE = {"DocumentReference", "Binary", "Composition", "DocumentManifest", "Media"}
MONEY = {
    "Account", "ChargeItem", "Claim", "ClaimResponse", "Coverage", "CoverageEligibilityRequest", "CoverageEligibilityResponse", "ExplanationOfBenefit",
    "Invoice", "PaymentNotice", "PaymentReconciliation",
}  # fmt: skip
CHART = DIRECTORY | PEOPLE | VISIT | CLINICAL | NOTE | MONEY | {"Provenance"}
TERMINOLOGY = {
    "CapabilityStatement", "CodeSystem", "CompartmentDefinition", "ConceptMap", "ImplementationGuide", "NamingSystem", "OperationDefinition", "SearchParameter",
    "StructureDefinition", "StructureMap", "TerminologyCapabilities", "ValueSet",
}  # fmt: skip
NOBODY = {"", "nobody"}
LOOK = {"read", "vread", "search", "history"}
PUT = {"update", "patch"}
RESEARCH = {"omop-read", "omop-text", "omop-lineage"}
NEED = {"read": "r", "vread": "r", "search": "s", "history": "rs", "create": "c", "update": "u", "patch": "u", "delete": "d", "assign-id": "cu", "reindex": "cu", "audit-read": "rs", "dead-letters": "rs", "omop-read": "rs", "omop-text": "rs", "omop-lineage": "rs", "transaction": "", "batch": ""}
OPEN_TO_PATIENT_SCOPES = {"Practitioner", "PractitionerRole", "Organization", "Location", "HealthcareService", "Endpoint", "Medication", "CodeSystem", "ConceptMap", "NamingSystem", "SearchParameter", "StructureDefinition", "ValueSet"}


def permitted(subject: Subject, action: str, row: RowAttributes) -> bool:
    """Decide one row."""
    return action in NEED and _by_role(subject, action, row) and not _closed(subject, action, row) and _by_scopes(subject, action, row)


def _by_role(s: Subject, action: str, row: RowAttributes) -> bool:
    look, put, kind = action in LOOK, action in PUT, row.type
    bundle = action in {"transaction", "batch"}
    own = s.patient != "" and row.patient == s.patient
    if look and kind in TERMINOLOGY and s.role not in NOBODY:
        return True
    match s.role:
        case "clinician" | "psychiatric-clinician":
            return bundle or (look and kind in CHART) or ((put or action == "create") and kind in VISIT | CLINICAL | NOTE | {"Provenance"})
        case "coder" | "behavioral-health-coder":
            return (look and kind in CHART | {"Task"}) or (put and kind == "Task")
        case "coding-engine":
            return bundle or (look and kind in CHART | {"Task"}) or ((put or action == "create") and kind in {"Task", "Provenance", "Claim", "Condition"})
        case "billing-administrator":
            mine = s.user != "" and row.owner == s.user
            return (look and kind in MONEY | DIRECTORY | PEOPLE | VISIT | {"DocumentReference"}) or ((look or put) and kind == "Task" and mine)
        case "payer":
            return look and kind in {"Claim", "ClaimResponse"} and s.user != "" and row.insurer == s.user
        case "patient":
            return look and (kind in DIRECTORY or (own and kind in PEOPLE | VISIT | CLINICAL | NOTE | MONEY | {"Consent"}))
        case "claims-engine":
            seen = DIRECTORY | PEOPLE | VISIT | MONEY | {"Task", "Provenance", "Condition", "DocumentReference"}
            return bundle or (look and kind in seen) or ((put or action == "create") and kind in MONEY | {"Task", "Provenance"})
        case "integration-engine":
            feeds = DIRECTORY | PEOPLE | VISIT | CLINICAL | NOTE | {"Provenance", "Account", "ChargeItem", "Coverage"}
            return bundle or ((look or put or action == "create") and kind in feeds)
        case "risk-engine":
            writes = (action in {"create", "update"} and kind in {"RiskAssessment", "Provenance"}) or (action == "assign-id" and kind == "RiskAssessment")
            return bundle or (look and kind in PEOPLE | VISIT | CLINICAL | {"Medication"}) or writes
        case "omop-bridge":
            return look and kind in DIRECTORY | PEOPLE | VISIT | CLINICAL | {"DocumentReference"}
        case "privacy-engine":
            return action in {"read", "search"} and kind in {"Patient", "Practitioner", "Encounter"}
        case "subscription-engine":
            return look and kind == "Subscription"
        case "operator":
            return action == "dead-letters" or (action not in {"audit-read", *RESEARCH} and kind != "AuditEvent")
        case "auditor" | "privacy-officer":
            return (kind == "AuditEvent" and (look or action == "audit-read")) or (kind == "omop" and action in RESEARCH - {"omop-text"})
        case "researcher":
            return kind == "omop" and action == "omop-read"
    return False


def _closed(s: Subject, action: str, row: RowAttributes) -> bool:
    if not row.labels or action not in LOOK | PUT | {"delete"}:
        return False
    if "PSYTHPN" in row.labels and row.type not in MONEY and not (s.user and row.owner == s.user) and s.role not in {"integration-engine", "operator"}:
        return True
    if s.role == "operator":
        return action in LOOK
    money = row.type in MONEY
    trusted = s.role in {"psychiatric-clinician", "behavioral-health-coder", "coding-engine", "claims-engine", "integration-engine"}
    bills = s.role == "billing-administrator" and (money or row.type in {"Encounter", "Patient"})
    own = s.role == "patient" and s.patient != "" and row.patient == s.patient
    return not (trusted or bills or own or (s.role == "payer" and money))


def _by_scopes(s: Subject, action: str, row: RowAttributes) -> bool:
    scopes = [text for text in s.scopes if "/" in text and "." in text]
    return bool(scopes) and all(any(_grants(text, letter, s, row) for text in scopes) for letter in NEED[action])


def _grants(text: str, letter: str, s: Subject, row: RowAttributes) -> bool:
    context, rest = text.split("/")
    kind, letters = rest.split(".")
    letters = {"read": "rs", "write": "cud", "*": "cruds"}.get(letters, letters)
    if "?" in letters or letter not in letters or kind not in {"*", row.type}:
        return False
    return context != "patient" or row.type in OPEN_TO_PATIENT_SCOPES or (s.patient != "" and row.patient == s.patient)
