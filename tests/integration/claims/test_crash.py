"""kill -9 between send and receipt: once per lane, and the payer counts one claim."""

import os
import signal
import subprocess
import sys

import pytest

from claims.interchange_store import add_interchange, interchange
from tests.integration.claims.faults_payer import WirePayer
from tests.integration.claims.world import World


@pytest.mark.conformance("Attacks", "89: a sender killed between send and receipt sends nothing twice")
@pytest.mark.conformance("Faults", "kill -9 between send and receipt: the payer gets each interchange once, other lanes go on")
@pytest.mark.long
def test_a_sender_killed_between_send_and_receipt_sends_nothing_twice(database, database_url, tmp_path):
    world = World(database, tmp_path / "main")
    wire, other = WirePayer(), WirePayer()
    child = None
    try:
        world.payer(address=wire.address)
        world.payer("P2", other.address, number="2")
        wire.mode = "hang"

        def queue(tx):
            for n, payer in ((1, "P1"), (2, "P1"), (3, "P2")):
                add_interchange(tx, "out", payer, f"{n:09}", str(n), "837P", "queued", f"{payer}/CHARTLOOP-{n:09}", b"ISA%d" % n)
                world.outbox.publish(tx, "InterchangeQueued", f"interchange/{n}", key=f"payer/{payer}")

        def states():
            with world.db.read() as session:
                return [interchange(session, n).state for n in (1, 2, 3)]

        child = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.claims.crash_sender", database_url, str(tmp_path / "child")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": os.getcwd()},
        )
        assert child.stdout.readline() == b"ready\n"
        world.db.write(queue)
        assert wire.arrived.wait(30)
        world.until(lambda: states()[2] == "sent")
        child.send_signal(signal.SIGKILL)
        child.wait(10)
        wire.mode = "take"
        wire.stopping.set()
        world.worker.start()

        world.until(lambda: states() == ["unknown", "sent", "sent"], timeout_s=60)
        assert wire.received == [b"ISA1", b"ISA2"]
        assert other.received == [b"ISA3"]
        assert world.task_codes() == ["interchange-outcome-unknown"]
    finally:
        if child is not None:
            child.kill()
            child.wait(10)
            child.stdin.close()
            child.stdout.close()
        world.stop()
        wire.stop()
        other.stop()
