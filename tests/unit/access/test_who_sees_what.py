"""The cases that decided the design, as a table: role, action, row, answer."""

from __future__ import annotations

import pytest

from chartloop.kernel.access.engine import Access
from chartloop.kernel.access.engines import engine_subject
from chartloop.kernel.access.rows import NOTHING, RowAttributes
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.access.subject import Subject

ACCESS = Access()
ALL = ("system/*.cruds",)


def row(type_: str, *labels: str, patient: str = "Patient/1", owner: str = "", insurer: str = "") -> RowAttributes:
    return RowAttributes(type_, frozenset(labels), patient, owner, insurer)


def scope(role: str, action: str = "read", *, user: str = "Practitioner/1", patient: str = "", scopes: tuple[str, ...] = ALL) -> Scope:
    return Scope(Subject("someone", role, user, patient, scopes), action)


@pytest.mark.conformance("Access", "a labelled row does not exist for roles that need not know")
@pytest.mark.parametrize("label", ["PSY", "PSYTHPN", "ETH", "HIV", "SDV"])
@pytest.mark.parametrize("role", ["clinician", "coder", "billing-administrator", "researcher", "operator", "payer", "privacy-officer", "auditor", "risk-engine", "omop-bridge"])
@pytest.mark.parametrize("type_", ["DocumentReference", "Binary", "Composition", "DiagnosticReport", "Observation", "Condition", "Task", "Provenance"])
def test_a_labelled_row_does_not_exist_for_those_who_need_not_know(role, type_, label):
    assert not ACCESS.decides(scope(role), row(type_, label))


@pytest.mark.conformance("Access", "what codes and searches mean is read by every role, and written by the operator alone")
@pytest.mark.parametrize("type_", ["ValueSet", "CodeSystem", "ConceptMap", "NamingSystem", "SearchParameter", "StructureDefinition"])
def test_terminology_is_read_by_every_role(type_):
    kept = row(type_, patient="")
    assert [role for role in ACCESS.policies.roles if not ACCESS.decides(scope(role, "search"), kept)] == []
    assert [role for role in ACCESS.policies.roles if ACCESS.decides(scope(role, "update"), kept) or ACCESS.decides(scope(role, "create"), kept)] == ["operator"]
    assert not ACCESS.decides(scope("clinician"), row(type_, "PSY", patient=""))
    assert ACCESS.decides(scope("patient", patient="Patient/1", scopes=("patient/*.rs",)), kept)
    assert not ACCESS.decides(scope("patient", patient="Patient/1", scopes=("patient/Observation.rs",)), kept)
    assert not ACCESS.decides(scope("nobody"), kept)


@pytest.mark.conformance("Access", "who treats or codes psychiatry reads the note whole")
@pytest.mark.parametrize("role", ["psychiatric-clinician", "behavioral-health-coder", "coding-engine"])
def test_who_treats_or_codes_psychiatry_reads_the_note_whole(role):
    reading = scope(role, user="")  # of a person with a name more is asked: test_care.py
    assert ACCESS.decides(reading, row("DocumentReference", "PSY"))
    assert ACCESS.elements(reading, row("DocumentReference", "PSY")) is None


def test_the_omop_engine_sees_that_a_note_exists_and_not_a_word_of_it():
    omop = scope("omop-bridge")
    assert ACCESS.decides(omop, row("DocumentReference"))
    allowed = ACCESS.elements(omop, row("DocumentReference"))
    assert allowed is not None
    assert "content.attachment.data" not in allowed
    assert not [path for path in allowed if path.split(".")[-1] in {"text", "display", "description", "title", "data", "url"}]
    assert not ACCESS.decides(omop, row("Binary"))
    assert not ACCESS.decides(omop, row("Composition"))


@pytest.mark.conformance("Access", "a psychotherapy note is for its author alone")
def test_a_psychotherapy_note_is_for_its_author_alone():
    note = row("DocumentReference", "PSYTHPN", owner="Practitioner/7")
    assert ACCESS.decides(scope("psychiatric-clinician", user="Practitioner/7"), note)
    assert not ACCESS.decides(scope("psychiatric-clinician", user="Practitioner/8"), note)
    assert not ACCESS.decides(scope("behavioral-health-coder"), note)
    assert not ACCESS.decides(scope("coding-engine"), note)
    assert not ACCESS.decides(scope("patient", user="Patient/1", patient="Patient/1"), note)


@pytest.mark.conformance("The loop", "6 Access: labels hide narrative, never claim codes")
@pytest.mark.conformance("Attacks", "24: billing reads codes and amounts of a labelled Claim, and none of its words")
@pytest.mark.parametrize("type_", ["Claim", "ChargeItem", "Coverage", "ClaimResponse", "PaymentReconciliation"])
def test_the_billing_administrator_reads_the_codes_of_a_labelled_claim_and_no_words(type_):
    billing = scope("billing-administrator")
    assert ACCESS.decides(billing, row(type_, "PSY"))
    allowed = ACCESS.elements(billing, row(type_, "PSY"))
    assert allowed is not None
    assert "status" in allowed
    assert not [path for path in allowed if path.split(".")[-1] in {"text", "note", "display", "extension", "valueString", "valueAttachment", "disposition"}]
    assert ACCESS.elements(billing, row(type_)) is None


@pytest.mark.conformance("The loop", "6 Access: labels hide narrative, never claim codes")
def test_a_labelled_claim_keeps_its_diagnosis_codes():
    allowed = ACCESS.elements(scope("billing-administrator"), row("Claim", "PSY"))
    assert allowed is not None
    assert {"diagnosis.sequence", "diagnosis.diagnosisCodeableConcept.coding.code", "item.productOrService.coding.code", "total"} <= allowed
    assert "supportingInfo.valueString" not in allowed


def test_the_billing_administrator_may_search_notes_and_finds_the_unlabelled_ones_without_their_text():
    billing = scope("billing-administrator", "search")
    assert ACCESS.permits(billing, "DocumentReference")
    assert "resource_label" in ACCESS.row_filter(billing, "DocumentReference").sql
    allowed = ACCESS.elements(billing, row("DocumentReference"))
    assert allowed is not None
    assert not [path for path in allowed if path.startswith(("text", "description", "content.attachment.data", "content.attachment.title", "content.attachment.url"))]


@pytest.mark.conformance("Access", "who may not see an element may not search on it")
@pytest.mark.conformance("Attacks", "12: search on a hidden element is refused")
def test_who_may_not_see_an_element_may_not_search_on_it():
    billing = scope("billing-administrator", "search")
    assert ACCESS.searchable(billing, "DocumentReference", ["DocumentReference.subject"])
    assert ACCESS.searchable(billing, "DocumentReference", ["DocumentReference.context.encounter.where(resolve() is Encounter)"])
    assert not ACCESS.searchable(billing, "DocumentReference", ["DocumentReference.description"])
    assert not ACCESS.searchable(billing, "DocumentReference", [])
    assert not ACCESS.searchable(billing, "Encounter", ["Encounter.reasonCode"])
    assert ACCESS.searchable(billing, "Claim", ["Claim.patient"])
    assert ACCESS.searchable(billing, "Claim", ["Claim.identifier"])
    assert not ACCESS.searchable(scope("researcher", "search"), "Claim", ["Claim.patient"])


@pytest.mark.conformance("Access", "a researcher reads the OMOP tables; who answers for privacy sees where a row came from; the chart's people see neither")
@pytest.mark.parametrize(
    ("role", "expected"),
    [("researcher", {"omop-read"}), ("privacy-officer", {"omop-read", "omop-lineage"}), ("auditor", {"omop-read", "omop-lineage"})]
    + [(role, set()) for role in ("clinician", "coder", "billing-administrator", "operator", "patient", "payer", "omop-bridge")],
)
def test_the_research_database_has_readers_of_its_own(role, expected):
    row = RowAttributes("omop", frozenset(), "", "", "")
    assert {action for action in ("omop-read", "omop-text", "omop-lineage") if ACCESS.decides(scope(role, action), row)} == expected


@pytest.mark.conformance("Attacks", "70: a researcher has no right to the live chart")
@pytest.mark.conformance("Access", "a researcher has no right to the live chart")
def test_a_researcher_has_no_right_to_the_live_chart():
    of_the_chart = [type_ for type_, group in ACCESS.policies.groups.items() if "terminology" not in group]
    assert not any(ACCESS.permits(scope("researcher", action), type_) for action in ACCESS.policies.actions for type_ in of_the_chart)


@pytest.mark.conformance("Access", "a payer sees its own claims only")
def test_a_payer_sees_its_own_claims_only():
    payer = scope("payer", user="Organization/9")
    assert ACCESS.decides(payer, row("Claim", insurer="Organization/9"))
    assert not ACCESS.decides(payer, row("Claim", insurer="Organization/8"))
    assert not ACCESS.decides(scope("payer", user=""), row("Claim"))
    assert not ACCESS.permits(payer, "Patient")
    assert "diagnosis.sequence" in (ACCESS.elements(payer, row("Claim", "PSY", insurer="Organization/9")) or ())


@pytest.mark.conformance("Access", "a patient reads the own record alone, also where it is labelled")
@pytest.mark.conformance("Attacks", "20: a subject without a patient sees no rows, not all")
def test_a_patient_reads_the_own_record_even_where_it_is_labelled():
    patient = scope("patient", user="Patient/1", patient="Patient/1")
    assert ACCESS.decides(patient, row("DocumentReference", "PSY"))
    assert not ACCESS.decides(patient, row("DocumentReference", patient="Patient/2"))
    assert not ACCESS.decides(scope("patient", user="", patient=""), row("DocumentReference", patient=""))


@pytest.mark.conformance("Access", "a coder completes reviews and touches no Claim")
def test_a_coder_completes_a_review_and_touches_no_claim():
    assert ACCESS.decides(scope("coder", "update"), row("Task"))
    assert not ACCESS.decides(scope("coder", "update"), row("Task", "PSY"))
    assert not ACCESS.permits(scope("coder", "update"), "Claim")
    assert ACCESS.decides(scope("behavioral-health-coder", "update"), row("Task", "PSY"))


@pytest.mark.conformance("Access", "intake finds its labelled note again and reads nothing of it")
def test_intake_recognises_its_labelled_note_and_reads_nothing_of_it():
    intake = scope("integration-engine", "search")
    assert ACCESS.decides(scope("integration-engine", "create"), row("DocumentReference", "PSY"))
    assert ACCESS.decides(intake, row("DocumentReference", "PSY"))
    allowed = ACCESS.elements(intake, row("DocumentReference", "PSY"))
    assert allowed is not None
    assert not [path for path in allowed if path.startswith(("content", "text", "type", "description"))]
    assert ACCESS.elements(intake, row("Encounter", "PSY")) is None
    assert ACCESS.searchable(intake, "DocumentReference", ["DocumentReference.identifier"])


@pytest.mark.conformance("Access", "the operator writes anything, assigns ids and reads no labelled narrative")
def test_the_operator_writes_anything_assigns_ids_and_reads_no_labelled_row():
    assert ACCESS.decides(scope("operator", "create"), row("DocumentReference", "PSY"))
    assert ACCESS.decides(scope("operator", "update"), row("DocumentReference", "PSY"))
    assert ACCESS.permits(scope("operator", "assign-id"), "Patient")
    assert ACCESS.permits(scope("operator", "dead-letters"), "Task")
    assert not ACCESS.decides(scope("operator"), row("Claim", "PSY"))
    assert not ACCESS.permits(scope("operator"), "AuditEvent")
    assert ACCESS.permits(scope("operator"), "StructureMap")


@pytest.mark.conformance("Access", "only the operator may assign ids")
def test_only_the_operator_may_assign_ids():
    may = {role for role in ACCESS.policies.roles if ACCESS.permits(scope(role, "assign-id"), "Patient")}
    assert may == {"operator"}


@pytest.mark.conformance("Access", "the audit log has readers of its own and is written by nobody through the API")
@pytest.mark.conformance("Attacks", "51: no role may create, update or delete AuditEvents")
def test_the_audit_log_has_readers_of_its_own():
    may = {role for role in ACCESS.policies.roles if ACCESS.permits(scope(role, "audit-read"), "AuditEvent")}
    assert may == {"auditor", "privacy-officer"}
    assert not any(ACCESS.permits(scope(role, action), "AuditEvent") for role in ACCESS.policies.roles for action in ("create", "update", "delete"))


@pytest.mark.conformance("Access", "the claims engine knows that a note exists and does not read it")
def test_the_claims_engine_knows_that_a_note_exists_and_does_not_read_it():
    claims = Scope(engine_subject(ACCESS.policies, "claims"), "search")
    assert ACCESS.decides(claims, row("DocumentReference", "PSY"))
    assert "content.attachment.data" not in (ACCESS.elements(claims, row("DocumentReference", "PSY")) or ("content.attachment.data",))
    assert ACCESS.elements(claims, row("Claim", "PSY")) is None
    assert ACCESS.elements(Scope(claims.subject, "update"), row("Claim", "PSY")) is None


def test_every_engine_has_a_role_and_system_scopes():
    for name in ACCESS.policies.engines:
        subject = engine_subject(ACCESS.policies, name)
        assert subject.role in ACCESS.policies.roles
        assert subject.id == f"engine:{name}"
        assert subject.scopes == ("system/*.cruds",)


@pytest.mark.conformance("The loop", "6 Access: the default is deny")
@pytest.mark.parametrize(("role", "action"), [("", "read"), ("nobody", "read"), ("coder", ""), ("coder", "unheard-of"), ('coder"', "read")])
def test_an_unknown_role_or_action_is_denied(role, action):
    assert not ACCESS.permits(scope(role, action), "Claim")
    assert not ACCESS.decides(scope(role, action), row("Claim"))
    assert ACCESS.row_filter(scope(role, action), "Claim") == NOTHING


@pytest.mark.conformance("Attacks", "20: no scope grants nothing and a scope never widens")
@pytest.mark.conformance("SMART App Launch 2.2", "SMART-2.2.0@95: a token without a covering scope opens nothing")
@pytest.mark.conformance("SMART App Launch 2.2", "SMART-2.2.0@119: policies decide even where a granted scope is wider")
def test_no_scope_grants_nothing_and_a_scope_never_widens():
    assert ACCESS.row_filter(scope("coder", scopes=()), "Task") == NOTHING
    assert not ACCESS.decides(scope("coder", scopes=()), row("Task"))
    assert not ACCESS.permits(scope("coder", "update", scopes=("user/Task.rs",)), "Task")
    assert not ACCESS.permits(scope("coder", scopes=("system/*.cruds", "user/Subscription.cruds")), "Subscription")


@pytest.mark.conformance("SMART App Launch 2.2", "SMART-2.2.0@136: patient scopes open one patient's data alone")
def test_a_patient_scope_narrows_to_the_patient_in_context():
    narrowed = scope("psychiatric-clinician", "search", user="", patient="Patient/1", scopes=("patient/*.rs",))
    assert "Patient/1" not in ACCESS.row_filter(scope("psychiatric-clinician", "search", user=""), "Claim").params
    assert "Patient/1" in ACCESS.row_filter(narrowed, "Claim").params
    assert not ACCESS.decides(narrowed, row("Claim", patient="Patient/2"))
    assert ACCESS.decides(narrowed, row("Practitioner", patient=""))
    assert not ACCESS.permits(scope("clinician", "search", patient="", scopes=("patient/*.rs",)), "Claim")


@pytest.mark.conformance("Access", "a value of the subject is a parameter and never SQL")
def test_a_value_of_the_subject_is_a_parameter_and_never_sql():
    hostile = "Practitioner/1' OR '1'='1"
    condition = ACCESS.row_filter(scope("billing-administrator", user=hostile), "Task")
    assert hostile not in condition.sql
    assert hostile in condition.params


def test_the_reasons_of_a_decision_are_named():
    assert ACCESS.explain(scope("coder"), row("Task")) == ("coders-read-what-coding-needs",)
    assert ACCESS.explain(scope("coder"), row("Task", "PSY")) == ()
