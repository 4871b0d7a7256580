"""A search in a store whose limits a test may have lowered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from chartloop.kernel.errors import Invalid
from fhir_server.repository import Repository
from fhir_server.search import hops, planner, plans, sifting
from tests.integration.fhir_server.conftest import scope

PLANS: Final[Mapping[str, tuple[int, ...]]] = {
    "usual": (256, 2_000, 512, 256, 64, 2_000),
    "what is tried is enough": (1, 2_000, 5, 1, 3, 1_000),
    "what is tried is not enough": (1, 2_000, 2, 1, 2, 3),
    "nothing is selective": (1, 1, 2, 1, 1, 3),
}
"""By name, what makes a small store choose the plans of a large one."""
_KNOBS: Final = ((planner, "FEW"), (planner, "ESTIMATE_LIMIT"), (plans, "TRIED"), (hops, "FEW"), (sifting, "FIRST"), (sifting, "TRIED"))


@contextmanager
def plans_of(name: str) -> Iterator[None]:
    """Choose the plans."""
    before = [getattr(module, knob) for module, knob in _KNOBS]
    try:
        for (module, knob), value in zip(_KNOBS, PLANS[name], strict=True):
            setattr(module, knob, value)
        yield
    finally:
        for (module, knob), value in zip(_KNOBS, before, strict=True):
            setattr(module, knob, value)


def found_within(repository: Repository, role: str, type_: str, query: str, most: int) -> list[str] | None:
    """Ids in order; None where a low limit of the hops refuses the search."""
    try:
        return [stored.id for stored in repository.all(scope(role), type_, query)]
    except Invalid as refused:
        if refused.issues[0].code == "too-costly" and most < 10_000:
            return None
        raise


def total_within(repository: Repository, role: str, type_: str, query: str, most: int) -> int | None:
    """The total; None where a low limit of the hops refuses it, as it may where pages are given."""
    try:
        return repository.search(scope(role), type_, f"{query}&_total=accurate").total
    except Invalid as refused:
        if refused.issues[0].code == "too-costly" and most < 10_000:
            return None
        raise
