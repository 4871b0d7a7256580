"""Clinics of the product tests: one that many tests share, and one of its own for a test that breaks things."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.integration.product.clinic import Clinic


@pytest.fixture(scope="session")
def shared_clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    """A clinic on SQLite, with its directory and three patients loaded, that tests leave as they found it."""
    with Clinic(tmp_path_factory.mktemp("shared clinic")) as clinic:
        clinic.start()
        clinic.load(clinic.population.visits[:3])
        yield clinic
        clinic.kill()  # nothing looks at it again, and a stop waits for idle connections


@pytest.fixture
def open_clinic(tmp_path: Path) -> Iterator[Callable[..., Clinic]]:
    """Make a clinic of this test's own; nothing is started yet."""
    with ExitStack() as stack:

        def make(**options: object) -> Clinic:
            return stack.enter_context(Clinic(tmp_path / "clinic", **options))  # type: ignore[arg-type]

        yield make
