"""The processes of a server: how they end, that none is left behind, and who may not run beside whom."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from chartloop.kernel.config import load_settings
from omop_bridge.database import open_lineage
from omop_bridge.runs import Run, latest
from tests.integration.product.clinic import Clinic, session_members, until

pytestmark = pytest.mark.long


def serve(data: Path, port: int, mllp_port: int) -> subprocess.CompletedProcess[str]:
    arguments = [sys.executable, "-m", "chartloop", "serve", "--data", str(data), "--port", str(port), "--mllp-port", str(mllp_port)]
    return subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)


def one_sentence(result: subprocess.CompletedProcess[str], words: str) -> bool:
    lines = result.stderr.strip().splitlines()
    return result.returncode == 1 and len(lines) == 1 and words in lines[0] and not result.stdout


@pytest.mark.conformance("Processes", "a second server on the same directory is refused with one sentence, and the first goes on")
def test_a_second_server_on_the_same_directory_is_refused(shared_clinic):
    assert one_sentence(serve(shared_clinic.data, 0, 0), "already serves")
    assert httpx.get(f"{shared_clinic.demo.server}/readyz", trust_env=False).status_code == 200


@pytest.mark.conformance("Processes", "a port that is taken is refused with one sentence, never shared")
def test_a_port_that_is_taken_is_refused_and_never_shared(shared_clinic, tmp_path):
    assert one_sentence(serve(tmp_path, shared_clinic.port, 0), f"port {shared_clinic.port}: Address already in use")
    assert one_sentence(serve(tmp_path, 0, shared_clinic.mllp_port), f"port {shared_clinic.mllp_port}: Address already in use")


def with_every_process(clinic: Clinic) -> int:
    """Bring a clinic so far that the coder's process runs too; return the number of the server's session."""
    clinic.start()
    visits = clinic.population.visits[:1]
    clinic.load(visits)
    clinic.send(visits)
    clinic.finish(visits)
    session = clinic.parts.running["server"].pid
    assert len(session_members(session)) > 2
    return session


@pytest.mark.conformance("Command line", "on SQLite `serve` alone also runs the consumers, the coder and the MLLP listener: a visit becomes a settled claim")
@pytest.mark.long
@pytest.mark.conformance("Processes", "SIGTERM ends a server with all of its processes, in order")
def test_a_signal_ends_the_server_with_all_of_its_processes(open_clinic):
    clinic = open_clinic()
    session = with_every_process(clinic)
    assert clinic.parts.stop("server") == 0
    until(lambda: session_members(session) == [], "every process of the server to end", timeout_s=10)
    clinic.assert_audit_holds()


@pytest.mark.conformance("OMOP", "a server that ends writes down that its run has ended, and lets go of the research databases")
def test_a_server_that_ends_has_finished_following_for_the_research_database(open_clinic):
    clinic = open_clinic()
    clinic.start_server()
    clinic.load(clinic.population.visits[:1])
    lineage = open_lineage(load_settings({"data": clinic.data}).omop_lineage_url)

    def run() -> Run | None:
        with lineage.read() as session:
            return latest(session)

    try:
        until(lambda: (seen := run()) is not None and seen.resources > 0, "the research database to follow")
        assert run().finished is None
        assert clinic.parts.stop("server") == 0
        assert (run().kind, run().finished is not None) == ("follow", True)
    finally:
        lineage.close()


@pytest.mark.long
@pytest.mark.parametrize("victim", ["the main process", "the process that serves"])
@pytest.mark.conformance("Faults", "a server of which one process is killed leaves no other that holds its port or its store; it starts again at once")
def test_a_killed_process_leaves_no_orphan_and_the_server_starts_again(open_clinic, victim):
    clinic = open_clinic()
    session = with_every_process(clinic)
    serving = clinic.serving_process()
    process = clinic.parts.running.pop("server")
    os.kill(session if victim == "the main process" else serving, signal.SIGKILL)
    assert process.wait(20) != 0
    until(lambda: session_members(session) == [], "the others to end too", timeout_s=20)
    clinic.start_server()
    assert clinic.settled() == 1
    clinic.assert_audit_holds()
