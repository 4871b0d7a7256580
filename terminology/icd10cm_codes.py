"""ICD-10-CM as a terminology: what lies below and above a code, by the tabular list.

Spec: https://terminology.hl7.org/ICD.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from terminology.icd10cm import SYSTEM, Icd10cm, load, normalize


class Icd10cmCodes:
    """Answers for one code system; codes are written the official way, upper case and with the dot."""

    def __init__(self, read: Callable[[], Icd10cm] = load) -> None:
        """Take what reads the tabular list; it is read when it is first asked."""
        self._read = read

    def expand(self, value_set: str) -> Mapping[str, frozenset[str] | None] | None:
        """Every code of the system, for the value set that its address implies; no other is known."""
        return {SYSTEM: None} if value_set == f"{SYSTEM}?fhir_vs" else None

    def below(self, system: str, code: str) -> frozenset[str] | None:
        """The code and all codes under it, those with a seventh character included; None if the release does not have it."""
        if system != SYSTEM or self._read().lookup(code) is None:
            return None
        found, pending = set[str](), [normalize(code)]
        while pending:
            each = pending.pop()
            found.add(each)
            pending += self._read().children(each)
        return frozenset(found)

    def above(self, system: str, code: str) -> frozenset[str] | None:
        """The code and all codes over it, up to its category; None if the release does not have it."""
        if system != SYSTEM or self._read().lookup(code) is None:
            return None
        return frozenset(self._read().ancestors(code))
