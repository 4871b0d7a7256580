"""`chartloop claims payers`: what an operator sees of an outage."""

import json

import pytest

from chartloop.app import open_kernel
from chartloop.cli.main import run
from chartloop.kernel.config import load_settings
from claims.interchange_store import add_interchange
from claims.payers.breaker import Breakers
from claims.payers.limits import limits_of


@pytest.mark.long
def test_the_command_lists_breaker_queue_and_age_of_every_payer(tmp_path, capsys):
    assert run(["claims", "payers", "--data", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "nothing was ever sent to a payer\n"
    settings = load_settings({"data": tmp_path})
    with open_kernel(settings) as kernel:
        for number, state in ((1, "queued"), (2, "unknown"), (3, "sent")):
            kernel.database.write(lambda tx, n=number, s=state: add_interchange(tx, "out", "P1", f"{n:09}", str(n), "837P", s, f"P1/X-{n}", b"ISA"))
        breakers = Breakers(kernel.database, limits_of(settings.claims))
        for _ in range(5):
            breakers.failed("P1", "sending")
    assert run(["claims", "payers", "--data", str(tmp_path)]) == 0
    line = capsys.readouterr().out
    assert line.startswith("P1                sending open       mailbox closed     1 queued, 1 unknown, the oldest for ")
    assert line.endswith("; put back 0 times\n")
    assert run(["claims", "payers", "--data", str(tmp_path), "--json"]) == 0
    (payer,) = json.loads(capsys.readouterr().out)["payers"]
    assert (payer["payer"], payer["sending"], payer["waiting"]) == ("P1", "open", {"queued": 1, "sending": 0, "unknown": 1})
