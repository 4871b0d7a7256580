"""What was acknowledged is there after a kill; a locked store is answered, and nothing is lost."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from chartloop.demo.mllp_client import MllpClient
from chartloop.kernel.audit.journal import Audit
from chartloop.kernel.broker_table import TableBus
from chartloop.kernel.db import create_tables, open_database
from chartloop.kernel.outbox import Outbox
from ingest.intake import Intake
from tests.unit.ingest.messages import A04

ROOT = Path(__file__).parents[3]
LISTENER = """
import sys
from pathlib import Path
from chartloop.kernel.audit.journal import Audit
from chartloop.kernel.broker_table import TableBus
from chartloop.kernel.db import create_tables, open_database
from chartloop.kernel.outbox import Outbox
from chartloop.kernel.settings_sections import MllpSettings
from ingest.intake import Intake
from ingest.mllp import MllpServer

database = open_database(sys.argv[1])
create_tables(database)
server = MllpServer(MllpSettings(port=0), Intake(database, Outbox(TableBus(database), b"secret"), Audit(Path(sys.argv[1].removeprefix("sqlite:///")).parent)))
print(server.start(), flush=True)
sys.stdin.read()
"""


@pytest.mark.conformance("HL7 v2", "While another process holds the store, the answer is AE; afterwards the message is taken")
def test_while_the_file_is_locked_the_sender_is_told_to_send_again(tmp_path):
    path = tmp_path / "locked.sqlite3"
    database = open_database(f"sqlite:///{path}", busy_timeout_s=0.2)
    create_tables(database)
    intake = Intake(database, Outbox(TableBus(database), b"secret"), Audit(tmp_path))
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    assert b"\rMSA|AE|M1|" in intake.receive(A04.encode())
    holder.execute("ROLLBACK")
    holder.close()
    assert b"\rMSA|AA|M1\r" in intake.receive(A04.encode())
    with database.read() as session:
        assert session.all("SELECT control_id, state FROM hl7_message") == [("M1", "accepted")]
    database.close()


@pytest.mark.long
@pytest.mark.conformance("HL7 v2", "Every message that was acknowledged is there after kill -9")
@pytest.mark.parametrize("after_s", [0.2, 0.5, 0.9])
def test_what_was_acknowledged_survives_a_kill(database_url, after_s):
    process = subprocess.Popen([sys.executable, "-c", LISTENER, database_url], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True, cwd=ROOT)
    port = int(process.stdout.readline())
    acknowledged = []

    def send(number):
        try:
            with MllpClient("127.0.0.1", port, timeout_s=5) as client:
                for turn in range(100_000):
                    control_id = f"{number}.{turn}"
                    client.deliver(A04.replace("|M1|", f"|{control_id}|"))
                    acknowledged.append(control_id)
        except Exception:
            return  # the listener is gone

    threads = [threading.Thread(target=send, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    while not acknowledged and any(thread.is_alive() for thread in threads):
        time.sleep(0.01)
    time.sleep(after_s)
    os.kill(process.pid, signal.SIGKILL)
    for thread in threads:
        thread.join()
    process.wait()
    process.stdin.close()
    process.stdout.close()
    database = open_database(database_url)
    with database.read() as session:
        kept = {control_id for (control_id,) in session.all("SELECT control_id FROM hl7_message")}
        events = session.one("SELECT COUNT(*) FROM event WHERE type = 'MessageReceived'")[0]
    database.close()
    assert acknowledged
    assert set(acknowledged) <= kept
    assert events == len(kept)
