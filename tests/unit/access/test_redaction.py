"""Redacted bodies: what stays is byte for byte what was stored, what goes leaves nothing behind."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhir_server.redaction import is_redacted_etag, is_subsetted, redact, redacted_etag

TAG = b'"tag":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"SUBSETTED"}]'


@pytest.mark.conformance("Access", "what stays of a redacted body is byte for byte what was stored")
def test_decimals_stay_as_they_were_stored():
    body = b'{"resourceType":"Claim","id":"1","total":{"value":72.50,"currency":"USD"},"item":[{"sequence":1,"net":{"value":1.0E+2}}]}'
    assert redact(body, frozenset({"total", "item.net.value"})) == (
        b'{"resourceType":"Claim","id":"1","total":{"value":72.50,"currency":"USD"},"item":[{"net":{"value":1.0E+2}}],"meta":{' + TAG + b"}}"
    )


@pytest.mark.conformance("Attacks", "34: the version stays and labels tags and source go")
def test_the_version_stays_and_labels_tags_and_source_go():
    body = b'{"resourceType":"Claim","id":"1","meta":{"versionId":"2","lastUpdated":"2026-11-22T08:00:00Z","source":"urn:x","security":[{"code":"PSY"}],"tag":[{"code":"x"}]}}'
    assert redact(body, frozenset()) == b'{"resourceType":"Claim","id":"1","meta":{"versionId":"2","lastUpdated":"2026-11-22T08:00:00Z",' + TAG + b"}}"


@pytest.mark.conformance("Attacks", "25: no hidden word survives in text, extensions, siblings, contained resources, displays")
@pytest.mark.conformance("Attacks", "24: a redacted Claim has no text, note or supportingInfo string")
@pytest.mark.conformance("Attacks", "27: Reference.display is redacted")
@pytest.mark.parametrize(
    "member",
    [
        '"text":{"status":"generated","div":"<div>secret</div>"}',
        '"_status":{"extension":[{"url":"u","valueString":"secret"}]}',
        '"contained":[{"resourceType":"Condition","note":[{"text":"secret"}]}]',
        '"extension":[{"url":"u","valueString":"secret"}]',
        '"modifierExtension":[{"url":"u","valueString":"secret"}]',
        '"total":{"value":1,"extension":[{"url":"u","valueString":"secret"}]}',
        '"total":{"value":1,"_value":{"id":"secret"}}',
        '"total":{"id":"secret","value":1}',
        '"total":{"value":1,"\\u0065xtension":[{"valueString":"secret"}]}',
        '"diagnosis":[{"sequence":1,"diagnosisCodeableConcept":{"text":"secret","coding":[{"code":"F32.1","display":"secret"}]}}]',
        '"patient":{"reference":"Patient/1","display":"secret"}',
        '"item":[{"net":{"extension":[{"valueString":"secret"}]}}]',
        '"supportingInfo":[{"sequence":1,"valueString":"secret"}]',
        '"newElement":"secret"',
        '"status":{"nested":"secret"}',
    ],
)
def test_no_hidden_word_survives(member):
    body = f'{{"resourceType":"Claim","id":"1",{member}}}'.encode()
    allowed = frozenset({"total", "patient.reference", "diagnosis.sequence", "diagnosis.diagnosisCodeableConcept.coding.code", "item.net", "status.deeper", "supportingInfo.sequence"})
    assert b"secret" not in redact(body, allowed)


def test_an_element_of_which_nothing_is_left_goes_altogether():
    body = b'{"resourceType":"Claim","id":"1","item":[{"note":"x"}],"patient":{"display":"y"}}'
    assert json.loads(redact(body, frozenset({"item.sequence", "patient.reference"}))).keys() == {"resourceType", "id", "meta"}


def test_the_wider_of_two_paths_does_not_undo_the_narrower_in_either_order():
    body = b'{"resourceType":"Claim","id":"1","total":{"value":1.50,"currency":"USD"}}'
    assert b'"currency"' in redact(body, frozenset({"total", "total.value"}))


@pytest.mark.conformance("Access", "a redacted body has an ETag of its own and says that it is incomplete")
def test_a_redacted_body_has_an_entity_tag_of_its_own():
    body = redact(b'{"resourceType":"Claim","id":"1"}', frozenset())
    etag = redacted_etag(3, body)
    assert etag.startswith('W/"3-')
    assert is_redacted_etag(etag)
    assert not is_redacted_etag('W/"3"')
    assert etag != redacted_etag(3, body + b" ")


@pytest.mark.conformance("Access", "a redacted body has an ETag of its own and says that it is incomplete")
def test_a_resource_says_that_it_is_incomplete():
    assert is_subsetted(json.loads(redact(b'{"resourceType":"Claim","id":"1"}', frozenset())))
    assert not is_subsetted({"resourceType": "Claim", "meta": {"tag": [{"code": "x"}]}})
    assert not is_subsetted({"resourceType": "Claim", "meta": {"tag": "SUBSETTED"}})
    assert not is_subsetted({"resourceType": "Claim"})


values = st.recursive(
    st.one_of(st.just("secret"), st.integers(), st.booleans(), st.text('ab"\\é', max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["a", "b", "_a", "extension", "text", "id", "contained"]), inner, max_size=3)),
    max_leaves=20,
)


def _paths(value: object, prefix: str = "") -> set[str]:
    if isinstance(value, list):
        return {path for item in value for path in _paths(item, prefix)}
    if not isinstance(value, dict):
        return {prefix}
    return {path for name, inner in value.items() for path in _paths(inner, f"{prefix}.{name}" if prefix else name)}


@pytest.mark.conformance("Access", "a redacted body shows listed paths only, for any resource")
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(["a", "b", "c", "extension", "_a"]), values, max_size=4), st.frozensets(st.sampled_from(["a", "b.a", "b.b.a", "c.b"]), max_size=3))
def test_only_listed_paths_are_shown(resource, allowed):
    body = json.dumps({"resourceType": "Basic", "id": "1", **resource}).encode()
    shown = json.loads(redact(body, allowed))
    del shown["meta"]
    for path in _paths(shown) - {"resourceType", "id", ""}:
        assert any(path == listed or path.startswith(f"{listed}.") for listed in allowed)
        assert not {part for part in path.split(".") if part.startswith("_") or part in {"extension", "id", "contained"}}
