"""`chartloop audit verify` on copies of a small data directory that real requests made."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from chartloop.kernel.audit.record import leaf_of
from tests.integration.product.clinic import Clinic, until

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parents[3]


def verify(data: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "chartloop", "audit", "verify", "--data", str(data), *more]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=60)


@pytest.fixture(scope="module")
def visited(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that a server wrote while people used it; the server has ended."""
    with Clinic(tmp_path_factory.mktemp("audited") / "data") as clinic:
        clinic.start_server()
        clinic.load(clinic.population.visits[:2])
        reader = clinic.as_role("clinician")
        for patient in list(clinic.as_role("operator").each("Patient")):
            reader.request("GET", f"Patient/{patient['id']}")
        reader.request("GET", "Patient/absent")
        until(lambda: json.loads(clinic.chartloop("audit", "verify", "--json"))["unsealed"] == 0, "the records to be sealed")
        clinic.parts.stop("server")
        return clinic.data


@pytest.fixture
def copied(visited: Path, tmp_path: Path) -> Path:
    """A copy of it, for somebody to alter."""
    return Path(shutil.copytree(visited, tmp_path / "copy"))


@pytest.mark.conformance("The loop", "7 Audit: `audit verify` exits 0 on a copy that nobody touched")
def test_an_untouched_copy_holds(copied: Path) -> None:
    result = verify(copied)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "the audit log holds" in result.stdout
    report = json.loads(verify(copied, "--json").stdout)
    assert (report["ok"], report["first_bad"], report["bad_head"], report["unsealed"]) == (True, None, None, 0)
    assert report["sealed"] > 4


@pytest.mark.conformance("The loop", "7 Audit: `audit verify` on a copy with one altered row exits 1 and names the first bad sequence number")
def test_one_altered_row_is_named_by_its_sequence_number(copied: Path) -> None:
    with closing(sqlite3.connect(copied / "chartloop.sqlite3")) as store, store:
        rows = store.execute("select seq, position from audit_leaf where source = 0 order by seq").fetchall()
        seq, position = rows[-1]
        (body,) = store.execute("select body from audit_change where seq = ?", (position,)).fetchone()
        store.execute("update audit_change set body = ? where seq = ?", (bytes(body)[:-1] + bytes([body[-1] ^ 1]), position))
    result = verify(copied)
    assert result.returncode == 1
    assert f"first bad sequence number: {seq}\n" in result.stdout
    assert "tree head that does not fit" not in result.stdout
    assert "the audit log does NOT hold" in result.stdout


@pytest.mark.conformance("The loop", "7 Audit: `audit verify` on a copy with rewritten leaves exits 1 and names the tree head")
def test_leaves_that_were_computed_anew_are_named_by_their_tree_head(copied: Path) -> None:
    body = b'{"action":"R"}'
    with closing(sqlite3.connect(copied / "chartloop.sqlite3")) as store, store:
        seq, position = store.execute("select seq, position from audit_leaf where source = 0 order by seq limit 1").fetchone()
        store.execute("update audit_change set codec = 0, body = ?, leaf = ? where seq = ?", (body, leaf_of(body), position))
        store.execute("update audit_leaf set leaf = ? where seq = ?", (leaf_of(body), seq))
        (head,) = store.execute("select min(size) from audit_head where size >= ?", (seq,)).fetchone()
    result = verify(copied)
    assert result.returncode == 1
    assert f"first tree head that does not fit: the one of size {head}\n" in result.stdout
    assert "first bad sequence number" not in result.stdout
