"""Criteria that speak of concepts, `:in`, `:not-in`, `:above` and `:below`, become the tokens that they stand for.

Who answers is the terminology of the store, and for `:in` the ValueSets that are stored here; what neither can tell is refused.
Spec: https://hl7.org/fhir/R4/search.html#token
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from chartloop.kernel.access.scope import Scope
from chartloop.kernel.db import Session
from chartloop.kernel.errors import Invalid
from fhir_server.search.composing import Composing, Unanswerable
from fhir_server.search.params import SearchParam
from fhir_server.search.terminology import Terminology
from fhir_server.search.tree import Criterion
from fhir_server.search.value_sets import stored_value_set
from fhir_server.search.values import InValueSet, Subsumption, Token, Value
from fhir_server.store import Store


def needs_terminology(criterion: Criterion) -> bool:
    """Whether a criterion speaks of concepts."""
    return any(isinstance(value, InValueSet | Subsumption) for value in criterion.values)


def with_tokens(session: Session, store: Store, scope: Scope, criterion: Criterion) -> Criterion:
    """Put tokens in the place of concepts.

    Raises:
        Invalid: Nobody here knows the value set or the code.
    """
    if not needs_terminology(criterion):
        return criterion
    composing = Composing(store.terminology, partial(stored_value_set, session, store, scope))
    try:
        values = [each for value in criterion.values for each in _tokens(composing, store.terminology, criterion.param, value)]
    except Unanswerable as what:
        text = f"The {what} cannot be answered here."
        raise Invalid(text, code="not-supported", expression=f"http.{criterion.param.code}") from None
    return replace(criterion, values=tuple(values))


def _tokens(composing: Composing, terminology: Terminology, param: SearchParam, value: Value) -> Iterator[Value]:
    if isinstance(value, InValueSet):
        for system, codes in composing.codes(value.url).items():
            yield from [Token(system, None)] if codes is None else (Token(system, code) for code in codes)
            if "code" in param.holds:  # its system is implied, and not in the index where there are several
                yield from (Token("", code) for code in codes or ())
    elif isinstance(value, Subsumption):
        found = (terminology.above if value.up else terminology.below)(value.system, value.code)
        if found is None:
            raise Unanswerable(f"subsumption of {value.code} in code system {value.system}")
        yield from (Token(value.system, code) for code in found)
    else:
        yield value
