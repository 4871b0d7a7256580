"""What the SMART scopes of a token leave of the rows of a type, as an expression like those of the policies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chartloop.kernel.access.expression import FALSE, TRUE, Attr, Const, Node, Op
from chartloop.kernel.access.folding import junction
from chartloop.kernel.access.granular import Marker, granular_condition, nothing
from chartloop.kernel.access.smart_scopes import SmartScope, parse_all
from chartloop.kernel.access.subject import Subject


def scope_condition(subject: Subject, action: str, type_: str, settings: Mapping[str, Any], marker: Marker = nothing) -> Node:
    """Build the condition that scopes put on rows.

    Args:
        subject: Whose scopes.
        action: Interaction word; one without an entry in `settings["letters"]` is refused.
        type_: Resource type.
        settings: Content of scopes.toml.
        marker: Reads the search parameters of scopes.
    """
    letters = settings["letters"].get(action)
    scopes = parse_all(subject.scopes)
    if letters is None or not scopes:
        return FALSE
    of_type = [scope for scope in scopes if scope.type in {"*", type_}]
    rows = [(scope.letters, junction("&&", (_rows(scope, type_, subject, settings), _parameters(scope, action, type_, marker)))) for scope in of_type]
    per_letter = tuple(junction("||", tuple(condition for held, condition in rows if letter in held)) for letter in letters)
    return junction("&&", per_letter)


def _parameters(scope: SmartScope, action: str, type_: str, marker: Marker) -> Node:
    return granular_condition(scope, action, type_, marker) if scope.query else TRUE


def _rows(scope: SmartScope, type_: str, subject: Subject, settings: Mapping[str, Any]) -> Node:
    if scope.context != "patient" or type_ in settings["directory"]:
        return TRUE
    if not subject.patient:
        return FALSE
    return Op("==", (Attr("patient"), Const(subject.patient)))
