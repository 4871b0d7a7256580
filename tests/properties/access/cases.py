"""The table of cases: who, doing what, to which row, under which grants; and the answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from chartloop.kernel.access.grants import ASSIGNMENT, CARE, DENIAL, GLASS, PERMISSION, RESTRICTION, SELF_PAID, Grant
from chartloop.kernel.access.labels import LABELS
from chartloop.kernel.access.rows import RowAttributes
from chartloop.kernel.access.subject import Subject
from tests.properties.access.oracle import permitted

TABLE: Final = Path(__file__).with_name("cases.txt")
HEADER: Final = """\
# Who may see what: one case a line, decided by Cedar, by the SQL row filter, by plain Python (oracle.py) and by oso (oracle.polar).
#
# role, action, type, labels, grants, row and subject; then the answer. A dash is nothing special:
#   subject  Practitioner/1 in session s1 of no client, purpose TREAT; a payer is Organization/9, a patient Patient/1. nobody: no person in the token.
#   row      Type/1 in the chart of Patient/1, insured by Organization/9, owned by another. mine: owned by the subject.
#   grants   words that cases.py spells out; -ended, -later: before or after now; -other: to somebody else."""

_ME, _OTHER, _PATIENT = "Practitioner/1", "Practitioner/2", "Patient/1"
_PAST, _FUTURE = 1, 2**61
_GRANTS: Final[dict[str, tuple[Grant, ...]]] = {
    "treated": (Grant(CARE, _PATIENT, _ME),),
    "treated-by-other": (Grant(CARE, _PATIENT, _OTHER), Grant(CARE, "Patient/2", _ME)),
    "treated-ended": (Grant(CARE, _PATIENT, _ME, ends=_PAST),),
    "treated-later": (Grant(CARE, _PATIENT, _ME, starts=_FUTURE),),
    "glass": (Grant(GLASS, _PATIENT, _ME, "s1"),),
    "glass-other-session": (Grant(GLASS, _PATIENT, _ME, "s2"),),
    "glass-other-client": (Grant(GLASS, _PATIENT, _ME, "s1", "app"),),
    "glass-ended": (Grant(GLASS, _PATIENT, _ME, "s1", ends=_PAST),),
    "assigned": (Grant(ASSIGNMENT, _PATIENT, _ME, target="1"),),
    "assigned-to-other": (Grant(ASSIGNMENT, _PATIENT, _OTHER, target="1"),),
    "assigned-another-note": (Grant(ASSIGNMENT, _PATIENT, _ME, target="2"),),
    "assigned-of-other-patient": (Grant(ASSIGNMENT, "Patient/2", _ME, target="1"),),
    "denied": (Grant(DENIAL, _PATIENT, source="Consent/d", node=1),),
    "denied-to-other": (Grant(DENIAL, _PATIENT, _OTHER, source="Consent/d", node=1),),
    "denied-for-research": (Grant(DENIAL, _PATIENT, purpose="HRESCH", source="Consent/d", node=1),),
    "denied-for-psychiatry": (Grant(DENIAL, _PATIENT, label=LABELS["PSY"], source="Consent/d", node=1),),
    "denied-ended": (Grant(DENIAL, _PATIENT, ends=_PAST, source="Consent/d", node=1),),
    "denied-later": (Grant(DENIAL, _PATIENT, starts=_FUTURE, source="Consent/d", node=1),),
    "denied-but-for-me": (Grant(DENIAL, _PATIENT, source="Consent/e", node=1), Grant(PERMISSION, _PATIENT, _ME, source="Consent/e", node=2, parent=1)),
    "denied-but-for-other": (Grant(DENIAL, _PATIENT, source="Consent/e", node=1), Grant(PERMISSION, _PATIENT, _OTHER, source="Consent/e", node=2, parent=1)),
    "denied-another-patient": (Grant(DENIAL, "Patient/2", source="Consent/d", node=1),),
    "denied-notes": (Grant(DENIAL, _PATIENT, type="DocumentReference", source="Consent/d", node=1),),
    "restricted": (Grant(RESTRICTION, _PATIENT, source="Consent/r", node=1),),
    "self-paid": (Grant(SELF_PAID, _PATIENT, source="Consent/s", node=1),),
    "consented": (Grant(PERMISSION, _PATIENT, source="Consent/p", node=1),),
    "consented-to-other": (Grant(PERMISSION, _PATIENT, "Organization/8", source="Consent/p", node=1),),
    "consented-ended": (Grant(PERMISSION, _PATIENT, ends=_PAST, source="Consent/p", node=1),),
}
_PEOPLE: Final = {"payer": "Organization/9", "patient": "Patient/1"}


class Case(NamedTuple):
    """One line of the table; "" where it has a dash."""

    role: str
    action: str
    type: str
    labels: str
    grants: str
    row: str
    subject: str
    expected: str

    def who(self) -> Subject:
        """Return the subject."""
        user = "" if self.subject == "nobody" else _PEOPLE.get(self.role, _ME)
        patient = "Patient/1" if self.role == "patient" else ""
        purpose = "HRESCH" if self.subject == "for-research" else "HPAYMT" if self.role == "payer" else "TREAT"
        return Subject("x", self.role, user, patient, ("system/*.cruds",), purpose, session="s1")

    def attributes(self) -> RowAttributes:
        """Return the row."""
        patient = {"no-patient": "", "other-patient": "Patient/2"}.get(self.row, "Patient/1")
        owner = self.who().user if self.row == "mine" else "Practitioner/9"
        insurer = "Organization/8" if self.row == "other-insurer" else "Organization/9"
        return RowAttributes(self.type, frozenset(self.labels.split()), patient, owner, insurer, "1")

    def granted(self) -> tuple[Grant, ...]:
        """Return the grants."""
        return tuple(grant for word in self.grants.split() for grant in _GRANTS[word])


def decided_plainly(case: Case) -> bool:
    """Decide a case in plain Python."""
    return permitted(case.who(), case.action, case.attributes(), case.granted())


def line(case: Case) -> str:
    """Write a case as a line."""
    widths = (22, 12, 22, 12, 30, 14, 13, 0)
    return " ".join((value.replace(" ", "+") or "-").ljust(width) for value, width in zip(case, widths, strict=True)).rstrip()


def cases() -> Iterator[Case]:
    """Read the table."""
    for text in TABLE.read_text(encoding="utf-8").splitlines():
        if text and not text.startswith("#"):
            yield Case(*("" if part == "-" else part.replace("+", " ") for part in text.split()))

