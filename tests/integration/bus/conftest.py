"""Brokers that live as long as this run of the tests, and a world for each adapter."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from chartloop.kernel.db import create_tables, open_database

from .apache_kafka import LIBS, ApacheKafka
from .brokers import Broker, KinesisServer
from .world import EFFECTS, World, settings_for


@pytest.fixture(scope="session")
def kafka(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker | ApacheKafka]:
    if LIBS:
        yield request.getfixturevalue("apache_kafka")
        return
    with Broker(tmp_path_factory.mktemp("kafka") / "broker.log") as broker:
        yield broker


@pytest.fixture(scope="session")
def apache_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApacheKafka]:
    if not LIBS:  # PyPI, all that the project installs from, does not have them
        pytest.skip("no Apache Kafka: set APACHE_KAFKA_LIBS to the folder of its jars")
    with ApacheKafka(tmp_path_factory.mktemp("apache-kafka")) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def kinesis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KinesisServer]:
    with KinesisServer(tmp_path_factory.mktemp("kinesis") / "moto.log") as server:
        yield server


def _adapter(name: str, request: pytest.FixtureRequest):
    if name == "memory":
        return None
    if name == "kafka":
        broker = request.getfixturevalue("kafka")
        return settings_for(broker.url, **broker.settings)
    if name == "kinesis":
        monkeypatch = request.getfixturevalue("monkeypatch")
        for variable, value in (("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test"), ("AWS_EC2_METADATA_DISABLED", "true")):
            monkeypatch.setenv(variable, value)
        return settings_for("kinesis://us-east-1/TOPIC", endpoint=request.getfixturevalue("kinesis").endpoint)
    return settings_for("table")


@pytest.fixture
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """The adapter and the store that the test names, as `kafka sqlite`."""
    adapter, store = request.param.split()
    url = f"sqlite:///{tmp_path / 'chartloop.sqlite3'}" if store == "sqlite" else request.getfixturevalue("postgresql_url")
    database = open_database(url)
    create_tables(database)
    create_tables(database, EFFECTS)
    made = World(database, _adapter(adapter, request))
    yield made
    made.close()
    database.close()
