"""Validate a resource before it is stored: a fast typed decode, and where that refuses, every error with its place.

Spec: https://hl7.org/fhir/R4/validation.html
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

from chartloop.kernel.errors import Invalid, Issue, Unprocessable
from fhir_server.references import is_conditional, references_in
from fhir_server.spec.definitions import r4
from fhir_server.validation.errors import MAX_ISSUES, resource_errors
from fhir_server.validation.fast import passes
from fhir_server.validation.holding import holds
from fhir_server.validation.invariants import invariant_errors, invariant_issues
from fhir_server.validation.parsing import check_text, has_empty_object, parse
from fhir_server.validation.unchecked import unchecked_codes


@dataclass(frozen=True, slots=True)
class Validated:
    """A resource without errors, parsed once; decimals are decimal.Decimal with all their digits."""

    type: str
    id: str
    resource: dict[str, Any]

    @property
    def warnings(self) -> tuple[Issue, ...]:
        """Invariants that warn, and what was not checked (codes of systems that are not loaded, what nobody can decide); computed when asked for."""
        return tuple(islice(chain(invariant_issues(self.resource), unchecked_codes(self.resource)), MAX_ISSUES))


def validate(body: bytes, *, type_: str | None = None, path: str = "", conditional: bool = False, within: bool = False) -> Validated:
    """Parse and validate one resource.

    Args:
        body: The JSON as it came.
        type_: The resource type it must have.
        path: Where the resource is (`Bundle.entry[3].resource`), for the expressions of the issues.
        conditional: Whether references may be searches, as in a transaction.
        within: Whether it stood in a Bundle whose depth has been checked, so that its own has too.

    Returns:
        The parsed resource.

    Raises:
        Invalid: It is not JSON, nests too deep, or is not a resource of this type.
        Unprocessable: It breaks rules of R4; the issues name every place.
    """
    if not within:
        check_text(body)
    resource = parse(body)
    name = _type_of(resource, type_, path)
    if has_empty_object(body) or not passes(name, body):
        _raise(_structure_errors(resource, path, path or name))
    if not holds(resource, body):
        _raise(invariant_errors(resource, path or name))
    if not conditional and b"?" in body:
        _raise(_conditional_errors(resource, path or name))
    return Validated(name, resource.get("id", ""), resource)


def _type_of(resource: object, wanted: str | None, path: str) -> str:
    name = resource.get("resourceType") if isinstance(resource, dict) else None
    where = f"{path}.resourceType" if path else "resourceType"
    if not isinstance(name, str) or not r4().is_resource(name):
        raise Invalid("the body must be an object whose resourceType names an R4 resource type", code="structure", expression=where)
    if wanted is not None and name != wanted:
        raise Invalid(f"the resourceType must be {wanted}", code="invalid", expression=where)
    return name


def _structure_errors(resource: dict[str, Any], path: str, root: str) -> Iterator[Issue]:
    """What is wrong with the structure, and which invariants are broken at places that this does not touch."""
    wrong = list(islice(resource_errors(resource, path), MAX_ISSUES))
    yield from wrong
    if wrong:
        with suppress(AttributeError, KeyError, TypeError, ValueError):  # invariants ask what has the right structure; this has not
            yield from [issue for issue in invariant_errors(resource, root) if not any(_touches(issue.expression, other.expression) for other in wrong)]


def _touches(place: str, other: str) -> bool:
    """Whether one place is the other, or holds it."""
    return place == other or place.startswith((f"{other}.", f"{other}[")) or other.startswith((f"{place}.", f"{place}["))


def _conditional_errors(resource: dict[str, Any], path: str) -> Iterator[Issue]:
    for where, text in references_in(resource):
        if is_conditional(text):
            yield Issue("error", "value", "a conditional reference is for transactions only", path + where)


def _raise(errors: Iterator[Issue]) -> None:
    issues = tuple(islice(errors, MAX_ISSUES))
    if issues:
        raise Unprocessable(issues=issues)
