"""One store for each kind of database, filled once: what the tables of the R4 specification are asked of."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fhir_server.repository import Repository
from fhir_server.store import Store
from tests.conformance.opened import DIALECTS, opened
from tests.conformance.r4_resources import RESOURCES
from tests.integration.fhir_server.conftest import fill, scope
from tests.integration.fhir_server.test_http import Api


@pytest.fixture(scope="module", params=DIALECTS)
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """The resources of the tables, on each kind of database, read by every test of a module."""
    with opened(request, request.param, tmp_path_factory.mktemp("r4")) as store:
        fill(Repository(store), scope("operator"), RESOURCES)
        yield store


@pytest.fixture(scope="module")
def served(filled: Store) -> Api:
    """The API over it."""
    return Api(filled)


@pytest.fixture(scope="session")
def published(corpus: Path) -> Path:
    """The R4 package."""
    return corpus / "fhir" / "r4-core-4.0.1.tar.xz"
