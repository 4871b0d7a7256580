"""sort(): by the items themselves or by criteria; a minus before a criterion turns it round.

Spec: https://build.fhir.org/ig/HL7/FHIRPath/#sort
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cmp_to_key
from typing import Any

from fhir_server.fhirpath.equality import order
from fhir_server.fhirpath.operators import single
from fhir_server.fhirpath.run import Collection, Evaluate, Scope
from fhir_server.fhirpath.tree import Node, Special, Unary


def sort(target: Evaluate, arguments: tuple[Node, ...], compile_: Callable[[Node], Evaluate], at: int) -> Evaluate:
    """Compile a call of this function."""
    wanted = arguments or (Special("this", at),)
    turned = [isinstance(node, Unary) and node.operator == "-" for node in wanted]
    criteria = [compile_(node.operand if isinstance(node, Unary) and node.operator == "-" else node) for node in wanted]

    def compare(left: tuple[Any, ...], right: tuple[Any, ...]) -> int:
        for one, other, down in zip(left[0], right[0], turned, strict=True):
            if one is None or other is None:
                if one is not other:
                    return -1 if one is None else 1  # what has no value comes first, up or down
                continue
            found = order(one, other, at) or 0
            if found:
                return -found if down else found
        return 0

    def run(scope: Scope) -> Collection:
        items = target(scope)
        scope.run.spend(len(items) * len(items).bit_length() * len(criteria))
        keyed = [(tuple(single(criterion(inner), at) for criterion in criteria), inner.this[0]) for inner in scope.each(items)]
        return [item for _, item in sorted(keyed, key=cmp_to_key(compare))]

    return run
