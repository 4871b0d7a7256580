"""A call is decoded, or refused with the path of every mistake."""

import json

import pytest

from cds_hooks.request import decode
from chartloop.kernel.errors import Invalid
from tests.unit.cds_hooks.samples import FHIR, INSTANCE, authorization, call, encoded


def mistakes(body: bytes) -> dict[str, str]:
    with pytest.raises(Invalid) as refused:
        decode(body, "patient-view")
    return {issue.expression: issue.text for issue in refused.value.issues}


@pytest.mark.conformance("CDS Hooks 2.0", "@18-23: a call has hook, hookInstance and context, and may have fhirServer, fhirAuthorization and prefetch")
def test_a_call_is_decoded():
    found = decode(encoded(call(fhirServer=f"{FHIR}/", fhirAuthorization=authorization("secret", patient="p1"), extension={"com.example.x": 1})), "patient-view")
    assert (found.user, found.patient, found.fhir_server) == ("Practitioner/1", "p1", FHIR)
    assert found.authorization == ("secret", "chartloop-cds", "p1")
    assert set(found.prefetch) == {"patient", "risk"}


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"hook": None}, "hook"),
        ({"hook": "order-sign"}, "hook"),
        ({"hook": 7}, "hook"),
        ({"hookInstance": None}, "hookInstance"),
        ({"hookInstance": "17"}, "hookInstance"),
        ({"context": None}, "context"),
        ({"context": {}}, "context"),
        ({"context": []}, "context"),
        ({"context": {"patientId": "p1"}}, "context.userId"),
        ({"context": {"userId": "Practitioner/1"}}, "context.patientId"),
        ({"context": {"userId": "Practitioner/1", "patientId": ""}}, "context.patientId"),
        ({"context": {"userId": "Practitioner/1", "patientId": 5}}, "context.patientId"),
        ({"context": {"userId": "Practitioner/1", "patientId": "p1&patient=p2"}}, "context.patientId"),
        ({"context": {"userId": "Device/1", "patientId": "p1"}}, "context.userId"),
        ({"context": {"userId": "Practitioner/1", "patientId": "p1", "encounterId": 4}}, "context.encounterId"),
        ({"fhirServer": "fhir.example"}, "fhirServer"),
        ({"fhirAuthorization": authorization("t")}, "fhirServer"),
        ({"fhirServer": FHIR, "fhirAuthorization": {**authorization("t"), "access_token": ""}}, "fhirAuthorization.access_token"),
        ({"fhirServer": FHIR, "fhirAuthorization": authorization("t", token_type="bearer")}, "fhirAuthorization.token_type"),
        ({"fhirServer": FHIR, "fhirAuthorization": authorization("t", expires_in="300")}, "fhirAuthorization.expires_in"),
        ({"fhirServer": FHIR, "fhirAuthorization": authorization("t", expires_in=None)}, "fhirAuthorization.expires_in"),
        ({"fhirServer": FHIR, "fhirAuthorization": authorization("t", scope=None)}, "fhirAuthorization.scope"),
        ({"fhirServer": FHIR, "fhirAuthorization": authorization("t", subject=None)}, "fhirAuthorization.subject"),
        ({"fhirServer": FHIR, "fhirAuthorization": authorization("t", patient="p2")}, "fhirAuthorization.patient"),
        ({"prefetch": [1]}, "prefetch"),
    ],
)
@pytest.mark.conformance("CDS Hooks 2.0", "@18-23, @65-71: a call with a missing or malformed field is refused with its path")
def test_a_mistake_is_named_by_its_path(changes, path):
    assert path in mistakes(encoded(call(**changes)))


def test_every_mistake_is_named_at_once():
    assert set(mistakes(b"{}")) == {"hook", "hookInstance", "context"}


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b"{", b"\xff", b"\xef\xbb\xbf{}", b'{"hook":"\\ud800"}', b'{"hook":NaN}', b'{"hook":"a","hook":"b"}', b'{"a":"\\u0000"}', b'{"a":1' + b"0" * 5000 + b"}"],
)
@pytest.mark.conformance("Attacks", "92: CDS Hooks refuses NaN, duplicate names, lone surrogates, U+0000, a byte order mark and endless numbers")
def test_what_is_no_proper_json_is_refused(body):
    assert mistakes(body)


@pytest.mark.conformance("Attacks", "92: CDS Hooks refuses JSON that nests 100,000 deep")
def test_deep_nesting_is_refused():
    deep = b"[" * 100_000 + b"]" * 100_000
    body = encoded(call(prefetch=None))[:-1] + b',"prefetch":{"risk":' + deep + b"}}"
    assert "nested deeper than 64" in mistakes(body)[""]


@pytest.mark.conformance("CDS Hooks 2.0", "@214: what is unknown, extensions among it, is ignored")
def test_unknown_fields_are_ignored():
    found = decode(encoded(call(unheardOf={"a": [1, None]}, context={"userId": "Patient/p1", "patientId": "p1", "later": 1})), "patient-view")
    assert found.user == "Patient/p1"


@pytest.mark.corpus
@pytest.mark.conformance("CDS Hooks 2.0", "every patient-view request of the specification's samples decodes; the one without patientId is refused for that")
def test_the_samples_of_the_specification_decode(cds_samples):
    decoded, refused = [], []
    for name, text in sorted(cds_samples.items()):
        sample = json.loads(text)
        if name.startswith("spec/patient-view"):  # the hook's page shows the context alone
            sample = {"hook": "patient-view", "hookInstance": INSTANCE, **sample}
        if not isinstance(sample, dict) or sample.get("hook") != "patient-view":
            continue
        try:
            decode(json.dumps(sample).encode(), "patient-view")
            decoded.append(name)
        except Invalid as error:
            refused.append((name, [issue.expression for issue in error.issues]))
    assert decoded == ["spec/current-1.json", "spec/patient-view-0.json", "spec/patient-view-1.json", "spec/quickstart-2.json"]
    assert refused == [("spec/current-22.json", ["context.patientId"])]
