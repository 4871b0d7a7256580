"""Search values that the vocabulary knows, and the hashes that it gives for them.

Spec: https://hl7.org/fhir/R4/search.html#token
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from chartloop.kernel.db import Session
from chartloop.kernel.errors import Invalid
from fhir_server.hashing import value_hash
from fhir_server.indexing.vocabulary import Vocabulary
from fhir_server.indexing.words import CODE, SYSTEM, whole_word
from fhir_server.search.conditions import SHORT, word_rows
from fhir_server.search.params import SearchParam
from fhir_server.search.security import is_security
from fhir_server.search.tree import Criterion
from fhir_server.search.values import Hashes, Token, Value, Words

MAX_LISTED: Final = 5_000
"""Most hashes that one value becomes; beyond them the statement looks at the vocabulary itself."""


def needs_lookup(criterion: Criterion) -> bool:
    """Whether a criterion speaks of words, or of more codes than are looked for one by one."""
    return any(_words(criterion.param, value) for value in criterion.values) or _many(criterion)


def looked_up(session: Session, vocabulary: Vocabulary, criterion: Criterion) -> Criterion:
    """Put hashes in the place of words.

    Raises:
        Invalid: What was stored before there was a vocabulary has not been indexed again.
    """
    if not needs_lookup(criterion):
        return criterion
    whole = vocabulary.complete(session)
    if whole and _many(criterion):
        criterion = _in_use(session, criterion)
    values = tuple(
        _hashes(session, criterion.param, words, whole=whole) if (words := _words(criterion.param, value)) else value for value in criterion.values
    )
    # A label may be sensitive: those are named by the token itself.
    return replace(criterion, values=(*criterion.values, *values) if is_security(criterion.param) else values)


def _many(criterion: Criterion) -> bool:
    return criterion.param.coded and len(criterion.values) > SHORT


def _in_use(session: Session, criterion: Criterion) -> Criterion:
    """Leave the codes that no resource has ever had out of a long list, as a value set is."""
    systems = {value.system for value in criterion.values if isinstance(value, Token) and value.system and value.code}
    used: set[int] = set()
    for system in systems:
        rows = word_rows(criterion.param, Words(SYSTEM, whole_word(system), ""))
        found = session.all(f"{rows.sql} LIMIT {MAX_LISTED + 1}", rows.params)
        if len(found) > MAX_LISTED:
            return criterion
        used.update(int(row[0]) for row in found)
    values = [each for each in criterion.values if not (isinstance(each, Token) and each.system and each.code) or value_hash(f"{each.system}|{each.code}") in used]
    return replace(criterion, values=tuple(values))


def _words(param: SearchParam, value: Value) -> Words | None:
    if isinstance(value, Token) and param.coded:
        if value.code is None:
            return Words(SYSTEM, whole_word(value.system or ""), "")
        return Words(CODE, whole_word(value.code), "") if value.system is None else None
    return value if isinstance(value, Words) else None


def _hashes(session: Session, param: SearchParam, words: Words, *, whole: bool) -> Value:
    if not whole and words.kind != CODE:
        raise Invalid(f"{param.code} is not indexed yet by what is asked for; an operator must run $reindex.", code="not-supported")
    rows = word_rows(param, words)
    found = session.all(f"{rows.sql} LIMIT {MAX_LISTED + 1}", rows.params)
    if len(found) > MAX_LISTED:
        return words
    # A code that was stored before there was a vocabulary has a row of its own.
    return Hashes((*(int(row[0]) for row in found), *(() if whole else (value_hash(words.low),))))
