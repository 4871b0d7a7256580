"""Worlds on each kind of database."""

import psycopg
import pytest

from tests.integration.omop.world import World


@pytest.fixture(params=["sqlite", "postgresql"])
def urls(request, tmp_path):
    """URLs of a store, a CDM and a lineage, all empty."""
    if request.param == "sqlite":
        yield tuple(f"sqlite:///{tmp_path / name}.sqlite3" for name in ("store", "cdm", "lineage"))
        return
    server = request.getfixturevalue("postgresql_server")
    names = [f"omop_{abs(hash(str(tmp_path))) % 10**8}_{name}" for name in ("store", "cdm", "lineage")]
    with psycopg.connect(server, autocommit=True) as connection:
        for name in names:
            connection.execute(f"CREATE SCHEMA {name}")
    yield tuple(f"{server}&options=-csearch_path%3D{name}" for name in names)
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("SET client_min_messages = warning")
        for name in names:
            connection.execute(f"DROP SCHEMA {name} CASCADE")


@pytest.fixture
def world(urls, tmp_path):
    made = World(urls, tmp_path)
    yield made
    made.close()
