"""Loading a folder of Bundles: every compression, in the order of who refers to whom, each file once."""

from __future__ import annotations

import bz2
import gzip
import json
from pathlib import Path

import httpx
import pytest

from chartloop.demo.bundles import bundle_files, load_bundles
from chartloop.demo.fhir_client import FhirClient, FhirFailed

PACKED = {".json": bytes, ".gz": gzip.compress, ".bz2": bz2.compress}


class Server:
    """Takes transactions as a FHIR server does, and remembers them."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.patients: dict[str, dict[str, str]] = {}

    def answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/fhir").strip("/")
        if request.method == "GET":
            patient = self.patients.get(path.removeprefix("Patient/"))
            if path == "Patient":
                return httpx.Response(200, json={"resourceType": "Bundle", "type": "searchset", "total": 0}, request=request)
            return httpx.Response(200 if patient else 404, json=patient or {}, request=request)
        bundle = json.loads(request.content)
        self.taken.append(bundle["entry"][0]["resource"]["id"])
        for entry in bundle["entry"]:
            if entry["resource"]["resourceType"] == "Patient":
                self.patients[entry["resource"]["id"]] = entry["resource"]
        answers = [{"response": {"status": "201 Created", "location": f"http://server/fhir/{e['resource']['resourceType']}/{e['resource']['id']}/_history/1"}} for e in bundle["entry"]]
        return httpx.Response(200, json={"resourceType": "Bundle", "type": "transaction-response", "entry": answers}, request=request)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    made = Server()

    def request(method: str, url: str, *, content: bytes | None, headers: dict[str, str], **_: object) -> httpx.Response:
        return made.answer(httpx.Request(method, url, content=content, headers=headers))

    monkeypatch.setattr(httpx, "request", request)
    return made


def write(folder: Path, name: str, type_: str, id_: str) -> None:
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [{"resource": {"resourceType": type_, "id": id_}, "request": {"method": "POST", "url": type_}}]}
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(PACKED[Path(name).suffix](json.dumps(bundle).encode()))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "bundles"
    write(made, "Aaron_Adams.json", "Patient", "aaron")
    write(made, "Berta.json.gz", "Patient", "berta")
    write(made, "Carl.json.bz2", "Patient", "carl")
    write(made, "zz_practitionerInformation17.json.gz", "Practitioner", "doctor")
    write(made, "zzz-Hospital-information.json.bz2", "Organization", "hospital")
    (made / "notes.txt").write_text("no Bundle")
    (made / ".hidden.json").write_text("no Bundle")
    (made / "deeper.json").mkdir()
    return made


@pytest.mark.conformance("The loop", "1 Patients: `--bundles` takes .json, .gz and .bz2, hospital and practitioner files first")
def test_hospitals_and_practitioners_come_first_whatever_their_names(folder: Path) -> None:
    assert [path.name for path in bundle_files(folder)] == [
        "zzz-Hospital-information.json.bz2", "zz_practitionerInformation17.json.gz", "Aaron_Adams.json", "Berta.json.gz", "Carl.json.bz2",
    ]  # fmt: skip


@pytest.mark.conformance("The loop", "1 Patients: `--bundles` takes .json, .gz and .bz2, hospital and practitioner files first")
def test_bundles_of_every_compression_are_loaded_in_that_order_and_once(server: Server, folder: Path, tmp_path: Path) -> None:
    client, counts = FhirClient("http://server/fhir", "token"), {}
    for _ in range(2):
        loaded = load_bundles(client, folder, tmp_path / "ledger.json", counts)
        assert server.taken == ["hospital", "doctor", "aaron", "berta", "carl"]
        assert sorted(patient["id"] for patient in loaded) == ["aaron", "berta", "carl"]
    assert counts["bundles"] == 5


def test_a_refused_bundle_is_named_by_its_file(server: Server, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        issue = {"severity": "error", "code": "required", "diagnostics": "is required"}
        return httpx.Response(422, json={"resourceType": "OperationOutcome", "issue": [issue]}, request=request)

    monkeypatch.setattr(server, "answer", refuse)
    with pytest.raises(FhirFailed, match=r"zzz-Hospital-information\.json\.bz2: .*is required"):
        load_bundles(FhirClient("http://server/fhir", "token"), folder, tmp_path / "ledger.json", {})
