"""Consents as grants: literal Consents in, who is denied and permitted out; what is not understood denies."""

from __future__ import annotations

from typing import Any

import pytest

from chartloop.kernel.access.grants import DENIAL, FOREVER, PERMISSION, RESTRICTION, SELF_PAID, Grant, facts
from chartloop.kernel.access.labels import LABELS
from chartloop.kernel.access.purposes import SYSTEM as REASON
from chartloop.kernel.access.rows import RowAttributes
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.clock import FakeClock
from fhir_server.granting.consents import MOST, Compiled, compile_consent
from fhir_server.indexing.dates import date_bounds

BASE = "http://127.0.0.1:8080/fhir"
CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
POLICY = "http://terminology.hl7.org/CodeSystem/consentpolicycodes"
TYPES = "http://hl7.org/fhir/resource-types"
SCOPE = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]}
ADA, JON = {"reference": {"reference": "Practitioner/ada"}}, {"reference": {"reference": "Practitioner/jon"}}
PAYER = {"reference": {"reference": "Organization/9"}}


def consent(provision: dict[str, Any] | None = None, *, rule: str = "", **more: Any) -> dict[str, Any]:
    said: dict[str, Any] = {
        "resourceType": "Consent", "id": "c", "status": "active", "scope": SCOPE, "patient": {"reference": "Patient/1"},
        "performer": [{"reference": "Patient/1"}],
    }  # fmt: skip
    if provision is not None:
        said["provision"] = provision
    if rule:
        said["policyRule"] = {"coding": [{"system": POLICY, "code": rule}]}
    return {**said, **more}


def made(resource: dict[str, Any]) -> Compiled:
    return compile_consent(resource, "Patient/1", BASE)


def code(value: str, system: str = CODE) -> dict[str, str]:
    return {"system": system, "code": value}


def asked(compiled: Compiled, now: int = 1_000, *, user: str = "Practitioner/ada", purpose: str = "TREAT", type_: str = "Observation", labels: tuple[str, ...] = (), id_: str = "1") -> set[str]:
    """What one request finds: consentDenied, consented …"""
    row = RowAttributes(type_, frozenset(labels), "Patient/1", "", "", id_)
    subject = Subject("x", "clinician", user, purpose=purpose)
    named = [grant._replace(source="Consent/c") for grant in compiled.grants]
    return set(facts(("consentDenied", "consented", "restricted", "selfPaid"), subject, row, named, now))


@pytest.mark.conformance("Access", "consent: a denial names actors, purposes, labels, types, resources and a period, or none of them")
@pytest.mark.parametrize(
    ("provision", "denied", "free"),
    [
        ({"type": "deny"}, [{}, {"user": ""}, {"purpose": "HRESCH"}], []),
        ({"type": "deny", "actor": [{**ADA, "role": {"text": "x"}}]}, [{}], [{"user": "Practitioner/jon"}]),
        ({"type": "deny", "purpose": [code("HRESCH", REASON)]}, [{"purpose": "HRESCH"}, {"purpose": "BIORCH"}], [{}, {"purpose": "HPAYMT"}]),
        ({"type": "deny", "securityLabel": [code("PSY")]}, [{"labels": ("PSY", "HIV")}], [{}, {"labels": ("HIV",)}]),
        ({"type": "deny", "securityLabel": [code("42CFRPart2")]}, [{"labels": ("ETH",)}, {"labels": ("SUD",)}], [{"labels": ("PSY",)}]),
        ({"type": "deny", "class": [code("Condition", TYPES)]}, [{"type_": "Condition"}], [{}]),
        ({"type": "deny", "data": [{"meaning": "instance", "reference": {"reference": "Observation/7"}}]}, [{"id_": "7"}], [{}, {"type_": "Condition", "id_": "7"}]),
        ({"type": "deny", "action": [{"coding": [{"code": "collect"}]}]}, [], [{}]),
        ({"type": "deny", "action": [{"coding": [{"code": "disclose"}]}]}, [{}], []),
        # a provision inside takes back, and one inside that takes back again
        ({"type": "deny", "provision": [{"type": "permit", "actor": [ADA]}]}, [{"user": "Practitioner/jon"}], [{}]),
        ({"type": "permit", "provision": [{"type": "deny", "securityLabel": [code("HIV")]}]}, [{"labels": ("HIV",)}], [{}]),
        (
            {"type": "deny", "provision": [{"type": "permit", "actor": [ADA], "provision": [{"type": "deny", "securityLabel": [code("HIV")]}]}]},
            [{"user": "Practitioner/jon"}, {"labels": ("HIV",)}],
            [{}],
        ),
        # among provisions beside each other the denial wins
        ({"type": "deny", "provision": [{"type": "permit", "actor": [ADA]}, {"type": "deny", "actor": [ADA]}]}, [{}], []),
    ],
)
def test_a_denial_denies_what_it_names(provision, denied, free):
    compiled = made(consent(provision))
    assert compiled.warnings == ()
    for request in denied:
        assert "consentDenied" in asked(compiled, **request), request
    for request in free:
        assert "consentDenied" not in asked(compiled, **request), request


@pytest.mark.conformance("Attacks", "68: a provision holds in its period")
@pytest.mark.conformance("Access", "consent: a period begins and ends, a day being a day everywhere on earth")
def test_a_provision_holds_in_its_period(fake_clock: FakeClock):
    def at(text: str) -> int:
        found = date_bounds(text)
        assert found
        return found[0]

    exact = made(consent({"type": "deny", "period": {"start": "2026-01-10T08:00:00Z", "end": "2026-01-12T08:00:00Z"}}))
    for moment, denied in (("2026-01-10T07:59:59Z", False), ("2026-01-10T08:00:00Z", True), ("2026-01-12T08:00:00Z", True), ("2026-01-12T08:00:01Z", False)):
        assert ("consentDenied" in asked(exact, at(moment))) is denied, moment
    days = made(consent({"type": "deny", "period": {"start": "2026-01-10", "end": "2026-01-12"}}))
    for moment, denied in (("2026-01-09T09:00:00Z", False), ("2026-01-09T11:00:00Z", True), ("2026-01-13T13:00:00Z", True), ("2026-01-13T15:00:00Z", False)):
        assert ("consentDenied" in asked(days, at(moment))) is denied, moment
    permitted = made(consent({"type": "permit", "period": {"end": "2026-01-12"}}))
    assert "consented" in asked(permitted, at("2026-01-12T23:59:59Z"))
    assert "consented" not in asked(permitted, at("2026-01-13T00:00:00Z"))


@pytest.mark.conformance("Attacks", "68: an inactive, draft or mistaken Consent grants and denies nothing")
@pytest.mark.parametrize("status", ["draft", "proposed", "rejected", "inactive", "entered-in-error"])
def test_only_an_active_consent_counts(status):
    assert made(consent({"type": "deny"}, status=status)) == Compiled()
    assert made(consent({"type": "permit"}, status=status)) == Compiled()


UNCLEAR = [
    {"code": [{"coding": [code("I10", "http://hl7.org/fhir/sid/icd-10-cm")]}]},
    {"dataPeriod": {"end": "2020"}},
    {"modifierExtension": [{"url": "urn:x", "valueBoolean": True}]},
    {"actor": [{"reference": {"reference": "Group/1"}}]},
    {"actor": [{"reference": {"reference": "https://elsewhere.example/fhir/Practitioner/ada"}}]},
    {"actor": [{"reference": {"display": "Dr. Ada"}}]},
    {"purpose": [code("TREAT", "urn:other")]},
    {"purpose": [code("NOSUCH", REASON)]},
    {"securityLabel": [code("R", "http://terminology.hl7.org/CodeSystem/v3-Confidentiality")]},
    {"securityLabel": [code("NOSUCH")]},
    {"class": [code("application/hl7-cda+xml", "urn:ietf:bcp:13")]},
    {"data": [{"meaning": "related", "reference": {"reference": "Observation/1"}}]},
    {"data": [{"meaning": "instance", "reference": {"reference": "https://elsewhere.example/fhir/Observation/1"}}]},
]


@pytest.mark.conformance("Access", "consent: what is not understood denies all that it might deny, permits nothing, and is told as a warning")
@pytest.mark.parametrize("part", UNCLEAR, ids=lambda part: next(iter(part)))
def test_what_is_not_understood_denies_and_never_permits(part):
    denying, permitting = made(consent({"type": "deny", **part})), made(consent({"type": "permit", **part}))
    assert "consentDenied" in asked(denying)
    assert "consented" not in asked(permitting)
    taken_back = made(consent({"type": "deny", "provision": [{"type": "permit", **part}]}))
    assert "consentDenied" in asked(taken_back)
    for compiled in (denying, permitting, taken_back):
        assert [issue.severity for issue in compiled.warnings] == ["warning"]
        assert compiled.warnings[0].expression.startswith("Consent.provision")


def test_several_labels_are_meant_together_and_one_of_them_denies():
    both = {"securityLabel": [code("PSY"), code("HIV")]}
    assert "consentDenied" in asked(made(consent({"type": "deny", **both})), labels=("PSY", "HIV"))
    assert "consented" not in asked(made(consent({"type": "permit", **both})), labels=("PSY", "HIV"))


@pytest.mark.conformance("Attacks", "68: an inner provision that speaks of others than the outer denies but does not permit")
def test_an_inner_provision_that_speaks_of_others_than_the_outer_denies_but_does_not_permit():
    outer = {"type": "deny", "actor": [ADA], "provision": [{"type": "deny", "actor": [JON]}]}
    assert "consentDenied" in asked(made(consent(outer)), user="Practitioner/jon")
    outer = {"type": "permit", "actor": [ADA], "provision": [{"type": "permit", "actor": [JON]}]}
    assert "consented" not in asked(made(consent(outer)), user="Practitioner/jon")


@pytest.mark.conformance("Access", "consent: without a type the policy rule says which, and without either it is a denial")
@pytest.mark.parametrize(
    ("resource", "found"),
    [
        (consent({}, rule="OPTIN"), {"consented"}),
        (consent({}, rule="OPTOUT"), {"consentDenied"}),
        (consent(None, rule="OPTOUT"), {"consentDenied"}),
        (consent({}), {"consentDenied"}),
        (consent(None, policy=[{"uri": "urn:some-policy"}]), {"consentDenied"}),
        (consent(None, rule="hipaa-npp"), set()),
        (consent({"provision": [{"type": "permit", "actor": [ADA]}]}), {"consented"}),
        (consent({"provision": [{"type": "deny", "actor": [JON]}]}), set()),
        (consent({}, rule="hipaa-restrictions"), {"restricted"}),
        (consent({"type": "deny"}, rule="hipaa-self-pay"), {"selfPaid"}),
    ],
)
def test_the_policy_rule_says_what_no_type_says(resource, found):
    assert asked(made(resource)) == found


@pytest.mark.conformance("Attacks", "50: a permission counts only when the patient gave it, a denial always")
@pytest.mark.parametrize(
    "more",
    [
        {"performer": []},
        {"performer": [{"reference": "Practitioner/ada"}]},
        {"performer": [{"reference": "Patient/2"}]},
        {"performer": [{"reference": "RelatedPerson/1"}]},
        {"verification": [{"verified": False}]},
    ],
)
def test_a_permission_counts_when_the_patient_gave_it(more):
    compiled = made(consent({"type": "permit"}, **more))
    assert asked(compiled) == set()
    assert [issue.expression for issue in compiled.warnings] == ["Consent.performer"]
    assert asked(made(consent({"type": "deny"}, **more))) == {"consentDenied"}


def test_a_consent_to_treatment_changes_nothing_in_who_sees_the_chart():
    compiled = made(consent({"type": "deny"}, scope={"coding": [{"code": "treatment"}]}))
    assert (compiled.grants, len(compiled.warnings)) == ((), 1)
    assert compile_consent(consent({"type": "deny"}), "", BASE).grants == ()


def test_a_consent_without_measure_denies_everything():
    wide = made(consent({"type": "permit", "actor": [{"reference": {"reference": f"Practitioner/{n}"}} for n in range(MOST + 1)]}))
    assert asked(wide) == {"consentDenied"}
    deep: dict[str, Any] = {"type": "permit"}
    for _ in range(12):
        deep = {"type": "permit", "provision": [deep]}
    assert asked(made(consent(deep))) == {"consentDenied"}
    assert len(made(consent(deep)).warnings) == 1


@pytest.mark.conformance("Attacks", "68: of two Consents that contradict each other the denial holds")
def test_of_two_consents_the_denial_holds():
    yes, no = (made(consent({"type": kind})) for kind in ("permit", "deny"))
    both = [*(each._replace(source="Consent/a") for each in yes.grants), *(each._replace(source="Consent/b") for each in no.grants)]
    row, subject = RowAttributes("Observation", frozenset(), "Patient/1", "", ""), Subject("x", "clinician", "Practitioner/ada")
    assert facts(("consentDenied",), subject, row, both, 1) == {"consentDenied"}


def test_a_grant_is_exactly_what_was_said():
    provision = {"type": "permit", "actor": [PAYER], "purpose": [code("HPAYMT", REASON)], "securityLabel": [code("ETH")], "class": [code("Claim", TYPES)]}
    expected = Grant(PERMISSION, "Patient/1", "Organization/9", purpose="HPAYMT", label=LABELS["ETH"], type="Claim", ends=FOREVER, node=1)
    assert made(consent(provision)).grants == (expected,)
    assert {DENIAL, PERMISSION, RESTRICTION, SELF_PAID} == {4, 5, 6, 7}
