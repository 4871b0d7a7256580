"""A full disk and a locked file under the running product: a clear answer, nothing lost, nothing half, and afterwards all is well."""

import resource
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import httpx
import pytest

from chartloop.demo.messages import visit_messages
from chartloop.demo.mllp_client import MllpClient
from chartloop.demo.processes import PartFailed
from tests.integration.product.clinic import Clinic, until

PROBE = "https://chartloop.example/fhir/probe"


def basic(value: str, size: int = 10) -> dict:
    return {"resourceType": "Basic", "identifier": [{"system": PROBE, "value": value}], "code": {"text": "x" * size}}


def post(clinic: Clinic, value: str, size: int = 10) -> httpx.Response:
    return clinic.as_role("operator").request("POST", "Basic", body=basic(value, size))


def assert_unavailable(response: httpx.Response) -> None:
    assert response.status_code == 503, response.text
    assert response.headers["Retry-After"]
    issue = response.json()["issue"][0]
    assert response.json()["resourceType"] == "OperationOutcome"
    assert issue["severity"] == "error"
    assert "nothing was changed" in issue["diagnostics"]


def stored(clinic: Clinic, prefix: str) -> set[str]:
    found = (resource["identifier"][0]["value"] for resource in clinic.as_role("operator").each(f"Basic?identifier={PROBE}|&_count=200"))
    return {value for value in found if value.startswith(prefix)}


@contextmanager
def no_file_grows_beyond(process: int, size: int) -> Iterator[None]:
    """The kernel refuses every write beyond a size, as a full disk or a quota does; no privilege is needed."""
    before = resource.prlimit(process, resource.RLIMIT_FSIZE)
    resource.prlimit(process, resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.prlimit(process, resource.RLIMIT_FSIZE, before)


@contextmanager
def locked(clinic: Clinic) -> Iterator[None]:
    """Another process, this one, holds the write lock of the store."""
    with closing(sqlite3.connect(clinic.data / "chartloop.sqlite3", isolation_level=None)) as connection:
        until(lambda: _taken(connection), "the lock")
        yield
        connection.execute("ROLLBACK")


def _taken(connection: sqlite3.Connection) -> bool:
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError:
        return False
    return True


def fresh(clinic: Clinic, number: str) -> str:
    """A message that was not sent before."""
    visit = clinic.population.visits[2]
    return visit_messages(visit)[0].text.replace(f"|{visit.number}-1|", f"|{number}|", 1)


@pytest.mark.conformance("Faults", "a full disk answers 503 and AE with nothing lost and nothing half; reads go on, and writes work again when there is room")
def test_a_full_disk_is_answered_and_writes_work_again_when_there_is_room(shared_clinic):
    clinic = shared_clinic
    operator = clinic.as_role("operator")
    journals = [path.stat().st_size for path in (clinic.data / "audit").glob("journal-*.log")]
    acknowledged: set[str] = set()
    refused = 0
    with no_file_grows_beyond(clinic.serving_process(), max(journals) + 2_000_000):
        for number in range(400):
            response = post(clinic, f"full-{number}", 200_000)
            if response.status_code == 201:
                acknowledged.add(f"full-{number}")
                continue
            assert_unavailable(response)
            refused += 1
            if refused == 5:
                break
        assert refused == 5
        assert operator.request("GET", "Patient?_count=1").status_code == 200
        with MllpClient("127.0.0.1", clinic.mllp_port) as client:
            # Small messages find room in pages that the refused ones left; then there is none.
            last = next((number for number in range(200) if client.send(fresh(clinic, f"full-{number}")).code == "AE"), None)
            assert last is not None
    assert post(clinic, "full-after").status_code == 201
    assert stored(clinic, "full-") == acknowledged | {"full-after"}
    with MllpClient("127.0.0.1", clinic.mllp_port) as client:
        assert client.send(fresh(clinic, f"full-{last}")).code == "AA"
    clinic.assert_audit_holds()


@pytest.mark.conformance("Attacks", "75: a disk without room for the audit journal discloses nothing")
@pytest.mark.conformance("Faults", "where the audit journal cannot be written, reads disclose nothing and answer 503")
def test_a_disk_without_room_for_the_audit_journal_discloses_nothing(shared_clinic):
    clinic = shared_clinic
    operator = clinic.as_role("operator")
    with no_file_grows_beyond(clinic.serving_process(), 4096):
        response = operator.request("GET", "Patient?_count=1")
        assert response.status_code == 503
        assert "audit" in response.json()["issue"][0]["diagnostics"]
        assert "Patient" not in response.text
        assert httpx.get(f"{clinic.demo.server}/healthz", trust_env=False).status_code == 200
        assert operator.request("GET", "metadata").status_code == 200
    assert operator.request("GET", "Patient?_count=1").status_code == 200
    clinic.assert_audit_holds()


@pytest.mark.conformance("Attacks", "75: a locked store is answered and reads go on")
@pytest.mark.long
@pytest.mark.conformance("Faults", "a store that another process locks answers writes with 503 and messages with AE; reads go on, and afterwards writes work again")
def test_a_locked_store_is_answered_and_reads_go_on(shared_clinic):
    clinic = shared_clinic
    operator = clinic.as_role("operator")
    with locked(clinic), MllpClient("127.0.0.1", clinic.mllp_port) as client:
        assert_unavailable(post(clinic, "locked-1"))
        assert operator.request("GET", "Patient?_count=1").status_code == 200
        assert client.send(fresh(clinic, "locked-1")).code == "AE"
        assert httpx.get(f"{clinic.demo.server}/healthz", trust_env=False).status_code == 200
        with pytest.raises(PartFailed, match="Another process holds the database"):
            clinic.chartloop("token", "--role", "operator")
    assert post(clinic, "locked-2").status_code == 201
    until(lambda: httpx.get(f"{clinic.demo.server}/readyz", trust_env=False).status_code == 200, "the server to be ready again", timeout_s=30)
    assert stored(clinic, "locked-") == {"locked-2"}
    with MllpClient("127.0.0.1", clinic.mllp_port) as client:
        assert client.send(fresh(clinic, "locked-1")).code == "AA"


def test_a_lock_that_is_short_is_waited_for(shared_clinic):
    shared_clinic.as_role("operator")
    with ThreadPoolExecutor(1) as pool:
        with locked(shared_clinic):
            response = pool.submit(post, shared_clinic, "short-1")
        assert response.result().status_code == 201
