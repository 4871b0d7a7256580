"""Which answers show nothing, and so must not tell by the clock whether something is hidden."""

from __future__ import annotations

from collections.abc import Iterable

from chartloop.kernel.errors import ChartloopError
from chartloop.kernel.even_answers import SHARED, shows_nothing
from chartloop.kernel.http import Environ
from fhir_server.http.outcome import status_of
from fhir_server.interactions.entry_reads import Answer
from fhir_server.store import Page, Written


def tell_nothing(environ: Environ, answers: Iterable[Answer]) -> None:
    """Count the answers of a request that show nothing."""
    if parts := sum(map(_is_nothing, answers)):
        shows_nothing(environ, parts)


def _is_nothing(answer: Answer) -> bool:
    if isinstance(answer, Page):
        return not (answer.entries or answer.included or answer.total)
    if isinstance(answer, Written):
        return not answer.stored.version
    return isinstance(answer, ChartloopError) and status_of(answer) in SHARED
