"""When two items are equal, equivalent or one before the other.

Spec: http://hl7.org/fhirpath/N1/#equality
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from decimal import Decimal
from typing import Any, Final

from fhir_server.fhirpath.errors import Failed
from fhir_server.fhirpath.parts import Part, plain
from fhir_server.fhirpath.quantity import Quantity, compare_quantities, equivalent_numbers, equivalent_quantities
from fhir_server.fhirpath.run import Collection, Run
from fhir_server.fhirpath.temporal import Temporal, compare, in_utc

_SPACE: Final = re.compile(r"\s+")


def equal(left: Collection, right: Collection, run: Run) -> bool | None:
    """Whether two collections hold equal items in the same order; none where one is empty or a comparison has no answer."""
    if not left or not right:
        return None
    if len(left) != len(right):
        return False
    run.spend(len(left))
    answers = [equal_items(one, other) for one, other in zip(left, right, strict=True)]
    if False in answers:
        return False
    if None in answers:
        run.undecided = True
        return None
    return True


def equal_items(left: Any, right: Any) -> bool | None:
    """Whether two items are equal; none where that has no answer."""
    one, other = plain(left), plain(right)
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if _numbers(one, other):
        return bool(one == other)
    one, other = _as_quantities(one, other)
    if isinstance(one, Quantity) and isinstance(other, Quantity):
        found = compare_quantities(one, other)
        return None if found is None else found == 0
    if isinstance(one, Temporal) and isinstance(other, Temporal):
        if (one.kind == "Time") != (other.kind == "Time"):
            return False
        order = compare(one, other)
        return None if order is None else order == 0
    if isinstance(one, Part) and isinstance(other, Part):
        return one is other or _same_json(one, other)
    return type(one) is type(other) and bool(one == other)


def _same_json(left: Part, right: Part) -> bool:
    return bool(left.value == right.value) and bool(left.extra == right.extra or isinstance(left.value, str))


def _numbers(left: Any, right: Any) -> bool:
    return isinstance(left, (int, Decimal)) and isinstance(right, (int, Decimal))


def _as_quantities(left: Any, right: Any) -> tuple[Any, Any]:
    """A number beside a quantity is a quantity without a unit."""
    if isinstance(left, Quantity) and isinstance(right, (int, Decimal)) and not isinstance(right, bool):
        return left, Quantity(Decimal(right), "1")
    if isinstance(right, Quantity) and isinstance(left, (int, Decimal)) and not isinstance(left, bool):
        return Quantity(Decimal(left), "1"), right
    return left, right


def equivalent(left: Collection, right: Collection, run: Run) -> bool:
    """Whether two collections hold equivalent items, in any order."""
    if len(left) != len(right):
        return False
    if len(left) == 1:
        return equivalent_items(left[0], right[0])
    rest = list(right)
    for item in left:
        run.spend(len(rest) + 1)
        place = next((index for index, other in enumerate(rest) if equivalent_items(item, other)), None)
        if place is None:
            return False
        del rest[place]
    return True


def equivalent_items(left: Any, right: Any) -> bool:
    """Whether two items are the same but for case, white space, digits behind the less precise one's."""
    one, other = plain(left), plain(right)
    if isinstance(one, str) and isinstance(other, str):
        return _folded(one) == _folded(other)
    if _numbers(one, other) and not isinstance(one, bool) and not isinstance(other, bool):
        return equivalent_numbers(Decimal(one), Decimal(other))
    if isinstance(one, Quantity) and isinstance(other, Quantity):
        return equivalent_quantities(one, other)
    if isinstance(one, Part) and isinstance(other, Part):
        return _equivalent_json(one.value, other.value)
    return equal_items(one, other) is True


def _folded(text: str) -> str:
    return _SPACE.sub(" ", text).casefold()


def _equivalent_json(left: Any, right: Any) -> bool:
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        names = set(left) | set(right)
        return all(_equivalent_json(left.get(name), right.get(name)) for name in names - {"id"})
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_equivalent_json, left, right))
    if isinstance(left, str) and isinstance(right, str):
        return _folded(left) == _folded(right)
    return bool(left == right)


def order(left: Any, right: Any, at: int) -> int | None:
    """Order two items: negative, 0 or positive; none where that has no answer.

    Raises:
        Failed: They are not of types that have an order between them.
    """
    one, other = _as_quantities(plain(left), plain(right))
    if isinstance(one, str) and isinstance(other, str):
        return int(one > other) - int(one < other)
    if _numbers(one, other) and not isinstance(one, bool) and not isinstance(other, bool):
        return int(one > other) - int(one < other)
    if isinstance(one, Quantity) and isinstance(other, Quantity):
        return compare_quantities(one, other)
    if isinstance(one, Temporal) and isinstance(other, Temporal) and (one.kind == "Time") == (other.kind == "Time"):
        return compare(one, other)
    raise Failed("these two have no order between them", at)


def key(item: Any) -> Hashable:
    """A key that equal items share, to find doubles in linear time."""
    value = plain(item)
    if isinstance(value, bool):
        return ("boolean", value)
    if isinstance(value, (int, Decimal)):
        return ("number", Decimal(value))
    if isinstance(value, Temporal):
        return _moment_key(value)
    if isinstance(value, Part):
        return ("json", _frozen(value.value), _frozen(value.extra) if not isinstance(value.value, str) else None)
    return (type(value).__name__, value)


def _moment_key(moment: Temporal) -> Hashable:
    known = len(moment.parts) - (3 if moment.kind != "Time" else 0)
    return ("moment", moment.kind == "Time", known, in_utc(moment), moment.offset is None)


def _frozen(value: Any) -> Hashable:
    if isinstance(value, Mapping):
        return frozenset((name, _frozen(item)) for name, item in value.items())
    if isinstance(value, list):
        return tuple(map(_frozen, value))
    return (isinstance(value, bool), value)


def distinct(items: Collection, run: Run) -> Collection:
    """The items without doubles, each at its first place."""
    run.spend(len(items))
    found: dict[Hashable, Any] = {}
    for item in items:
        found.setdefault(key(item), item)
    return list(found.values())
