"""Attacks by writing: nothing that is hidden is changed, moved, unlabelled, matched or told by what a write answers."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tests.integration.attacks.conftest import ACT, CHART, PSY, Door, Json, note, pressure, said

PATCH = "application/json-patch+json"


def _without_time(answer: Any) -> Any:
    status, body, headers = said(answer)
    return status, body, [each for each in headers if each[0] not in ("Last-Modified", "Location", "ETag")]


def _bundle(kind: str, *entries: tuple[str, str, Any]) -> Json:
    listed = [{"request": {"method": method, "url": url}, **({"resource": resource} if resource is not None else {})} for method, url, resource in entries]
    return {"resourceType": "Bundle", "type": kind, "entry": listed}


def _binary(patch: list[Json]) -> Json:
    return {"resourceType": "Binary", "contentType": PATCH, "data": base64.b64encode(json.dumps(patch).encode()).decode()}


@pytest.mark.conformance("Attacks", "32: a patch tests, copies and moves nothing out of what its sender does not see whole: one answer, whatever is stored")
def test_a_patch_tells_nothing_of_a_hidden_path(door: Door) -> None:
    patches = [
        [{"op": "test", "path": "/description", "value": guess}] for guess in ("He hears voices", "He hears music")
    ] + [[{"op": verb, "from": "/description", "path": "/identifier"}] for verb in ("copy", "move")] + [[{"op": "remove", "path": "/authenticator"}], [{"op": "remove", "path": "/nothing"}], []]
    fhirpath = [
        {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": [{"name": "type", "valueCode": "replace"}, {"name": "path", "valueString": path}, {"name": "value", "valueCode": "superseded"}]}]}
        for path in ("DocumentReference.where(description = 'He hears voices').status", "DocumentReference.where(description = 'x').status")
    ]
    for id_ in ("plain", "hidden", "nothing"):
        answers = [door("biller", "PATCH", f"DocumentReference/{id_}", patch, Content_Type=PATCH) for patch in patches]
        answers += [door("biller", "PATCH", f"DocumentReference/{id_}", patch) for patch in fhirpath]
        assert {answer.status_code for answer in answers} == {403}
        assert len({answer.data for answer in answers}) == 1
    for kind in ("batch", "transaction"):
        told = {door("biller", "POST", "", _bundle(kind, ("PATCH", "DocumentReference/plain", _binary(patch)))).data for patch in patches}
        assert len(told) == 1


@pytest.mark.conformance("Attacks", "33: a patch of labels, of the id, of the version or of a member that R4 does not have takes no label away and moves nothing")
@pytest.mark.parametrize("patch", [
    [{"op": "remove", "path": "/meta/security"}], [{"op": "replace", "path": "/meta/security", "value": []}], [{"op": "remove", "path": "/meta/security/0"}], [{"op": "remove", "path": "/meta"}],
    [{"op": "replace", "path": "/meta", "value": {"security": []}}], [{"op": "add", "path": "/meta/security", "value": [{"system": ACT, "code": "R"}]}], [{"op": "move", "from": "/meta/security", "path": "/extension"}],
    [{"op": "replace", "path": "/id", "value": "o1"}], [{"op": "replace", "path": "/meta/versionId", "value": "77"}], [{"op": "replace", "path": "/resourceType", "value": "Basic"}],
    [{"op": "add", "path": "/_security", "value": []}], [{"op": "add", "path": "/__proto__", "value": {"labels": []}}], [{"op": "add", "path": "/labels", "value": []}], [{"op": "replace", "path": "", "value": {"resourceType": "Observation", "id": "secret", "status": "final", "code": {"text": "x"}}}],
], ids=lambda patch: f"{patch[0]['op']} {patch[0]['path']}")  # fmt: skip
def test_a_patch_takes_no_label_and_no_name(door: Door, patch: list[Json]) -> None:
    for kind in ("alone", "batch", "transaction"):
        if kind == "alone":
            door("psychiatrist", "PATCH", "Observation/secret", patch, Content_Type=PATCH)
        else:
            door("psychiatrist", "POST", "", _bundle(kind, ("PATCH", "Observation/secret", _binary(patch))))
        assert door("ada", "GET", "Observation/secret").status_code == 404
        assert door.ids("ada", "Observation?patient=p1") == ["o1"]
        assert door("psychiatrist", "GET", "Observation/secret").status_code == 200
        assert json.loads(door("psychiatrist", "GET", "Observation/o1").data)["meta"]["versionId"] == "1"


@pytest.mark.conformance("Attacks", "39: preconditions of reads and writes answer of what is hidden as of what never was: 304, 412, 410 and their kin tell nothing")
@pytest.mark.conformance("Attacks", "40: a PUT, a PATCH or a DELETE to a guessed id is answered as if nothing were there, with every precondition")
@pytest.mark.parametrize("who", ["ada", "stranger", "bert", "coder", "biller", "researcher"])
def test_no_precondition_tells_of_what_is_hidden(door: Door, who: str) -> None:
    conditions: list[dict[str, str]] = [
        {}, {"If_Match": 'W/"1"'}, {"If_Match": 'W/"2"'}, {"If_Match": "*"}, {"If_Match": 'W/"1-0123456789abcdef"'}, {"If_Match": 'W/"1",W/"2"'}, {"If_None_Match": "*"}, {"If_None_Match": 'W/"1"'},
        {"If_Modified_Since": "Sat, 01 Jan 2000 00:00:00 GMT"}, {"If_Modified_Since": "Fri, 01 Jan 2100 00:00:00 GMT"}, {"If_None_Exist": "_id=secret"}, {"Prefer": "return=representation"},
    ]  # fmt: skip
    for condition in conditions:
        for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE"):
            for history in ("", "/_history/1", "/_history", "/$meta") if method in ("GET", "HEAD") else ("",):
                bodies = {"PUT": lambda id_: pressure(id_, 1, 1), "PATCH": lambda _: [{"op": "replace", "path": "/status", "value": "amended"}]}
                kind = {"Content_Type": PATCH} if method == "PATCH" else {}
                hidden, missing = (_without_time(door(who, method, f"Observation/{id_}{history}", bodies[method](id_) if method in bodies else None, **kind, **condition)) for id_ in ("secret", "nowise"))
                assert hidden[0] == missing[0], (condition, method, history)
                assert hidden[1:] == missing[1:], (condition, method, history)
    assert json.loads(door("psychiatrist", "GET", "Observation/secret").data)["meta"]["versionId"] == "1"


@pytest.mark.conformance("Attacks", "38: a hidden resource that is deleted, one that lives and one that never was are one and the same")
def test_what_is_deleted_behind_a_label_was_never_there(door: Door) -> None:
    door.put(pressure("gone", 1, 1, meta=PSY), pressure("open", 1, 1))
    for id_ in ("gone", "open"):
        assert door("operator", "DELETE", f"Observation/{id_}").status_code == 204
    assert door("ada", "GET", "Observation/open").status_code == 410
    for who in ("ada", "stranger", "bert"):
        for path in ("", "/_history/1", "/_history/2", "/_history/3", "/_history", "/$meta"):
            answers = [said(door(who, "GET", f"Observation/{id_}{path}")) for id_ in ("gone", "secret", "nothing")]
            assert answers[0] == answers[1] == answers[2], (who, path)
    assert b'"Observation/gone' not in door("ada", "GET", "Observation/_history").data


@pytest.mark.conformance("Attacks", "42: conditional creates, updates, patches and deletes, and references by a match, find nothing that is hidden")
def test_no_condition_finds_what_is_hidden(door: Door) -> None:
    fresh = {key: value for key, value in note("x", 1).items() if key != "id"}
    for who in ("ada",):
        guesses = ("77", "78")
        for method, body, kind in (("PUT", fresh, {}), ("PATCH", [], {"Content_Type": PATCH}), ("DELETE", None, {})):
            if method == "PUT":
                continue
            told = [_without_time(door(who, method, f"DocumentReference?identifier=urn:n|{guess}", body, **kind)) for guess in guesses]
            assert told[0] == told[1], method
        made = [door(who, method, path, fresh, **headers) for guess in guesses for method, path, headers in (
            ("PUT", f"DocumentReference?identifier=urn:n|{guess}", {}), ("POST", "DocumentReference", {"If_None_Exist": f"identifier=urn:n|{guess}"}))]  # fmt: skip
        assert [answer.status_code for answer in made] == [201, 201, 201, 201]
        linked = [door(who, "POST", "", _bundle("transaction", ("POST", "DocumentReference", {**fresh, "relatesTo": [{"code": "appends", "target": {"reference": f"DocumentReference?identifier=urn:n|{guess}"}}]}))) for guess in guesses]
        assert linked[0].status_code == linked[1].status_code == 412
        assert linked[0].data.replace(b"77", b"78") == linked[1].data
    assert json.loads(door("psychiatrist", "GET", "DocumentReference/hidden").data)["meta"]["versionId"] == "1"


@pytest.mark.conformance("Attacks", "43: an update, a patch or a match moves no resource into a chart or out of one that its writer does not treat")
def test_nothing_is_moved_between_charts(door: Door) -> None:
    moved, stolen = pressure("o1", 2, 120), pressure("o2", 1, 180)
    assert door("ada", "PUT", "Observation/o1", moved).status_code == 403
    assert door("ada", "PUT", "Observation?_id=o1", moved).status_code == 403
    assert door("ada", "PATCH", "Observation/o1", [{"op": "replace", "path": "/subject/reference", "value": "Patient/p2"}], Content_Type=PATCH).status_code == 403
    assert door("ada", "PUT", "Observation/o2", stolen).status_code == 405
    assert door("ada", "PATCH", "Observation/o2", [{"op": "replace", "path": "/subject/reference", "value": "Patient/p1"}], Content_Type=PATCH).status_code == 404
    for kind in ("batch", "transaction"):
        answer = json.loads(door("ada", "POST", "", _bundle(kind, ("PUT", "Observation/o1", moved))).data)
        assert (answer.get("issue") or answer["entry"][0]["response"]["outcome"]["issue"])[0]["code"] == "forbidden"
    for who, id_, patient in (("ada", "o1", "p1"), ("stranger", "o2", "p2")):
        kept = json.loads(door(who, "GET", f"Observation/{id_}").data)
        assert (kept["meta"]["versionId"], kept["subject"]["reference"]) == ("1", f"Patient/{patient}")


@pytest.mark.conformance("Attacks", "45: a $meta-delete of labels inside a Bundle takes none away, and one of what is hidden finds nothing")
def test_no_label_is_taken_away_inside_a_bundle(door: Door) -> None:
    taken = {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": PSY}]}
    for kind in ("batch", "transaction"):
        for who in ("psychiatrist", "operator", "ada"):
            door(who, "POST", "", _bundle(kind, ("POST", "Observation/secret/$meta-delete", taken)))
            assert door("ada", "GET", "Observation/secret").status_code == 404
    batch = json.loads(door("ada", "POST", "", _bundle("batch", *(("POST", f"Observation/{id_}/$meta-delete", taken) for id_ in ("secret", "nothing")))).data)
    assert json.dumps(batch["entry"][0]).replace("entry[0]", "entry[1]") == json.dumps(batch["entry"][1])


@pytest.mark.conformance("Attacks", "46: a Bundle inside a Bundle is data and is not carried out; who may not store Bundles may not hide one in another")
def test_a_bundle_in_a_bundle_is_not_carried_out(door: Door) -> None:
    inner = _bundle("transaction", ("DELETE", "Observation/o1", None), ("PUT", "Patient/p9", {"resourceType": "Patient", "id": "p9"}))
    for url in ("Bundle", "", "/", "$process"):
        for who in ("ada", "operator"):
            answer = door(who, "POST", "", _bundle("batch", ("POST", url, inner)))
            assert answer.status_code in (200, 400, 422), url
            if answer.status_code == 200:
                assert json.loads(answer.data)["entry"][0]["response"]["status"][:3] in (("403", "400", "404") if who == "ada" else ("201", "400", "404", "422")), (url, who)
    assert door("ada", "GET", "Observation/o1").status_code == 200
    assert door("operator", "GET", "Patient/p9").status_code == 404
    closed = _bundle("collection")
    closed["entry"] = [{"fullUrl": "urn:uuid:1", "resource": {key: value for key, value in CHART[-1].items() if key != "meta"}}]
    made = door("operator", "POST", "Bundle", closed)
    assert (made.status_code, made.data) == (201, b""), "what a psychiatric Condition stands in is labelled, and the operator does not look at it"


@pytest.mark.conformance("Attacks", "49: labels that a client forges are not kept, those that it leaves out stay, and labels of its own making give no right")
def test_labels_are_the_servers(door: Door) -> None:
    for security in ([], [{"system": ACT, "code": "N"}], [{"system": "urn:forged", "code": "PSY"}], [{"code": "NOPSY"}]):
        changed = pressure("secret", 1, 151, meta={"security": security})
        assert door("psychiatrist", "PUT", "Observation/secret", changed).status_code in (200, 422)
        assert door("ada", "GET", "Observation/secret").status_code == 404
        assert door("psychiatrist", "PUT", "Observation/secret", pressure("secret", 1, 152)).status_code == 200


@pytest.mark.conformance("Attacks", "51: an AuditEvent is made by nobody but the server: create, update, patch, delete and conditional forms are refused, alone and in Bundles")
def test_nobody_writes_the_audit_log(door: Door) -> None:
    event = {"resourceType": "AuditEvent", "id": "a1", "type": {"code": "rest"}, "recorded": "2026-01-01T00:00:00Z", "agent": [{"requestor": True}], "source": {"observer": {"display": "x"}}}
    for who in ("operator", "officer", "ada", "biller"):
        for method, path in (("POST", "AuditEvent"), ("PUT", "AuditEvent/a1"), ("DELETE", "AuditEvent/a1"), ("DELETE", "AuditEvent?_id=a1"), ("PUT", "AuditEvent?_id=a1"), ("DELETE", "AuditEvent/1")):
            answer = door(who, method, path, event if method != "DELETE" else None)
            assert answer.status_code in (403, 404, 405), (who, method, path)
        for kind in ("batch", "transaction"):
            told = json.loads(door(who, "POST", "", _bundle(kind, ("POST", "AuditEvent", event))).data)
            assert told["resourceType"] == "OperationOutcome" or told["entry"][0]["response"]["status"][:3] in ("403", "404", "405"), (who, kind)


@pytest.mark.conformance("Attacks", "31: a redacted copy is refused whichever way it comes back, and what it does not show stays")
def test_a_redacted_copy_comes_back_by_no_way(door: Door) -> None:
    door.put({"resourceType": "Task", "id": "t", "status": "requested", "intent": "order", "for": {"reference": "Patient/p1"}, "owner": {"reference": "Practitioner/bill"}, "description": "Call her"})
    copy = json.loads(door("biller", "GET", "DocumentReference/plain").data)
    assert copy["meta"]["tag"][0]["code"] == "SUBSETTED"
    bare = {**copy, "meta": {}}
    for who in ("biller", "operator", "psychiatrist"):
        for path in ("DocumentReference/plain", "DocumentReference?_id=plain"):
            assert door(who, "PUT", path, copy).status_code in (403, 412, 422), (who, path)
    assert door("biller", "POST", "DocumentReference", copy).status_code == 403
    etag = door("biller", "GET", "DocumentReference/plain").headers["ETag"]
    for body in (copy, bare):
        assert door("operator", "PUT", "DocumentReference/plain", body, If_Match=etag).status_code == 412
        assert door("biller", "PUT", "DocumentReference/plain", body).status_code == 403
    assert json.loads(door("psychiatrist", "GET", "DocumentReference/plain").data)["description"] == "He hears voices"
