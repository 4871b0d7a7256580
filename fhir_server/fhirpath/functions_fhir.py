"""Functions that FHIR adds: children, extensions, references, types, and what only others can answer.

Spec: https://hl7.org/fhir/R4/fhirpath.html#functions
"""

from __future__ import annotations

from typing import Final

from fhir_server.fhirpath.errors import Failed, Unanswerable
from fhir_server.fhirpath.functions import Call, plain
from fhir_server.fhirpath.operators import answer, single
from fhir_server.fhirpath.parts import Part, all_children, ancestors, is_fhir_type, resource_part, type_of
from fhir_server.fhirpath.parts import children as children_of
from fhir_server.fhirpath.parts import plain as value_of
from fhir_server.fhirpath.run import Collection, Run
from fhir_server.fhirpath.temporal import Temporal
from fhir_server.validation.xhtml import xhtml_problem

_DEFINITION: Final = "http://hl7.org/fhir/StructureDefinition/"


def _text(items: Collection, at: int) -> str | None:
    value = single(items, at)
    if value is not None and not isinstance(value, str):
        raise Failed("a text is needed here", at)
    return value


@plain()
def children(call: Call) -> Collection:
    found = [child for item in call.items if isinstance(item, Part) for child in all_children(item)]
    call.run.spend(len(found))
    return found


@plain()
def descendants(call: Call) -> Collection:
    """All parts below, equal ones too: what repeat() would drop."""
    found: Collection = []
    waiting = call.items
    while waiting:
        waiting = children(call._replace(items=waiting))
        found += waiting
    return found


@plain(1)
def extension(call: Call) -> Collection:
    url = _text(call.arguments[0], call.at)
    call.run.spend(len(call.items))
    below = [child for item in call.items if isinstance(item, Part) for child in children_of(item, "extension")]
    return [each for each in below if isinstance(each.value, dict) and each.value.get("url") == url]


@plain()
def has_value(call: Call) -> Collection:
    return [len(call.items) == 1 and not _complex(call.items[0])]


@plain()
def get_value(call: Call) -> Collection:
    return [value_of(call.items[0])] if len(call.items) == 1 and not _complex(call.items[0]) else []


def _complex(item: object) -> bool:
    return isinstance(item, Part) and (item.value is None or isinstance(item.value, dict))


@plain(name="type")
def type_(call: Call) -> Collection:
    return [type_of(item) for item in call.items]


@plain()
def resolve(call: Call) -> Collection:
    """The resources that references name; those that are not known are left out."""
    found = []
    for item in call.items:
        call.run.spend(10)
        text = _reference(item)
        part = (_contained(text, call.run) or (call.run.world.resolve and call.run.world.resolve(text, call.run))) if text else None
        if part:
            found.append(part)
        elif text:
            call.run.unresolved = True
    return found


def _reference(item: object) -> str:
    if not isinstance(item, Part):
        return item if isinstance(item, str) else ""
    value = item.value.get("reference") if isinstance(item.value, dict) else item.value
    return value if isinstance(value, str) else ""


def _contained(text: str, run: Run) -> Part | None:
    if text == "#":
        return run.root
    for part in children_of(run.root, "contained") if text.startswith("#") else ():
        if isinstance(part.value, dict) and part.value.get("id") == text[1:]:
            return part
    return None


@plain()
def html_checks(call: Call) -> Collection:
    value = _text(call.items, call.at)
    if value is None:
        return []
    call.run.spend(len(value) // 16)
    return [not xhtml_problem(value)]


@plain(1)
def conforms_to(call: Call) -> Collection:
    """Whether an item is of a type of the base specification; profiles are not known here."""
    url = _text(call.arguments[0], call.at)
    if not call.items or url is None:
        return []
    name = url.removeprefix(_DEFINITION)
    if not url.startswith(_DEFINITION) or not is_fhir_type(name):
        raise Unanswerable("only types of the base specification are known here, and no profiles", call.at)
    return [len(call.items) == 1 and isinstance(call.items[0], Part) and name in ancestors(call.items[0].type)]


@plain(1)
def member_of(call: Call) -> Collection:
    url = _text(call.arguments[0], call.at)
    if not call.items or url is None:
        return []
    found = call.run.world.member_of(call.items[0], url) if call.run.world.member_of and len(call.items) == 1 and isinstance(call.items[0], Part) else None
    if found is None:
        raise Unanswerable("whether a code is in a value set is not known here", call.at)
    return [found]


def _unanswerable(name: str, arguments: int, text: str) -> None:
    def refuse(call: Call) -> Collection:
        if not call.items:
            return []
        raise Unanswerable(text, call.at)

    plain(arguments, name=name)(refuse)


_unanswerable("subsumes", 1, "whether a code subsumes another is not known here")
_unanswerable("subsumedBy", 1, "whether a code is subsumed by another is not known here")
_unanswerable("elementDefinition", 0, "definitions of elements are not known here")
_unanswerable("slice", 2, "slices are not known here: profiles define them")
_unanswerable("checkModifiers", 1, "modifier extensions are not known here")


@plain()
def now(call: Call) -> Collection:
    return answer(call.run.now)


@plain()
def today(call: Call) -> Collection:
    return [Temporal("Date", call.run.now.parts[:3])] if call.run.now else []


@plain()
def time_of_day(call: Call) -> Collection:
    return [Temporal("Time", call.run.now.parts[3:])] if call.run.now else []


def stub(text: str, _run: Run) -> Part | None:
    """Resolve a reference to a resource of which its type and id alone are known, because the reference says them."""
    parts = text.partition("/_history/")[0].partition("?")[0].split("/")
    if len(parts) < 2 or not is_fhir_type(parts[-2]):
        return None
    return resource_part({"resourceType": parts[-2], "id": parts[-1]})
