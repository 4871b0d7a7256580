"""What came along is used, asked for again, or refused."""

import pytest

from cds_hooks.prefetch import read_prefetch
from cds_hooks.request import decode
from chartloop.kernel.errors import Invalid
from tests.unit.cds_hooks.samples import FHIR, OUTCOME, RISK, authorization, bundle, call, encoded, risk


def prefetched(prefetch, **more):
    return read_prefetch(decode(encoded(call(prefetch=prefetch, **more)), "patient-view"))


@pytest.mark.parametrize(
    ("prefetch", "ids", "whole"),
    [
        (None, [], False),
        ({}, [], False),
        ({"patient": None}, [], False),
        ({"risk": None}, [], True),
        ({"risk": OUTCOME}, [], False),
        ({"risk": bundle()}, [], True),
        ({"risk": {"resourceType": "Bundle", "type": "searchset", "total": 0}}, [], True),
        ({"risk": bundle(RISK)}, ["r1"], True),
        ({"risk": bundle(RISK, OUTCOME)}, ["r1"], False),
        ({"risk": bundle(RISK, {"resourceType": "OperationOutcome", "issue": [{"severity": "warning", "code": "informational"}]})}, ["r1"], True),
        ({"risk": bundle(RISK, following=True)}, ["r1"], False),
        ({"risk": bundle(RISK), "patient": OUTCOME}, ["r1"], True),
        ({"risk": bundle(RISK, {"resourceType": "Patient", "id": "p1"})}, ["r1"], True),
        ({"risk": bundle(RISK), "unasked": {"resourceType": "Patient", "id": "p9"}}, ["r1"], True),
    ],
)
@pytest.mark.conformance("CDS Hooks 2.0", "@37-52: a missing key, null, an OperationOutcome and a paginated Bundle each mean what the standard says")
def test_each_kind_of_prefetch(prefetch, ids, whole):
    found = prefetched(prefetch)
    assert ([resource["id"] for _, resource in found.assessments], found.whole) == (ids, whole)


@pytest.mark.parametrize(
    ("prefetch", "path"),
    [
        ({"risk": []}, "prefetch.risk"),
        ({"risk": RISK}, "prefetch.risk.resourceType"),
        ({"risk": {"resourceType": "Bundle", "entry": {}}}, "prefetch.risk.entry"),
        ({"risk": {"resourceType": "Bundle", "entry": ["x"]}}, "prefetch.risk.entry[0]"),
        ({"risk": {"resourceType": "Bundle", "entry": [{"resource": 4}]}}, "prefetch.risk.entry[0].resource"),
        ({"risk": bundle(RISK, risk(subject=None))}, "prefetch.risk.entry[1].resource.subject"),
        ({"risk": bundle(risk(subject={"display": "p1"}))}, "prefetch.risk.entry[0].resource.subject.reference"),
        ({"risk": bundle(risk(subject={"reference": "Patient/p2"}))}, "prefetch.risk.entry[0].resource.subject.reference"),
        ({"risk": bundle(risk(subject={"reference": "Group/p1"}))}, "prefetch.risk.entry[0].resource.subject.reference"),
        ({"risk": bundle(risk(subject={"reference": "https://elsewhere.example/fhir/Patient/p1"}))}, "prefetch.risk.entry[0].resource.subject.reference"),
        ({"patient": {"resourceType": "Practitioner", "id": "p1"}}, "prefetch.patient.resourceType"),
        ({"patient": {"resourceType": "Patient", "id": "p2"}}, "prefetch.patient.id"),
    ],
)
@pytest.mark.conformance("Attacks", "60: a prefetched resource of another patient than the one in context, or of a wrong shape, is refused with its path")
def test_what_is_foreign_or_misshapen_is_refused(prefetch, path):
    with pytest.raises(Invalid) as refused:
        prefetched(prefetch)
    assert path in [issue.expression for issue in refused.value.issues]


@pytest.mark.parametrize("reference", ["Patient/p1", f"{FHIR}/Patient/p1", "Patient/p1/_history/2"])
def test_a_subject_may_be_written_in_full_below_the_fhir_server_of_the_call(reference):
    found = prefetched({"risk": bundle(risk(subject={"reference": reference}))}, fhirServer=FHIR, fhirAuthorization=authorization("t"))
    assert len(found.assessments) == 1


@pytest.mark.parametrize(("more", "deceased"), [({}, False), ({"deceasedBoolean": False}, False), ({"deceasedBoolean": True}, True), ({"deceasedDateTime": "2026-01-01"}, True)])
def test_a_patient_who_died_is_noticed(more, deceased):
    assert prefetched({"patient": {"resourceType": "Patient", "id": "p1", **more}}).deceased is deceased


@pytest.mark.parametrize(
    ("address", "subject", "found"),
    [
        (f"{FHIR}/RiskAssessment/r1", f"{FHIR}/Patient/p1", True),
        (f"{FHIR}/RiskAssessment/r1", f"{FHIR}/Patient/p1/_history/2", True),
        (f"{FHIR}/RiskAssessment/r1", f"{FHIR}/Patient/p2", False),
        (f"{FHIR}/RiskAssessment/r1", "https://elsewhere.example/fhir/Patient/p1", False),
        (f"{FHIR}/RiskAssessment/r2", f"{FHIR}/Patient/p1", False),
        ("urn:uuid:d1577c69-dfbe-44ad-ba6d-3e05e953b2ea", f"{FHIR}/Patient/p1", False),
        (7, f"{FHIR}/Patient/p1", False),
    ],
)
def test_without_a_fhir_server_a_reference_in_full_is_of_the_server_that_the_entry_is_of(address, subject, found):
    searched = {"resourceType": "Bundle", "type": "searchset", "entry": [{"fullUrl": address, "resource": risk(subject={"reference": subject})}]}
    if found:
        assert len(prefetched({"risk": searched}).assessments) == 1
    else:
        with pytest.raises(Invalid):
            prefetched({"risk": searched})
