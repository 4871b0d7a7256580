"""$validate: every error of a resource and its place, by the base specification; nothing is stored.

The right to do what is asked about is needed: a create, an update or a delete is tried up to the moment it would be stored.
Spec: https://hl7.org/fhir/R4/resource-operation-validate.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from chartloop.kernel import ids
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.errors import Forbidden, Invalid, Issue, Unprocessable
from fhir_server.auditing import record, refusals_audited
from fhir_server.interactions.delete import removal
from fhir_server.interactions.update import next_version, require_update
from fhir_server.preparing import labelling, new_version, require_whole
from fhir_server.rows import one_by_one
from fhir_server.store import Store, acting, require
from fhir_server.validation.errors import MAX_ISSUES
from fhir_server.validation.resources import Validated, validate

MODES: Final = ("create", "update", "delete")


class Trial(NamedTuple):
    """What is to be validated: for which interaction, and the resource; a delete needs none."""

    mode: str
    resource: bytes


def validate_resource(store: Store, scope: Scope, type_: str, id_: str, trial: Trial) -> tuple[Issue, ...]:
    """Return every error, and what was not checked.

    Args:
        store: The store.
        scope: Who asks.
        type_: Resource type of the address.
        id_: Id of the address; empty on the type level.
        trial: What is to be validated.

    Raises:
        Forbidden: The interaction is not permitted.
        NotFound: There is no such resource for who asks.
        Invalid: The mode does not fit the address, or the resource is missing.
    """
    operating = acting(scope, "operation")
    place = "/".join(part for part in (type_, id_, "$validate") if part)
    with refusals_audited(store, operating, place):
        _require_right(store, scope, type_, trial.mode)
        issues = _deleted(store, scope, type_, id_) if trial.mode == "delete" else _judged(store, scope, type_, id_, trial)
    store.audit.access(record(operating, [place], ()))
    return issues


def _require_right(store: Store, scope: Scope, type_: str, mode: str) -> None:
    if mode not in MODES:
        raise Invalid(f"The mode is one of {', '.join(MODES)}.", code="not-supported", expression="mode")
    if mode == "update":
        require_update(store, acting(scope, "update"), type_)
    else:
        require(store, acting(scope, mode), type_)


def _deleted(store: Store, scope: Scope, type_: str, id_: str) -> tuple[Issue, ...]:
    if not id_:
        raise Invalid("To validate a delete, name the resource in the address.", expression="mode")
    with store.db.read() as session:
        removal(store, acting(scope, "delete"), one_by_one(session), type_, id_)
    return (Issue("information", "informational", "The resource can be deleted."),)


def _judged(store: Store, scope: Scope, type_: str, id_: str, trial: Trial) -> tuple[Issue, ...]:
    if not trial.resource:
        raise Invalid("There is no resource to validate.", code="required", expression="resource")
    if id_ and trial.mode == "create":
        raise Invalid("A create has no id in its address.", code="value", expression="mode")
    try:
        validated = validate(trial.resource, type_=type_)
        if trial.mode == "update":
            _require_id(validated, id_)
    except (Invalid, Unprocessable) as error:
        more = len(error.issues) >= MAX_ISSUES
        return (*error.issues, *((Issue("information", "incomplete", f"Only the first {MAX_ISSUES} errors are listed."),) if more else ()))
    _try(store, scope, validated, trial)
    return tuple(_unchecked(validated))


def _require_id(validated: Validated, id_: str) -> None:
    if not validated.id:
        raise Unprocessable("An update needs the id of the resource.", code="required", expression=f"{validated.type}.id")
    require_whole(validated.resource, id_ or validated.id)


def _try(store: Store, scope: Scope, validated: Validated, trial: Trial) -> None:
    """Prepare the write as it would be prepared, and refuse what would be refused."""
    with store.db.read() as session:
        label = labelling(store, session)
        if trial.mode == "update":
            next_version(store, acting(scope, "update"), one_by_one(session), validated.id, validated, trial.resource, None, label)
            return
        prepared = new_version(store, validated.type, ids.public_id(), validated.resource, trial.resource, None, label, assigned=True)
        if prepared is None or not store.access.decides(acting(scope, "create"), prepared[0].attributes):
            raise Forbidden


def _unchecked(validated: Validated) -> Iterator[Issue]:
    yield Issue("information", "informational", "No error was found.")
    yield from validated.warnings
    for where in _with_profiles(validated.resource, validated.type):
        yield Issue("information", "not-supported", "Profiles are not checked: the base specification alone is.", where)
    yield Issue("information", "not-supported", "The base specification is checked, with its invariants; slices and profiles are not.")


def _with_profiles(resource: Mapping[str, Any], path: str) -> Iterator[str]:
    if resource.get("meta", {}).get("profile"):
        yield f"{path}.meta.profile"
    for index, inner in enumerate(resource.get("contained", ())):
        yield from _with_profiles(inner, f"{path}.contained[{index}]")
