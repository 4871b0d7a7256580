"""A claims engine over each kind of database, with a simulated payer."""

import pytest

from tests.integration.claims.world import RunningPayer, World


@pytest.fixture
def world(database, tmp_path):
    made = World(database, tmp_path)
    yield made
    made.stop()


@pytest.fixture
def running_payer(tmp_path):
    directory = tmp_path / "payer"
    directory.mkdir()
    payer = RunningPayer(directory)
    yield payer
    payer.stop()
