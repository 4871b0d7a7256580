"""Read and validate X12 bytes: envelope, guide, balance, situations, codes (SNIP types 1 to 5).

Spec: https://www.wedi.org/wp-content/uploads/2020/11/EDI-Testing-and-Certification-Levels.pdf
"""

from dataclasses import dataclass, field

from claims.x12.acknowledgment_rules import check_functional, check_interchange_acknowledgment
from claims.x12.catalog import guide, kind_of
from claims.x12.code_rules import check_codes
from claims.x12.envelope import Interchange, TransactionSet, interchange_structure
from claims.x12.hierarchy import check_hierarchy
from claims.x12.issue import ERROR, WARNING, Position, X12Issue
from claims.x12.professional_rules import check_professional
from claims.x12.reader import Limits, Reading, read
from claims.x12.remittance_rules import check_remittance
from claims.x12.separator import use_actual_separator
from claims.x12.walker import MAX_ISSUES, Loop, walk


@dataclass(slots=True)
class ReadSet:
    """One transaction set, placed in its guide."""

    kind: str
    set: TransactionSet
    root: Loop
    interchange: Interchange
    group_control: str


@dataclass(slots=True)
class Report:
    """What was read, and everything found wrong with it."""

    reading: Reading
    interchanges: list[Interchange] = field(default_factory=list)
    sets: list[ReadSet] = field(default_factory=list)
    issues: list[X12Issue] = field(default_factory=list)

    @property
    def valid(self) -> bool:
        """Return whether nothing found is an error."""
        return not any(issue.severity == ERROR for issue in self.issues)


def validate(data: bytes, *, codes: str = WARNING, limits: Limits | None = None) -> Report:
    """Read bytes and check them; never raises on bad input.

    Args:
        data: One or more interchanges.
        codes: Severity of SNIP type 5 findings: a reader takes warnings, a sender errors.
        limits: What the reading may cost.
    """
    reading = read(data, limits)
    report = Report(reading, issues=list(reading.issues))
    for raw in reading.interchanges:
        report.issues += use_actual_separator(raw)
        interchange, found = interchange_structure(raw)
        report.issues += found
        report.interchanges.append(interchange)
        for segment in interchange.acknowledgments:
            report.issues += check_interchange_acknowledgment(segment, interchange.index)
        for group in interchange.groups:
            control = group.header.get(6) if group.header else ""
            for transaction in group.sets:
                _read_set(report, interchange, control, transaction, codes)
                if len(report.issues) > MAX_ISSUES:
                    return _cut(report)
    return report


def _read_set(report: Report, interchange: Interchange, control: str, transaction: TransactionSet, codes: str) -> None:
    kind = kind_of(transaction.identifier, transaction.version)
    if not kind:
        at = Position(interchange.index, transaction.segments[0].number, 3)
        text = "no implementation guide of this version is known here"
        report.issues.append(X12Issue(ERROR, 2, "unknown-guide", text, at, "ST"))
        return
    root, found = walk(transaction.segments, guide(kind), interchange.index)
    report.issues += found
    report.sets.append(ReadSet(kind, transaction, root, interchange, control))
    if kind in ("837P", "277CA"):
        report.issues += check_hierarchy(root, interchange.index)
    if kind == "837P":
        report.issues += check_professional(root, interchange.index)
    elif kind == "835":
        report.issues += check_remittance(root, interchange.index)
    elif kind == "999":
        report.issues += check_functional(root, interchange.index)
    report.issues += check_codes(transaction.segments, interchange.index, codes)


def _cut(report: Report) -> Report:
    at = Position(len(report.interchanges), 1)
    report.issues = [*report.issues[:MAX_ISSUES], X12Issue(ERROR, 1, "too-many-issues", f"more than {MAX_ISSUES} findings; the rest was not read", at)]
    return report
