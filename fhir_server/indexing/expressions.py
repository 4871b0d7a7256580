"""Parse the FHIRPath subset that SearchParameter expressions use: paths, unions, as, ofType, where, extension, index.

Spec: https://hl7.org/fhir/R4/searchparameter-definitions.html#SearchParameter.expression
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Step(NamedTuple):
    """One step of a path: child, as, where (argument equals literal), resolve (reference to a type), index, true."""

    kind: str
    argument: str = ""
    literal: str = ""


_STEP = re.compile(
    r"""\.?(?:
      where\(resolve\(\)\ is\ (?P<resolve>\w+)\)
    | where\(\s*(?P<field>\w+)\s*=\s*'(?P<literal>[^']*)'\s*\)
    | extension\(\s*'(?P<extension>[^']*)'\s*\)
    | (?:as|ofType)\((?P<as>\w+)\)
    | (?P<child>[A-Za-z]\w*)(?![\w(])
    | \[(?P<index>\d+)\]
    )""",
    re.VERBOSE,
)
_AS = re.compile(r"\((?P<inner>[\w.]+) as (?P<type>\w+)\)(?P<rest>.*)\Z", re.DOTALL)
_TRUE = re.compile(r"(?P<path>[\w.]+)\.exists\(\) and (?P=path) != false\Z")


def branches(expression: str) -> list[str]:
    """The operands of the top-level unions."""
    return [text for _, text in operands(expression)]


def operands(expression: str) -> list[tuple[int, str]]:
    """The operands of the top-level unions, and where each begins."""
    parts, starts = [""], [0]
    depth, quoted = 0, False
    for place, character in enumerate(expression):
        quoted ^= character == "'"
        depth += 0 if quoted else (character == "(") - (character == ")")
        if character == "|" and depth == 0 and not quoted:
            parts.append("")
            starts.append(place + 1)
        else:
            parts[-1] += character
    return [(start + len(part) - len(part.lstrip()), part.strip()) for start, part in zip(starts, parts, strict=True) if part.strip()]


def parse_branch(text: str) -> tuple[Step, ...] | None:
    """Steps of one union operand, the first being the type; None when it is outside the subset."""
    true = _TRUE.match(text)
    if true:
        steps = parse_branch(true["path"])
        return None if steps is None else (*steps, Step("true"))
    wrapped = _AS.match(text)
    if wrapped:
        inner, rest = parse_branch(wrapped["inner"]), _steps(wrapped["rest"])
        return None if inner is None or rest is None else (*inner, Step("as", wrapped["type"]), *rest)
    return _steps(text)


def unread(text: str) -> int:
    """Where one union operand stops being in the subset; its length where it does not."""
    if parse_branch(text) is not None:
        return len(text)
    wrapped = _AS.match(text)
    if wrapped and parse_branch(wrapped["inner"]) is None:
        return 1 + unread(wrapped["inner"])
    position = wrapped.start("rest") if wrapped else 0
    while found := _STEP.match(text, position):
        position = found.end()
    return position


def _steps(text: str) -> tuple[Step, ...] | None:
    steps: list[Step] = []
    position = 0
    while position < len(text):
        found = _STEP.match(text, position)
        if found is None:
            return None
        kind = str(found.lastgroup)
        if kind == "literal":
            steps.append(Step("where", found["field"], found["literal"]))
        elif kind == "extension":
            steps += (Step("child", "extension"), Step("where", "url", found["extension"]))
        else:
            steps.append(Step(kind, found[kind]))
        position = found.end()
    return tuple(steps)
