"""Values under the modifiers that ask for a part of what is indexed, or for what a terminology knows.

Spec: https://hl7.org/fhir/R4/search.html#modifiers
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fhir_server.indexing.values import OF_TYPE, fold
from fhir_server.indexing.words import ADDRESS, CODE, LENGTH, TEXT, mark_hash
from fhir_server.search.params import SearchParam
from fhir_server.search.values import Hashes, InValueSet, ReferenceTo, Subsumption, Text, Token, Value, Words, ancestors, split, token, unescape

_AFTER_ALL_TEXT: Final = "\U0010ffff"
_CODED: Final = frozenset({"CodeableConcept", "Coding"})
_CONCEPTS: Final = _CODED | {"code"}
_HOLDING: Final[Mapping[str, frozenset[str]]] = {
    "text": _CODED | {"Identifier"},
    "of-type": frozenset({"Identifier"}),
    **dict.fromkeys(("in", "not-in", "above", "below"), _CONCEPTS),
}
"""By modifier of a token: types of elements, one of which a parameter must hold."""


def takes(param: SearchParam, modifier: str) -> bool:
    """Whether the elements of a parameter have what a modifier asks for."""
    if param.type == "token" and modifier in _HOLDING:
        return bool(_HOLDING[modifier] & set(param.holds))
    return param.type != "reference" or modifier != "below" or "Reference" not in param.holds


def values_of(param: SearchParam, modifier: str, text: str) -> tuple[Value, ...]:
    """Read one value; none if it is malformed."""
    if modifier == "text":
        return _text(unescape(text))
    if modifier == "of-type":
        return _of_type(text)
    if modifier in ("in", "not-in"):
        address = unescape(text)
        return (InValueSet(address),) if address and len(address) <= LENGTH else ()
    if param.type == "token":
        return _subsumption(token(text), up=modifier == "above")
    if modifier == "below":
        return _below(unescape(text)) if param.type == "uri" else _canonical_below(unescape(text))
    return ()


def _text(text: str) -> tuple[Value, ...]:
    folded = fold(text)[:LENGTH]
    return (Words(TEXT, folded, folded + _AFTER_ALL_TEXT),) if folded else ()


def _of_type(text: str) -> tuple[Value, ...]:
    parts = [unescape(part) for part in split(text, "|")]
    return (Hashes((mark_hash(OF_TYPE, "|".join(parts)),)),) if len(parts) == 3 and all(parts) else ()


def _subsumption(concept: Token | None, *, up: bool) -> tuple[Value, ...]:
    """Read a concept; a MIME type is below its base part, and has no system.

    Spec: https://hl7.org/fhir/R4/search.html#mimetype
    """
    if concept is None or not concept.code:
        return ()
    if concept.system:
        return (Subsumption(concept.system, concept.code, up),)
    if up or "/" not in concept.code:
        return ()
    return concept, Words(CODE, f"{concept.code};", f"{concept.code}{chr(ord(';') + 1)}")


def _below(url: str) -> tuple[Value, ...]:
    """Find an address and what lies below it, by segments of its path; `above` is the same seen from the other end."""
    if not ancestors(url) or len(url) > LENGTH:
        return ()
    inside = url if url.endswith("/") else f"{url}/"
    return Text(url), Words(ADDRESS, inside, inside[:-1] + chr(ord("/") + 1))


def _canonical_below(text: str) -> tuple[Value, ...]:
    """Find the versions of a canonical address: all of them, or those that a version with fewer parts stands for.

    Spec: https://hl7.org/fhir/R4/search.html#versions
    """
    url, bar, version = text.partition("|")
    if not url or len(text) > LENGTH or bool(bar) != bool(version):
        return ()
    here = ReferenceTo("", "", text)
    return (here, Words(ADDRESS, f"{text}.", f"{text}{chr(ord('.') + 1)}")) if bar else (here,)
