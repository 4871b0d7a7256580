"""The grants of a resource that is being written, and their place in its transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from chartloop.kernel import clock
from chartloop.kernel.access import grant_table
from chartloop.kernel.access.grants import ASSIGNMENT, PERMISSION, SAID_BY_PATIENTS, Grant
from chartloop.kernel.access.rows import EVERYTHING, RowAttributes
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.db import Tx
from fhir_server import rows
from fhir_server.granting import relations
from fhir_server.granting.consents import Compiled, compile_consent
from fhir_server.store import Store, acting
from fhir_server.type_ids import TYPE_IDS, TYPE_NAMES

CONSENT: Final = "Consent"
CONSENT_CHANGED: Final = "ConsentChanged"
"""Event: what a patient permits or denies is another than before."""

SOURCES: Final = frozenset({"Encounter", "EpisodeOfCare", "CareTeam", "Patient", "Task", CONSENT})
"""Types that grants follow from."""

NO_GRANTS: Final = Compiled()
_PAYERS: Final = frozenset({"ins", "pay"})


def derived(store: Store, type_: str, resource: Mapping[str, Any], attributes: RowAttributes) -> Compiled | None:
    """Derive the grants of a resource; None for a type that makes none."""
    if type_ not in SOURCES:
        return None
    own, base = attributes.patient, store.base
    if type_ == CONSENT:
        return compile_consent(resource, own, base)
    if type_ == "Task":  # in no patient's compartment, but for somebody
        own = relations.local(resource.get("for"), base, frozenset({"Patient"}))
    if not own:
        return NO_GRANTS
    match type_:
        case "Encounter":
            found = relations.encounter(resource, own, base, store.care_after_us, clock.now_us())
        case "EpisodeOfCare":
            found = relations.episode(resource, own, base)
        case "CareTeam":
            found = relations.care_team(resource, own, base)
        case "Patient":
            found = relations.patient(resource, own, base)
        case _:
            found = relations.task(resource, own, base)
    return Compiled(tuple(found))


def keep(store: Store, scope: Scope, tx: Tx, reference: str, made: Compiled, attributes: RowAttributes) -> frozenset[str]:
    """Let the grants of a resource be those that were derived from it, as far as its writer has a say; returns the patients of whom any changed.

    Who has no say adds none: a relation that the resource does not name any more ends, and what a patient said stays as it was.
    """
    old = grant_table.of_source(tx, reference, TYPE_NAMES)
    wanted = [resolved(store, tx, grant)._replace(source=reference) for grant in made.grants]
    consent = attributes.type == CONSENT
    if wanted and not store.access.decides(acting(scope, "consent" if consent else "relate"), attributes):
        known = {_same(grant) for grant in old}
        wanted = old if consent else [grant for grant in wanted if _same(grant) in known]
    changed = frozenset(grant.patient for grant in set(wanted) ^ set(old))
    if not changed:
        return changed
    grant_table.remove_source(tx, reference)
    grant_table.add(tx, dict.fromkeys(wanted), TYPE_IDS)
    return changed


def _same(grant: Grant) -> tuple[object, ...]:
    """What makes two relations the same: a note stays handed out when a coder takes the Task."""
    return (grant.kind, grant.patient, grant.type, grant.target, "" if grant.kind == ASSIGNMENT else grant.actor)


def resolved(store: Store, tx: Tx, grant: Grant) -> Grant:
    """A role is played by a person. What is said of an organisation that pays concerns who acts for it; of any other, everybody may belong to it."""
    type_, _, id_ = grant.actor.partition("/")
    if type_ == "PractitionerRole":
        person = relations.local(_body(store, tx, type_, id_).get("practitioner"), store.base)
        return grant._replace(actor=person or grant.actor)
    if type_ == "Organization" and grant.kind in SAID_BY_PATIENTS - {PERMISSION}:
        codings: Iterable[Any] = (each for kind in _body(store, tx, type_, id_).get("type", ()) for each in kind.get("coding", ()))
        return grant if any(each.get("code") in _PAYERS for each in codings) else grant._replace(actor="")
    return grant


def _body(store: Store, tx: Tx, type_: str, id_: str) -> Mapping[str, Any]:
    row = rows.current(tx, type_, id_, EVERYTHING)
    if row is None or row.deleted:
        return {}
    parsed: Mapping[str, Any] = msgspec.json.decode(store.codec.unpack(row.codec, row.dict_id, row.packed, row.place))
    return parsed
