"""Type tests: is, as, ofType.

Spec: http://hl7.org/fhirpath/N1/#types, https://hl7.org/fhir/R4/fhirpath.html#types
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from fhir_server.fhirpath.errors import Meaningless
from fhir_server.fhirpath.parts import SYSTEM_TYPES, Part, ancestors, is_fhir_type, type_of
from fhir_server.fhirpath.tree import Name, Node, Step, TypeName
from fhir_server.spec.definitions import r4

Test = Callable[[Any], bool]
_PRIMITIVES: Final = {"Boolean": "boolean", "String": "string", "Integer": "integer", "Decimal": "decimal", "Date": "date", "DateTime": "dateTime", "Time": "time"}


def type_name(node: Node) -> TypeName:
    """Read the argument of is(), as() and ofType().

    Raises:
        Meaningless: It is not the name of a type.
    """
    if isinstance(node, Name):
        return TypeName("", node.name)
    if isinstance(node, Step) and isinstance(node.target, Name) and isinstance(node.then, Name):
        return TypeName(node.target.name, node.then.name)
    raise Meaningless("the name of a type is needed here", node.at)


def type_test(wanted: TypeName, at: int, *, exact: bool, published: bool) -> Test:
    """A test whether an item is of a type.

    Args:
        wanted: The type; a name without a namespace means FHIR's and FHIRPath's.
        at: Where it is written.
        exact: Whether a primitive must be of the very type, as with `as` and `ofType`: a code is a string, but not `as` a string.
        published: Whether FHIRPath's Boolean also means FHIR's boolean, as the expressions published with R4 have it.

    Raises:
        Meaningless: There is no such type.
    """
    space, name = wanted
    in_fhir = space in ("", "FHIR") and is_fhir_type(name)
    in_system = space in ("", "System") and name in SYSTEM_TYPES
    if not in_fhir and not in_system and (space != "System" or exact):
        raise Meaningless("there is no such type", at)
    loose = _PRIMITIVES.get(name, "") if published and not space else ""

    def test(item: Any) -> bool:
        if not isinstance(item, Part):
            return in_system and name in ("Any", type_of(item).name)
        if item.type == loose or (in_fhir and item.type == name):
            return True
        return in_fhir and name in ancestors(item.type) and not (exact and item.type in r4().primitive_types)

    return test
