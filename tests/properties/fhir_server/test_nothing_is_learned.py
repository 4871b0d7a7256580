"""What a reader can learn: two stores that differ only in what is hidden from a reader give this reader the same answers, byte for byte."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chartloop.kernel.clock import FakeClock, set_clock
from tests.conformance.opened import opened
from tests.properties.fhir_server.twin_stores import OPERATOR, READERS, Asking, charts, fill_twins, heard, pairs, requests

Twins = Callable[[str, str, int], tuple[Asking, Asking, int]]
SEED = 20261122
IN_THE_SHORT_RUN = ("billing", "another ward")
CASES = [
    *(("sqlite", each) if each in IN_THE_SHORT_RUN else pytest.param("sqlite", each, marks=pytest.mark.long) for each in READERS),
    *(pytest.param("postgresql", each, marks=pytest.mark.long) for each in IN_THE_SHORT_RUN),
]


@pytest.fixture(scope="module")
def twins(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twins]:
    """Makes a full store and a bare one on a kind of database, for a reader and a seed, once; and tells how many rows differ."""
    with ExitStack() as open_ones:

        @cache
        def make(dialect: str, reader: str, seed: int) -> tuple[Asking, Asking, int]:
            probe, full, bare = (open_ones.enter_context(opened(request, kind, tmp_path_factory.mktemp("twins"))) for kind in ("sqlite", dialect, dialect))
            clock = FakeClock()
            set_clock(clock)
            who = READERS[reader]
            differ = fill_twins(full, bare, pairs(probe, who, charts(seed, 4)), clock)
            clock.advance(60)
            return Asking(full, who), Asking(bare, who), differ

        yield make


def _compare(full: Asking, bare: Asking, seed: int, how_many: int) -> int:
    answered = 0
    for method, path in itertools.islice(requests(random.Random(seed)), how_many):
        there, gone = heard(full, method, path), heard(bare, method, path)
        assert there == gone, (path, seed)
        answered += there[0][0] == 200  # type: ignore[index]
    return answered


@pytest.mark.long
@pytest.mark.conformance("Access", "what a reader can learn: bodies, totals, links, ETags, headers and statuses of random requests are those of a store without what is hidden from this reader")
@pytest.mark.conformance("Attacks", "16: random requests find nothing of a hidden resource")
@pytest.mark.conformance("Attacks", "39: ETag, Last-Modified and status are those of a store that holds nothing hidden")
@pytest.mark.parametrize(("dialect", "reader"), CASES)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_random_requests_tell_nothing_of_what_is_hidden(twins: Twins, dialect: str, reader: str, seed: int) -> None:
    full, bare, differ = twins(dialect, reader, SEED)
    assert differ > 10, "a good deal is hidden"
    _compare(full, bare, seed, 5)


@pytest.mark.long
@pytest.mark.parametrize("reader", READERS)
def test_many_more_requests_over_other_charts_tell_nothing_either(twins: Twins, reader: str) -> None:
    full, bare, _ = twins("sqlite", reader, SEED + 1)
    answered = _compare(full, bare, SEED, 120)
    assert answered > (5 if reader == "researcher" else 15)


@pytest.mark.conformance("Access", "the one thing that may leak: that a visible resource changed, and when; what changed in its hidden part is not told")
def test_the_one_leak_is_that_a_visible_resource_changed_and_when(twins: Twins) -> None:
    full, _, _ = twins("sqlite", "billing", SEED)
    note = {"resourceType": "DocumentReference", "id": "leak", "status": "current", "subject": {"reference": "Patient/a"}, "description": "one", "content": [{"attachment": {"title": "t"}}]}
    for words in ("one", "two"):
        full.door.update(OPERATOR, "DocumentReference", "leak", {**note, "description": words})
    first, second = (full("GET", f"DocumentReference/leak/_history/{number}").get_json() for number in (1, 2))
    assert {first["meta"].pop("versionId"), second["meta"].pop("versionId")} == {"1", "2"}
    assert first["meta"].pop("lastUpdated") <= second["meta"].pop("lastUpdated")
    assert first == second
