"""What the SMART scopes of a token leave of the rows of a type, as an expression like those of the policies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chartloop.kernel.access.expression import FALSE, TRUE, Attr, Const, Node, Op
from chartloop.kernel.access.folding import junction
from chartloop.kernel.access.smart_scopes import SmartScope, parse_all
from chartloop.kernel.access.subject import Subject


def scope_condition(subject: Subject, action: str, type_: str, settings: Mapping[str, Any]) -> Node:
    """Build the condition that scopes put on rows.

    Args:
        subject: Whose scopes.
        action: Interaction word; one without an entry in `settings["letters"]` is refused.
        type_: Resource type.
        settings: Content of scopes.toml.
    """
    letters = settings["letters"].get(action)
    scopes = parse_all(subject.scopes)
    if letters is None or not scopes:
        return FALSE
    per_letter = tuple(_any_scope(scopes, letter, type_, subject, settings) for letter in letters)
    return junction("&&", per_letter)


def _any_scope(scopes: tuple[SmartScope, ...], letter: str, type_: str, subject: Subject, settings: Mapping[str, Any]) -> Node:
    matching = [scope for scope in scopes if letter in scope.letters and scope.type in {"*", type_} and not scope.query]
    return junction("||", tuple(_rows(scope, type_, subject, settings) for scope in matching))


def _rows(scope: SmartScope, type_: str, subject: Subject, settings: Mapping[str, Any]) -> Node:
    if scope.context != "patient" or type_ in settings["directory"]:
        return TRUE
    if not subject.patient:
        return FALSE
    return Op("==", (Attr("patient"), Const(subject.patient)))
