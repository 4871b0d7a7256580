"""What is not there is decided on like what is hidden, so that the time of a refusal does not tell one from the other."""

from __future__ import annotations

from typing import Final

from chartloop.kernel.access.rows import RowAttributes
from chartloop.kernel.access.scope import Scope
from fhir_server.store import Store

_NOBODY: Final = "Patient/-"
"""Whose a resource that is not there is: no id begins so in any chart."""


def decide_on_nothing(store: Store, type_: str, *scopes: Scope) -> None:
    """Take the decisions that a hidden row of a type would take, grants included, and forget them."""
    row = RowAttributes(type_, frozenset(), _NOBODY, "", "", "")
    for scope in scopes:
        store.access.decides(scope, row)
