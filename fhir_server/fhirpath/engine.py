"""FHIRPath expressions, compiled once and asked often.

`compile(expression, type_)(resource)` gives the values that an expression finds in a resource.
Spec: http://hl7.org/fhirpath/N1/, https://hl7.org/fhir/R4/fhirpath.html
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from fhir_server.fhirpath.compiler import Compiler
from fhir_server.fhirpath.errors import Meaningless, TooCostly
from fhir_server.fhirpath.functions_fhir import stub
from fhir_server.fhirpath.inference import check_names
from fhir_server.fhirpath.parser import parse
from fhir_server.fhirpath.parts import Part, is_fhir_type, plain, resource_part
from fhir_server.fhirpath.run import Collection, Evaluate, Run, Scope, World

ALONE: Final = World(resolve=stub)
"""Knows the input alone; a reference to elsewhere stands for a resource of the type that it names."""


class Expression:
    """A compiled expression."""

    __slots__ = ("_evaluate", "text")

    def __init__(self, text: str, evaluate: Evaluate) -> None:
        """Take the text and what it was compiled to."""
        self.text = text
        self._evaluate = evaluate

    def __call__(self, resource: Mapping[str, Any], world: World = ALONE) -> list[Any]:
        """Find values in a resource.

        Args:
            resource: The parsed JSON; decimals as Decimal, so that no digit is lost.
            world: What may be asked beside the resource.

        Returns:
            System values (bool, int, Decimal, str, Temporal, Quantity), and for complex types their JSON.

        Raises:
            Failed: It cannot be computed for this resource.
            Unanswerable: It asks for what the world does not know.
            TooCostly: It takes too many steps.
        """
        found = (plain(item) for item in self.parts(resource, world))
        return [item.value if isinstance(item, Part) else item for item in found]

    def parts(self, resource: Mapping[str, Any], world: World = ALONE) -> Collection:
        """Find the same as parts with their types: what an element is, not only its value."""
        part = resource_part(resource)
        return self.run(Run(world, part, part, part))

    def run(self, run: Run) -> Collection:
        """Evaluate at the context of a run."""
        try:
            return self._evaluate(Scope(run, [run.context]))
        except RecursionError:
            raise TooCostly("the expression or the resource nests too deep") from None


@lru_cache(4096)
def compile(expression: str, type_: str = "", *, published: bool = False) -> Expression:  # noqa: A001
    """Compile an expression.

    Args:
        expression: The FHIRPath.
        type_: Type of what it will be asked of ("Patient", "Patient.contact", "HumanName"). Where it is given, every name in a path must exist.
        published: Read it as loosely as expressions published with R4 need it: `as` filters lists, `is Boolean` means FHIR's boolean
            too, and `matches` asks for all of a text.

    Raises:
        Unreadable: It is not FHIRPath.
        Meaningless: It names a function, a type or (where `type_` is given) an element that does not exist.
        TooCostly: It nests too deep.
    """
    if type_ and not is_fhir_type(type_.partition(".")[0]):
        raise Meaningless("there is no such type")
    try:
        tree = parse(expression)
        evaluate = Compiler(published=published).compile(tree)
        if type_:
            check_names(tree, type_)
    except RecursionError:
        raise TooCostly("the expression nests too deep") from None
    return Expression(expression, evaluate)
