"""Functions on numbers, and the bounds of what is known less exactly.

Spec: http://hl7.org/fhirpath/N1/#math
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, ROUND_HALF_UP, Context, Decimal, DecimalException
from typing import Any, Final

from fhir_server.fhirpath.errors import Failed
from fhir_server.fhirpath.functions import Call, plain
from fhir_server.fhirpath.operators import ARITHMETIC, answer, is_number, single
from fhir_server.fhirpath.quantity import Quantity, comparable, places_step
from fhir_server.fhirpath.run import Collection
from fhir_server.fhirpath.temporal import Temporal, boundary

_WIDE: Final = Context(prec=80)
_ROUND: Final = Context(prec=28)
_MOST_PLACES: Final = 28
_PLACES: Final = 8
_MAX_DIGITS: Final = 400


def _number(items: Collection, at: int) -> Any:
    value = single(items, at)
    if value is not None and not is_number(value):
        raise Failed("a number is needed here", at)
    return value


def _function(name: str, work: Callable[..., Any], arguments: int = 0, most: int | None = None) -> None:
    """Register a function of numbers that is empty where one is, or where the result is no number."""

    def function(call: Call) -> Collection:
        numbers = [_number(each, call.at) for each in (call.items, *call.arguments)]
        if None in numbers:
            return []
        try:
            return answer(work(*numbers))
        except (DecimalException, ZeroDivisionError, OverflowError):
            return []

    plain(arguments, most, name=name)(function)


def _whole(rounding: str) -> Callable[[Any], int | None]:
    def work(number: Any) -> int | None:
        value = Decimal(number)
        return int(value.to_integral_value(rounding)) if value.adjusted() < _MOST_PLACES else None

    return work


def _rounded(number: Any, places: int = 0) -> Any:
    if not 0 <= places <= _MOST_PLACES or not isinstance(places, int):
        return None
    return Decimal(number).quantize(places_step(places), ROUND_HALF_UP, _WIDE)


def _power(base: Any, exponent: Any) -> Any:
    found = ARITHMETIC.power(Decimal(base), Decimal(exponent))
    whole = isinstance(base, int) and isinstance(exponent, int) and exponent >= 0
    return int(found) if whole and found.adjusted() < _PLACES + 2 else found


def _log(number: Any, base: Any) -> Decimal | None:
    if number <= 0 or base <= 0:
        return None
    return _ROUND.plus(ARITHMETIC.divide(ARITHMETIC.ln(Decimal(number)), ARITHMETIC.ln(Decimal(base))))


_function("ceiling", _whole(ROUND_CEILING))
_function("floor", _whole(ROUND_FLOOR))
_function("truncate", _whole(ROUND_DOWN))
_function("round", _rounded, 0, 1)
_function("sqrt", lambda number: ARITHMETIC.sqrt(Decimal(number)))
_function("exp", lambda number: ARITHMETIC.exp(Decimal(number)))
_function("ln", lambda number: ARITHMETIC.ln(Decimal(number)) if number > 0 else None)
_function("log", _log, 1)
_function("power", _power, 1)


@plain(name="abs")
def abs_(call: Call) -> Collection:
    value = single(call.items, call.at)
    if isinstance(value, Quantity):
        return [value._replace(value=abs(value.value))]
    return answer(None if value is None else abs(_number(call.items, call.at)))


@plain(0, 1)
def low_boundary(call: Call) -> Collection:
    return _boundary(call.items, call.arguments, call.at, high=False)


@plain(0, 1)
def high_boundary(call: Call) -> Collection:
    return _boundary(call.items, call.arguments, call.at, high=True)


def _boundary(items: Collection, arguments: list[Collection], at: int, *, high: bool) -> Collection:
    value = single(items, at)
    digits = _number(arguments[0], at) if arguments else None
    if isinstance(value, Temporal):
        return answer(boundary(value, digits, high=high))
    if isinstance(value, Quantity):
        number = _number_boundary(value.value, digits, high=high)
        return answer(None if number is None else value._replace(value=number))
    if value is not None and not is_number(value):
        raise Failed("a number, a quantity or a date is needed here", at)
    return answer(None if value is None else _number_boundary(Decimal(value), digits, high=high))


def _number_boundary(number: Decimal, digits: int | None, *, high: bool) -> Decimal | None:
    places = _PLACES if digits is None else digits
    exponent = number.as_tuple().exponent
    if not 0 <= places <= _MOST_PLACES or not isinstance(exponent, int) or abs(exponent) > _MAX_DIGITS or number.adjusted() > _MOST_PLACES:
        return None
    half = Decimal(5).scaleb(min(exponent, 0) - 1)
    edge = _WIDE.add(number, half if high else -half)
    return edge.quantize(places_step(places), ROUND_CEILING if high else ROUND_FLOOR, _WIDE)


@plain()
def precision(call: Call) -> Collection:
    value = single(call.items, call.at)
    if isinstance(value, Temporal):
        return [value.digits]
    if isinstance(value, Quantity):
        value = value.value
    if value is None:
        return []
    if not is_number(value):
        raise Failed("a number or a date is needed here", call.at)
    exponent = Decimal(value).as_tuple().exponent
    return [max(0, -exponent)] if isinstance(exponent, int) else []


@plain(1, name="comparable")
def comparable_(call: Call) -> Collection:
    left, right = single(call.items, call.at), single(call.arguments[0], call.at)
    if left is None or right is None:
        return []
    return [isinstance(left, Quantity) and isinstance(right, Quantity) and comparable(left, right)]
