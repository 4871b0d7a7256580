"""The encoding characters of one message, as MSH-1 and MSH-2 declare them.

Spec: https://www.hl7.eu/HL7v2x/v29/std29/ch02.html#Heading13 (message delimiters)
"""

from __future__ import annotations

from typing import NamedTuple

_DEFAULT_MSH_2 = "^~\\&#"


class Separators(NamedTuple):
    """Delimiters of one message; `declared` is MSH-2 as it was received."""

    field: str = "|"
    component: str = "^"
    repetition: str = "~"
    escape: str = "\\"
    subcomponent: str = "&"
    declared: str = "^~\\&"


STANDARD = Separators()


def declared_separators(field: str, declared: str) -> tuple[Separators, bool]:
    """Read MSH-1 and MSH-2, and say whether MSH-2 was well formed.

    A doubled character (seen from senders that escape twice) is taken once; a missing one takes its default.
    """
    if declared == STANDARD.declared and field == STANDARD.field:
        return STANDARD, True
    given = "".join(dict.fromkeys(character for character in declared if character not in (field, " ")))
    spare = (character for character in _DEFAULT_MSH_2 if character not in given and character != field)
    characters = (given + "".join(spare))[:4].ljust(4, "\x00")
    separators = Separators(field, characters[0], characters[1], characters[2], characters[3], declared)
    well_formed = len(given) == len(declared) and 4 <= len(given) <= 5 and not any(c.isalnum() for c in given)
    return separators, well_formed
