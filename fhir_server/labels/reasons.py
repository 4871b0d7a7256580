"""Why a resource carries its labels: the rule and the code set, and the element that met them; never what the patient's record says.

Spec: https://hl7.org/fhir/R4/security-labels.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from chartloop.kernel.access.labels import LABELS, SYSTEM
from fhir_server.labels.rules import Rules
from fhir_server.labels.service import TITLES, Lookup, openings, says, titles


class Reason(NamedTuple):
    """One label and where it comes from.

    Attributes:
        label: Code of `LABELS`.
        rule: What gave it: "stated", "icd10 F3*", "words of the title", "inherited".
        path: Element that met the rule, with its place: "Condition.code.coding[0]".
        source: The resource it was inherited from.
    """

    label: str
    rule: str
    path: str
    source: str = ""


def reasons(rules: Rules, type_: str, resource: Mapping[str, Any], lookup: Lookup) -> Iterator[Reason]:
    """Name every reason for every label that the labelling service would give."""
    yield from _of(rules, type_, resource, lookup, type_)


def _of(rules: Rules, type_: str, resource: Mapping[str, Any], lookup: Lookup, path: str) -> Iterator[Reason]:
    yield from _stated(resource, path)
    if type_ not in rules.without_codes:
        yield from _by_codes(rules, resource, path)
    yield from _by_words(rules, resource, path)
    for steps in rules.inherit.get(type_, ()):
        for place, reference in _references(resource, steps, path):
            yield from (Reason(label, "inherited", place, reference) for label in sorted(lookup(reference)))
    for place, part in _parts(resource, path):
        yield from _of(rules, str(part.get("resourceType", "")), part, lookup, place)


def _stated(resource: Mapping[str, Any], path: str) -> Iterator[Reason]:
    meta = resource.get("meta")
    for number, coding in enumerate(_objects(meta.get("security") if isinstance(meta, Mapping) else None)):
        if coding.get("system") == SYSTEM and coding.get("code") in LABELS:
            yield Reason(str(coding["code"]), "stated", f"{path}.meta.security[{number}]")


def _by_codes(rules: Rules, resource: Mapping[str, Any], path: str) -> Iterator[Reason]:
    for name, value in resource.items():
        if name not in ("meta", "contained"):
            for place, coding in _codings(value, f"{path}.{name}"):
                for rule in rules.by_system.get(str(coding.get("system")), ()):
                    if (met := rule.entry(str(coding.get("code")))) is not None:
                        yield Reason(rule.label, f"{rule.code_set} {met}", place)


def _codings(value: object, path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from _codings(item, f"{path}[{number}]")
    elif isinstance(value, Mapping):
        if isinstance(value.get("system"), str) and isinstance(value.get("code"), str):
            yield path, value
        for name, inner in value.items():
            yield from _codings(inner, f"{path}.{name}")


def _by_words(rules: Rules, resource: Mapping[str, Any], path: str) -> Iterator[Reason]:
    if resource.get("resourceType") not in TITLES:
        return
    title, opening = "\n".join(titles(resource)), "\n".join(openings(resource))
    for rule in rules.texts:
        if says(rule, title, opening):
            yield Reason(rule.label, "words of the title" if rule.where == "title" else "words of the opening", path)


def _references(value: object, steps: tuple[str, ...], path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from _references(item, steps, f"{path}[{number}]")
    elif steps and isinstance(value, Mapping):
        yield from _references(value.get(steps[0]), steps[1:], f"{path}.{steps[0]}")
    elif isinstance(value, Mapping) and isinstance(value.get("reference"), str):
        yield path, value["reference"]
    elif not steps and isinstance(value, str):
        yield path, value


def _parts(resource: Mapping[str, Any], path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for number, part in enumerate(_objects(resource.get("contained"))):
        yield f"{path}.contained[{number}]", part
    for wrapper in ("entry", "parameter"):
        for number, each in enumerate(_objects(resource.get(wrapper))):
            if isinstance(each.get("resource"), Mapping):
                yield f"{path}.{wrapper}[{number}].resource", each["resource"]


def _objects(value: object) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []
