"""Which of several statements about one result holds, whatever the order in which they arrived; pure.

Spec: https://www.hl7.eu/HL7v2x/v29/std29/ch07.html (OBX-11, table 0085; OBR-25, table 0123)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ingest.mapping.change import Change
from ingest.mapping.result_state import FINAL, Statement, correction_code, correction_status, is_correction, rank, rank_event, rank_status

Resource = dict[str, Any]
_NEVER = -1
_WITHDRAWN = "entered-in-error"
_KEPT = frozenset({"id", "meta"})


class Standing(NamedTuple):
    """What one more statement makes of a result.

    Attributes:
        status: The status that holds now.
        takes_content: Whether the content of this statement holds now.
        refused: Whether the statement is newer than what holds and yet weaker: it may not take back a finished result.
        advances: What to remember, by name.
    """

    status: str
    takes_content: bool
    refused: bool
    advances: dict[str, int]


def remembered_names(name: str) -> tuple[str, str, str]:
    """Names under which the strongest statement, the newest content and the strongest correction of a result are remembered."""
    return name, f"{name}|content", f"{name}|correction"


def standing(statement: Statement, name: str, latest: Mapping[str, int], event: int) -> Standing:
    """Place a statement made at `event` among those that are remembered.

    The content is that of the strongest statement that carried one; a statement without content (U, D, W) leaves it and sets the status.
    A result that was corrected once stays corrected when it is sent again as final.
    """
    state, content, correction = remembered_names(name)
    before = latest.get(state, _NEVER)
    mine = rank(statement.status, event)
    content_before = latest.get(content, before)
    takes = statement.content and mine >= content_before
    late = mine < before and event > rank_event(before)
    if late and rank_status(before) != _WITHDRAWN:
        takes = False  # a state without content (U) made it final: a newer, weaker result may not replace what was called final
    corrected = max(latest.get(correction, _NEVER), correction_code(statement.status) if is_correction(statement.status) else _NEVER)
    status = rank_status(max(before, mine))
    if status == FINAL and corrected > _NEVER:
        status = correction_status(corrected)
    advances = {state: mine}
    if not statement.content:
        advances[content] = max(content_before, 0)
    elif content in latest:
        advances[content] = mine
    if is_correction(statement.status):
        advances[correction] = correction_code(statement.status)
    refused = late and not takes
    return Standing(status, takes, refused, {} if refused else advances)


def replaced(existing: Resource, change: Change, standing: Standing) -> Resource:
    """The stored result with what holds now. Identifiers and the results of a report are united; the rest is one statement's, never a mixture."""
    if standing.takes_content:
        result = {name: value for name, value in existing.items() if name in _KEPT}
        result |= {name: value for name, value in change.resource.items() if name != "meta"}
    else:
        result = dict(existing)
    result["status"] = standing.status
    for name in ("identifier", "result"):
        united = _united(change.resource.get(name, []), existing.get(name, []), own_first=standing.takes_content)
        if united:
            result[name] = united
    return result


def _united(new: list[Resource], stored: list[Resource], *, own_first: bool) -> list[Resource]:
    first, second = (new, stored) if own_first else (stored, new)
    return first + [item for item in second if not any(_same(item, other) for other in first)]


def _same(item: Resource, other: Resource) -> bool:
    if "reference" in item:
        return bool(item["reference"] == other.get("reference"))
    return (item.get("system"), item.get("value")) == (other.get("system"), other.get("value"))
