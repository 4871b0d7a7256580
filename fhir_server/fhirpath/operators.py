"""What the operators do with the collections at their sides.

Spec: http://hl7.org/fhirpath/N1/#operations
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_DOWN, Context, Decimal, DecimalException, DivisionByZero, InvalidOperation, Overflow
from typing import Any, Final

from fhir_server.fhirpath.equality import distinct, equal, equivalent, key, order
from fhir_server.fhirpath.errors import Failed
from fhir_server.fhirpath.parts import Part, plain
from fhir_server.fhirpath.quantity import Quantity
from fhir_server.fhirpath.run import Collection, Run
from fhir_server.fhirpath.temporal import Temporal, moved
from fhir_server.fhirpath.units import product, quotient, total

ARITHMETIC: Final = Context(prec=34, Emin=-400, Emax=400, traps=[InvalidOperation, DivisionByZero, Overflow])
_INTEGERS: Final = range(-(2**31), 2**31)
_MAX_STEP: Final = 10**15
Operator = Callable[[Collection, Collection, Run, int], Collection]


def single(items: Collection, at: int) -> Any:
    """The only item's value; none where there is none.

    Raises:
        Failed: There are several.
    """
    if len(items) > 1:
        raise Failed("one item is needed here, and there are several", at)
    if not items:
        return None
    value = plain(items[0])
    return None if isinstance(value, Part) and not isinstance(value.value, dict) else value


def truth(items: Collection, at: int) -> bool | None:
    """The truth of a collection: of one boolean its value, of one other item true, of none nothing."""
    value = single(items, at)
    return value if value is None or isinstance(value, bool) else True


def answer(value: Any) -> Collection:
    """A collection of one value; empty for none."""
    return [] if value is None else [value]


def _equal(left: Collection, right: Collection, run: Run, _at: int) -> Collection:
    return answer(equal(left, right, run))


def _unequal(left: Collection, right: Collection, run: Run, _at: int) -> Collection:
    found = equal(left, right, run)
    return [] if found is None else [not found]


def _ordered(test: Callable[[int], bool]) -> Operator:
    def compare(left: Collection, right: Collection, run: Run, at: int) -> Collection:
        one, other = single(left, at), single(right, at)
        if one is None or other is None:
            return []
        found = order(one, other, at)
        if found is None:
            run.undecided = True
            return []
        return [test(found)]

    return compare


def _union(left: Collection, right: Collection, run: Run, _at: int) -> Collection:
    return distinct(left + right, run)


def _in(left: Collection, right: Collection, run: Run, at: int) -> Collection:
    if not left:
        return []
    if len(left) > 1:
        raise Failed("one item is needed here, and there are several", at)
    run.spend(len(right))
    wanted = key(left[0])
    return [any(key(item) == wanted for item in right) or any(equal([item], left, run) for item in right)]


def _contains(left: Collection, right: Collection, run: Run, at: int) -> Collection:
    return _in(right, left, run, at)


def _joined(left: Collection, right: Collection, run: Run, at: int) -> Collection:
    found = [("" if (text := single(side, at)) is None else text) for side in (left, right)]
    if not all(isinstance(text, str) for text in found):
        raise Failed("& joins texts", at)
    run.spend((len(found[0]) + len(found[1])) // 16)
    return [found[0] + found[1]]


def _arithmetic(work: Callable[[Any, Any, Run, int], Any]) -> Operator:
    def compute(left: Collection, right: Collection, run: Run, at: int) -> Collection:
        one, other = single(left, at), single(right, at)
        if one is None or other is None:
            return []
        try:
            return answer(_within(work(one, other, run, at)))
        except DecimalException:
            return []

    return compute


def _within(value: Any) -> Any:
    """Integers have 32 bits: what is larger is nothing."""
    return None if isinstance(value, int) and not isinstance(value, bool) and value not in _INTEGERS else value


def is_number(value: Any) -> bool:
    """Whether a value is an integer or a decimal."""
    return isinstance(value, (int, Decimal)) and not isinstance(value, bool)


def _both_numbers(one: Any, other: Any, at: int) -> None:
    if not (is_number(one) and is_number(other)):
        raise Failed("these two cannot be computed with", at)


def _plus(one: Any, other: Any, run: Run, at: int) -> Any:
    if isinstance(one, str) and isinstance(other, str):
        run.spend((len(one) + len(other)) // 16)
        return one + other
    return _added(one, other, 1, at)


def _minus(one: Any, other: Any, _run: Run, at: int) -> Any:
    return _added(one, other, -1, at)


def _added(one: Any, other: Any, sign: int, at: int) -> Any:
    if isinstance(one, Temporal) and isinstance(other, Quantity):
        return _later(one, other, sign, at)
    if isinstance(one, Quantity) and isinstance(other, Quantity):
        return total(one, other, sign)
    _both_numbers(one, other, at)
    if isinstance(one, int) and isinstance(other, int):
        return one + sign * other
    return ARITHMETIC.add(Decimal(one), Decimal(sign * other))


def _later(moment: Temporal, quantity: Quantity, sign: int, at: int) -> Temporal | None:
    step = quantity.step
    if step is None:
        raise Failed("a date is moved by a calendar's unit", at)
    if abs(quantity.value) > _MAX_STEP:
        return None
    if step == "second":
        return moved(moment, sign * int(quantity.value * 1000), "millisecond")
    return moved(moment, sign * int(quantity.value.to_integral_value(ROUND_DOWN)), step)


def _times(one: Any, other: Any, _run: Run, at: int) -> Any:
    if isinstance(one, Quantity) or isinstance(other, Quantity):
        return product(_quantity(one, at), _quantity(other, at))
    _both_numbers(one, other, at)
    if isinstance(one, int) and isinstance(other, int):
        return one * other
    return ARITHMETIC.multiply(Decimal(one), Decimal(other))


def _over(one: Any, other: Any, _run: Run, at: int) -> Any:
    if isinstance(one, Quantity) or isinstance(other, Quantity):
        return quotient(_quantity(one, at), _quantity(other, at))
    _both_numbers(one, other, at)
    return ARITHMETIC.divide(Decimal(one), Decimal(other))


def _quantity(value: Any, at: int) -> Quantity:
    if isinstance(value, Quantity):
        return value
    _both_numbers(value, 0, at)
    return Quantity(Decimal(value), "1")


def _div(one: Any, other: Any, _run: Run, at: int) -> Any:
    _both_numbers(one, other, at)
    return int(ARITHMETIC.divide_int(Decimal(one), Decimal(other)))


def _mod(one: Any, other: Any, _run: Run, at: int) -> Any:
    _both_numbers(one, other, at)
    rest = ARITHMETIC.remainder(Decimal(one), Decimal(other))
    return int(rest) if isinstance(one, int) and isinstance(other, int) else rest


def conjunction(left: bool | None, right: bool | None) -> bool | None:
    """`and` of three values."""
    if left is False or right is False:
        return False
    return None if left is None or right is None else True


def disjunction(left: bool | None, right: bool | None) -> bool | None:
    """`or` of three values."""
    if left or right:
        return True
    return None if left is None or right is None else False


def exclusive(left: bool | None, right: bool | None) -> bool | None:
    """`xor` of three values."""
    return None if left is None or right is None else left != right


def implication(left: bool | None, right: bool | None) -> bool | None:
    """`implies` of three values."""
    return disjunction(None if left is None else not left, right)


LOGIC: Final[dict[str, Callable[[bool | None, bool | None], bool | None]]] = {
    "and": conjunction, "or": disjunction, "xor": exclusive, "implies": implication,
}  # fmt: skip
DECIDED: Final = {"and": False, "or": True, "implies": False}
"""What the left side is when the right one no longer matters (for `implies`, the answer is then true)."""
OPERATORS: Final[dict[str, Operator]] = {
    "=": _equal,
    "!=": _unequal,
    "~": lambda left, right, run, _: [equivalent(left, right, run)],
    "!~": lambda left, right, run, _: [not equivalent(left, right, run)],
    "<": _ordered(lambda found: found < 0),
    "<=": _ordered(lambda found: found <= 0),
    ">": _ordered(lambda found: found > 0),
    ">=": _ordered(lambda found: found >= 0),
    "|": _union,
    "in": _in,
    "contains": _contains,
    "&": _joined,
    "+": _arithmetic(_plus),
    "-": _arithmetic(_minus),
    "*": _arithmetic(_times),
    "/": _arithmetic(_over),
    "div": _arithmetic(_div),
    "mod": _arithmetic(_mod),
}
