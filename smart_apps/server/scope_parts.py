"""Parts of a scope that a person may keep while leaving others out: types of `*`, kinds of entries of a type.

A scope is granted as it was asked for while all its parts are ticked; else each part that is ticked is a scope of its own.
Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html#finer-grained-resource-constraints-using-search-parameters
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from typing import Final, NamedTuple

from chartloop.kernel.access.smart_scopes import SmartScope, parse
from smart_apps.server.scope_kinds import KINDS
from smart_apps.server.scope_words import NOUNS, scope_words

_READING: Final = frozenset("rs")


class Part(NamedTuple):
    """A part of a scope: a narrower scope, and words."""

    scope: str
    words: str


def parts(text: str, enforceable: Callable[[str], bool]) -> list[Part]:
    """List the parts of a scope that reads; none where it cannot be divided."""
    scope = parse(text)
    if scope is None or scope.query or not set(scope.letters) <= _READING:
        return []
    found = [Part(each, scope_words(each)) for each in map(str, _narrower(scope)) if enforceable(each)]
    return found if len(found) > 1 else []


def _narrower(scope: SmartScope) -> Iterator[SmartScope]:
    if scope.type == "*":
        yield from (replace(scope, type=type_) for type_ in NOUNS if type_ != "*")
        return
    for code, (system, _) in KINDS.get(scope.type, {}).items():
        yield replace(scope, query=f"category={system}|{code}")


def kept(text: str, ticked: Collection[str], enforceable: Callable[[str], bool]) -> list[str]:
    """Give the scopes that are left of one whose parts were offered: itself while all are ticked."""
    offered = [part.scope for part in parts(text, enforceable)]
    left = [each for each in offered if each in ticked]
    return [text] if left == offered else left
