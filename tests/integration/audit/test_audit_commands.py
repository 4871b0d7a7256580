"""`chartloop audit show, export, prove, verify, disclosures, anchor`, as their users run them."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from chartloop.cli.main import chartloop
from chartloop.cli.printing import printable
from chartloop.kernel.audit.journal import audit_directory
from chartloop.kernel.audit.record import AuditRecord
from chartloop.kernel.keys import signing_key
from tests.integration.audit.conftest import House

Run = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def used(house: House, operator: str) -> House:
    """A house with some records about two patients."""
    for id_ in ("a", "b"):
        house.put({"resourceType": "Patient", "id": id_, "active": True}, operator)
        house.sealer.seal()
    nurse = house.token("clinician", "Practitioner/7")
    house.ask("GET", "/fhir/Patient/a", nurse)
    claims = house.subject("claims-engine", purpose="HPAYMT")
    house.kernel.audit.access(
        AuditRecord("R", "claim-sent", "0", claims, ("interchange/1", "Claim/1"), ("Patient/a",), "payer/P1"),
        AuditRecord("R", "claim-sent", "0", claims, ("interchange/2", "Claim/2"), ("Patient/a",), "payer/P1"),
        AuditRecord("R", "disclosure", "0", claims, ("Claim/2",), ("Patient/a",), "payer/P1"),
        AuditRecord("R", "read", "0", house.subject("researcher", "Practitioner/9", purpose="HRESCH"), ("Observation/1",), ("Patient/a",)),
        AuditRecord("R", "read", "4", house.subject("researcher", "Practitioner/9", purpose="HRESCH"), ("Observation/2",), ("Patient/a",)),
        AuditRecord("R", "read", "0", house.subject("patient", "Patient/a"), ("Observation/1",), ("Patient/a",)),
    )
    house.sealer.seal()
    return house


@pytest.fixture
def run(used: House) -> Run:
    def command(*arguments: str, data: bool = True) -> tuple[int, str]:
        given = ["audit", *arguments, *(["--data", str(used.data)] if data else [])]
        result = CliRunner().invoke(chartloop, given, standalone_mode=False)
        status = result.return_value if isinstance(result.return_value, int) else 0 if result.exception is None else 1
        return status, result.output + (f"{result.exception}" if result.exception else "")

    return command


@pytest.mark.conformance("Audit", "the log is listed for people and programs, filtered; the listing is itself recorded with its patient")
def test_the_log_is_listed_and_the_listing_is_recorded(used: House, run: Run) -> None:
    status, text = run("show", "--agent", "Practitioner/7")
    assert status == 0
    assert "Practitioner/7 (clinician)  read  Patient/a/_history/1" in text
    [line] = run("show", "--patient", "Patient/a", "--interaction", "read", "--outcome", "4", "--json")[1].splitlines()
    assert json.loads(line)["targets"] == ["Observation/2"]
    assert run("show", "--agent", "nobody")[1] == "no records\n"
    assert run("show", "--since", "2099-01-01T00:00:00Z")[1] == "no records\n"
    [record] = used.records(query="patient=Patient/a interaction=read outcome=4")
    assert (record["interaction"], record["patients"], record["subject"]["id"][:3]) == ("audit-read", ["Patient/a"], "os:")


@pytest.mark.conformance("Attacks", "77: line breaks, zeros, text that runs backwards and an endless user agent put no line into the audit log")
def test_what_others_wrote_stays_on_its_line() -> None:
    assert printable("a\r\nb\x00\x1b[2J\u202ec\u2028d\ue000") == "a\\u000d\\u000ab\\u0000\\u001b[2J\\u202ec\\u2028d\\ue000"
    assert printable("é 漢字") == "é 漢字"
    assert len(printable("x" * 1_000_000)) == 301


@pytest.mark.long
@pytest.mark.conformance("Audit", "the accounting of disclosures of a patient says to whom, what, when and for what, over six years")
def test_the_accounting_lists_what_must_be_listed(used: House, run: Run) -> None:
    listed = json.loads(run("disclosures", "--patient", "Patient/a", "--json")[1])
    assert [(each["who"], each["what"], each["purpose"]) for each in listed] == [("Practitioner/9", ["Observation/1"], "HRESCH")]
    every = json.loads(run("disclosures", "--patient", "a", "--all", "--json")[1])
    assert [(each["who"], each["what"], each["why"]) for each in every] == [
        ("Patient/a", ["Observation/1"], "to the patient"),
        ("Practitioner/9", ["Observation/1"], "neither treatment, payment nor operations"),
        ("test:claims-engine", ["Claim/2"], "payment"),
        ("payer/P1", ["interchange/1", "Claim/1"], "payment"),
    ]
    assert "HRESCH" in run("disclosures", "--patient", "Patient/a")[1]
    assert run("disclosures", "--patient", "Patient/b")[1] == "no disclosures that must be listed\n"


@pytest.mark.conformance("Audit", "the exported log is checked by its file and a trusted tree head alone; the export is recorded with its patients")
def test_an_export_is_checked_without_the_product(used: House, run: Run, tmp_path: Path) -> None:
    used.sealer.seal()
    trusted = tmp_path / "trusted.jsonl"
    trusted.write_text((audit_directory(used.data) / "heads.jsonl").read_text().splitlines()[1] + "\n")
    file = tmp_path / "log.zip"
    status, text = run("export", str(file))
    assert status == 0, text
    assert file.stat().st_mode & 0o777 == 0o600
    assert run("export", str(file))[0] == 1
    [record] = used.records(interaction="audit-export", action="R")[:1]
    assert {"Patient/a", "Patient/b"} <= set(record["patients"])
    alone = subprocess.run([sys.executable, "-I", "-S", str(file), str(trusted)], capture_output=True, text=True, check=False, cwd=tmp_path, timeout=60)
    assert (alone.returncode, alone.stdout) == (0, "the exported audit log holds\n"), alone.stderr
    assert run("verify", "--export", str(file), "--heads", str(trusted), data=False)[0] == 0


@pytest.mark.parametrize("what", ["bit", "record", "trusted", "unknown"])
def test_an_export_that_was_altered_does_not_hold(used: House, run: Run, tmp_path: Path, what: str) -> None:
    used.sealer.seal()
    trusted, file, altered = tmp_path / "trusted.jsonl", tmp_path / "log.zip", tmp_path / "altered.zip"
    head = json.loads((audit_directory(used.data) / "heads.jsonl").read_text().splitlines()[1])
    trusted.write_text(json.dumps({**head, **({"root": "00" * 32} if what == "trusted" else {"size": 10**9} if what == "unknown" else {})}))
    run("export", str(file))
    with zipfile.ZipFile(file) as whole, zipfile.ZipFile(altered, "w") as packed:
        for name in whole.namelist():
            data = bytearray(whole.read(name))
            if name == "records.bin" and what == "bit":
                data[40] ^= 1
            if name == "records.bin" and what == "record":
                del data[: 9 + int.from_bytes(data[:4], "little")]
            packed.writestr(name, bytes(data))
    alone = subprocess.run([sys.executable, "-I", "-S", str(altered), str(trusted)], capture_output=True, text=True, check=False, timeout=60)
    assert alone.returncode == 1
    assert run("verify", "--export", str(altered), "--heads", str(trusted), data=False)[0] == 1


@pytest.mark.long
@pytest.mark.conformance("Audit", "that a record is in the log, and that the log only grew, is proved by small files without the database")
def test_proofs_are_checked_without_the_database(used: House, run: Run, tmp_path: Path) -> None:
    used.sealer.seal()
    heads = audit_directory(used.data) / "heads.jsonl"
    key = signing_key(used.settings.keys).public_key().public_bytes_raw().hex()
    [record] = used.records(interaction="disclosure")
    proof, growth = tmp_path / "record.json", tmp_path / "growth.json"
    assert run("prove", "--record", str(record["seq"]), "--out", str(proof))[0] == 0
    assert run("prove", "--from", str(json.loads(heads.read_text().splitlines()[0])["size"]), "--out", str(growth))[0] == 0
    for trust in (("--heads", str(heads)), ("--key", key)):
        assert f"Record {record['seq']} is in the log" in run("verify", "--proof", str(proof), *trust, data=False)[1]
        assert "nothing in it was changed" in run("verify", "--proof", str(growth), *trust, data=False)[1]
    for file, change in ((proof, {"seq": record["seq"] + 1}), (proof, {"body": "e30="}), (growth, {"path": []}), (proof, {"path": "x"}), (growth, {"kind": "other"})):
        wrong = tmp_path / "wrong.json"
        wrong.write_text(json.dumps({**json.loads(file.read_text()), **change}))
        assert run("verify", "--proof", str(wrong), "--key", key, data=False)[0] == 1
    assert run("verify", "--proof", str(proof), "--key", "00" * 32, data=False)[0] == 1
    assert "Say with --heads or --key" in run("verify", "--proof", str(proof), data=False)[1]
    assert run("prove", "--record", "999999")[0] == 1
    assert [each["targets"] for each in used.records(interaction="audit-export") if each["targets"] == [f"audit/records/{record['seq']}"]]


@pytest.mark.conformance("Audit", "where the log and its anchor disagree, the command says so, and who begins anew says why")
def test_the_anchor_is_looked_at_and_begun_anew_with_a_reason(used: House, run: Run) -> None:
    used.sealer.seal()
    assert run("anchor")[0] == 0
    assert run("anchor", "--reset")[0] == 2
    assert run("anchor", "--reset", "--reason", "restored from the backup of Sunday")[0] == 0
    [record] = used.records(interaction="anchor-reset")
    assert record["reason"] == "restored from the backup of Sunday"
    assert run("verify")[0] == 0
