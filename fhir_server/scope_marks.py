"""The search parameters of a granular SMART scope, as codes of the index: exact, or not at all.

Enforced are token parameters of R4 over codes (category, code, status, class …) without modifier: a value with or without its system,
several values of a parameter as "one of", several parameters as "each". Everything else cannot be granted: dates and texts would have to be
compared, references would follow other rows, identifiers name one resource, and what somebody defines here may change.

Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html#finer-grained-resource-constraints-using-search-parameters
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final
from urllib.parse import unquote

from chartloop.kernel.access.granular import Marks
from fhir_server.hashing import value_hash
from fhir_server.indexing.words import CODE, whole_word
from fhir_server.search.params import SearchParam, for_type
from fhir_server.search.values import split, token
from fhir_server.type_ids import TYPE_IDS

MAX_VALUES: Final = 50
MAX_PARAMETERS: Final = 5


@lru_cache(maxsize=4096)
def scope_marks(type_: str, query: str) -> Marks | None:
    """Read the parameters of a scope on a type; None where one of them cannot be enforced exactly."""
    if type_ not in TYPE_IDS:
        return None
    groups: list[frozenset[str]] = []
    for pair in query.split("&"):
        name, said, value = pair.partition("=")
        param = for_type(type_).get(name)
        marks = _marks(param, unquote(value)) if said and param is not None and param.coded else None
        if marks is None:
            return None
        groups.append(marks)
    return tuple(groups) if len(groups) <= MAX_PARAMETERS else None


def _marks(param: SearchParam, value: str) -> frozenset[str] | None:
    """The codes of one parameter; None if a value is malformed or names no code."""
    found = [token(each) for each in split(value, ",")]
    tokens = [each for each in found if each is not None and each.code]
    if not tokens or len(tokens) != len(found) or len(tokens) > MAX_VALUES:
        return None
    return frozenset(_mark(param.id, each.system, each.code or "") for each in tokens)


def _mark(number: int, system: str | None, code: str) -> str:
    """A code with its system is a hash of the index; one without is a word, which stands for its hashes in every system."""
    return f"{number}:{CODE}:{whole_word(code)}" if system is None else f"{number}:{value_hash(f'{system}|{code}')}"
