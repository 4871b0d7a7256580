"""Who may see what, written a second time in plain Python: what the policies must amount to."""

from __future__ import annotations

import time
from collections.abc import Sequence

from chartloop.kernel.access.grants import FACTS, Grant
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
WATCH = {"operations-read", "operate"}
NEED = {"read": "r", "vread": "r", "search": "s", "history": "rs", "create": "c", "update": "u", "patch": "u", "delete": "d", "assign-id": "cu", "reindex": "cu", "audit-read": "rs", "dead-letters": "rs", "omop-read": "rs", "omop-text": "rs", "omop-lineage": "rs", "transaction": "", "batch": "", "relate": "", "consent": "", "operations-read": "rs", "operate": "u", "break-glass": "r", "disclose": "r", "send-telemetry": "c"}
OPEN_TO_PATIENT_SCOPES = {"Practitioner", "PractitionerRole", "Organization", "Location", "HealthcareService", "Endpoint", "Medication", "CodeSystem", "ConceptMap", "NamingSystem", "SearchParameter", "StructureDefinition", "ValueSet"}


def permitted(subject: Subject, action: str, row: RowAttributes, grants: Sequence[Grant] = ()) -> bool:
    """Decide one row."""
    true = {name for name in FACTS if fact(name, subject, row, grants)}
    return action in NEED and _by_role(subject, action, row, true) and not _closed(subject, action, row, true) and _by_scopes(subject, action, row)


KINDS = {"treated": 1, "brokenGlass": 2, "assigned": 3, "consentDenied": 4, "consented": 5, "restricted": 6, "selfPaid": 7}
LABEL = {1: "PSY", 2: "PSYTHPN", 3: "ETH", 4: "HIV", 5: "SDV", 6: "SEX", 7: "SUD", 9: "MH", 12: "STD"}
WIDER = {"ETREAT": "TREAT", "CLMATTCH": "HPAYMT", "BIORCH": "HRESCH"}


def fact(name: str, s: Subject, row: RowAttributes, grants: Sequence[Grant]) -> bool:
    """Look one attribute up, grant by grant."""
    for grant in grants:
        if grant.kind != KINDS[name] or not _about(grant, s, row):
            continue
        inside = [other for other in grants if (other.source, other.parent) == (grant.source, grant.node) and other.kind >= 4]
        if grant.kind < 4 or not any(_about(other, s, row) for other in inside):
            return True
    return False


def _about(grant: Grant, s: Subject, row: RowAttributes) -> bool:
    now = time.time() * 1_000_000
    if row.patient == "" or grant.patient != row.patient or now < grant.starts or now >= grant.ends:
        return False
    mine = s.user != "" and grant.actor == s.user
    if grant.kind == 1:
        return mine
    if grant.kind == 2:
        return mine and s.session != "" and (grant.session, grant.client) == (s.session, s.client)
    if grant.actor and grant.actor != s.user:
        return False
    if grant.purpose and grant.purpose not in (s.purpose, WIDER.get(s.purpose)):
        return False
    if grant.label and LABEL[grant.label] not in row.labels:
        return False
    return (not grant.type or grant.type == row.type) and (not grant.target or grant.target == row.id)


def _by_role(s: Subject, action: str, row: RowAttributes, true: set[str]) -> bool:
    look, put, kind = action in LOOK, action in PUT, row.type
    bundle = action in {"transaction", "batch"}
    own = s.patient != "" and row.patient == s.patient
    if look and kind in TERMINOLOGY and s.role not in NOBODY:
        return True
    match s.role:
        case "clinician" | "psychiatric-clinician":
            if action == "break-glass":
                return s.user != "" and kind == "Patient"
            if action == "relate":
                return kind in {"Encounter", "EpisodeOfCare", "CareTeam"} and (s.user == "" or "treated" in true)
            return bundle or (look and kind in CHART) or ((put or action == "create") and kind in VISIT | CLINICAL | NOTE | {"Provenance"})
        case "coder" | "behavioral-health-coder":
            return (look and kind in CHART | {"Task"}) or (put and kind == "Task")
        case "coding-engine":
            if action == "relate":
                return kind == "Task"
            return bundle or (look and kind in CHART | {"Task"}) or ((put or action == "create") and kind in {"Task", "Provenance", "Claim", "Condition"})
        case "billing-administrator":
            mine = s.user != "" and row.owner == s.user
            return (look and kind in MONEY | DIRECTORY | PEOPLE | VISIT | {"DocumentReference"}) or ((look or put) and kind == "Task" and mine)
        case "payer":
            if action == "disclose":
                return s.user != "" and row.patient != "" and (kind in {"Encounter", "ChargeItem"} or (kind == "Claim" and row.insurer == s.user))
            return look and kind in {"Claim", "ClaimResponse"} and s.user != "" and row.insurer == s.user
        case "patient":
            if action in {"create", "update", "consent"}:
                return own and kind == "Consent"
            if action == "send-telemetry":
                return own and kind == "Observation"
            return look and (kind in DIRECTORY or (own and kind in PEOPLE | VISIT | CLINICAL | NOTE | MONEY | {"Consent"}))
        case "claims-engine":
            seen = DIRECTORY | PEOPLE | VISIT | MONEY | {"Task", "Provenance", "Condition", "DocumentReference"}
            return bundle or (look and kind in seen) or ((put or action == "create") and kind in MONEY | {"Task", "Provenance"})
        case "integration-engine":
            feeds = DIRECTORY | PEOPLE | VISIT | CLINICAL | NOTE | {"Provenance", "Account", "ChargeItem", "Coverage"}
            return action == "relate" or bundle or ((look or put or action == "create") and kind in feeds)
        case "risk-engine":
            writes = (action in {"create", "update"} and kind in {"RiskAssessment", "Provenance"}) or (action == "assign-id" and kind == "RiskAssessment")
            return bundle or (look and kind in PEOPLE | VISIT | CLINICAL | {"Medication"}) or writes
        case "omop-bridge":
            return look and kind in DIRECTORY | PEOPLE | VISIT | CLINICAL | {"DocumentReference"}
        case "privacy-engine":
            return action in {"read", "search"} and kind in {"Patient", "Practitioner", "Encounter"}
        case "subscription-engine":
            return look and kind == "Subscription"
        case "system-operator":
            return kind == "operations" and action in WATCH
        case "operator":
            if action in {"dead-letters", "relate", "consent"}:
                return True
            if action in WATCH:
                return kind == "operations"
            return action not in {"audit-read", "break-glass", "disclose", "send-telemetry", *RESEARCH} and kind != "AuditEvent"
        case "privacy-engine":
            return action in {"read", "search"} and kind in {"Patient", "Practitioner", "Encounter"}
        case "auditor" | "privacy-officer":
            if s.role == "privacy-officer" and kind == "Consent":
                return look or action in {"create", "update", "consent"}
            return (kind == "AuditEvent" and (look or action == "audit-read")) or (kind == "omop" and action in RESEARCH - {"omop-text"})
        case "researcher":
            return kind == "omop" and action == "omop-read"
    return False


def _closed(s: Subject, action: str, row: RowAttributes, true: set[str]) -> bool:
    return _closed_by_grants(s, action, row, true) or _closed_by_labels(s, action, row, true)


def _closed_by_grants(s: Subject, action: str, row: RowAttributes, true: set[str]) -> bool:
    treats, look, change = s.role in {"clinician", "psychiatric-clinician"}, action in LOOK, action in PUT | {"delete"}
    mine, glass = s.user != "" and row.owner == s.user, "brokenGlass" in true
    if treats and s.user and (look or change or action == "create") and row.type not in DIRECTORY | TERMINOLOGY | {"Patient"} and not ("treated" in true or glass or (mine and look)):
        return True
    if s.role in {"coder", "behavioral-health-coder"} and s.user and look and row.type in NOTE and "assigned" not in true:
        return True
    inside = s.role in {"integration-engine", "coding-engine", "claims-engine"}
    if true & {"consentDenied", "restricted"} and not glass and not inside:
        own = s.role == "patient" and s.patient != "" and row.patient == s.patient
        found = (treats and row.type == "Patient") or (s.role == "privacy-officer" and row.type == "Consent")
        if look and not (own or found):
            return True
        if change and not (row.type == "Consent" or s.role == "operator"):
            return True
    if s.role == "payer" and (look or action == "disclose"):
        return bool(true & {"selfPaid", "restricted", "consentDenied"}) or (bool(row.labels & {"ETH", "SUD", "ETHUD", "OPIOIDUD"}) and "consented" not in true)
    return False


def _closed_by_labels(s: Subject, action: str, row: RowAttributes, true: set[str]) -> bool:
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
    glass = "brokenGlass" in true and s.role in {"clinician", "psychiatric-clinician"}
    mild = "treated" in true and s.role in {"clinician", "psychiatric-clinician"} and row.labels <= {"SEX", "STD"}
    return not (trusted or bills or own or glass or mild or (s.role == "payer" and money))


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
