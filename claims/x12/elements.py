"""Check the elements of one segment: types, lengths, required elements and codes.

A compiled expression accepts the usual good segment at once; only what it does not accept is looked at element by element.
"""

import re
from collections.abc import Callable, Iterator
from datetime import date

from claims.x12.dictionary import SEGMENTS, ElementFact
from claims.x12.guide import Fact, SegmentNode
from claims.x12.issue import ERROR, WARNING, Position, X12Issue
from claims.x12.segment import Segment

_NUMBER = {"N0": re.compile(r"-?\d+"), "R": re.compile(r"-?(\d+\.?\d*|\.\d+)"), "TM": re.compile(r"\d{4,8}")}
_DATED = frozenset({"DTP", "DTM", "DMG", "BHT", "BPR", "STC", "PLB", "TS3", "FRM"})
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_MAX_ELEMENTS = 100


def check_elements(segment: Segment, node: SegmentNode, interchange: int) -> list[X12Issue]:
    """Return what is wrong with the elements of a segment at its place in a guide."""
    delimiters = segment.delimiters
    text = delimiters.element.join(segment.elements)
    pattern = node.patterns.get(delimiters) or _compile(node, delimiters)
    if pattern.fullmatch(text) and (segment.id not in _DATED or not list(_dates(segment))):
        return []
    tolerated = {fact.element for fact in node.facts if fact.tolerated}
    return [
        X12Issue(
            WARNING if element in tolerated else severity, snip, code, what, Position(interchange, segment.number, element, component),
            segment.id, node.loop.id,
        )
        for severity, snip, code, what, element, component in _slow(segment, node)
    ]


_Found = tuple[str, int, str, str, int, int]


def _slow(segment: Segment, node: SegmentNode) -> Iterator[_Found]:
    facts = SEGMENTS.get(segment.id, ())
    if len(segment.elements) - 1 > max(len(facts), 1) and facts:
        yield ERROR, 2, "3", "too many elements", len(facts) + 1, 0
    elif len(segment.elements) > 1 and segment.elements[-1] == "":
        yield WARNING, 1, "trailing", "empty elements at the end", len(segment.elements) - 1, 0
    for number, fact in enumerate(facts, 1):
        if segment.get(number):
            yield from _typed(segment, number, fact)
    for rule in node.facts + node.selectors:
        yield from _rule(segment, rule)
    yield from _dates(segment)


def _typed(segment: Segment, number: int, fact: ElementFact) -> Iterator[_Found]:
    if fact.type != "C":
        for what in _wrong(segment.get(number), fact):
            yield ERROR, 1, what[0], what[1], number, 0
        return
    parts = segment.parts(number)
    if len(parts) > len(fact.components):
        yield ERROR, 2, "3", "too many components", number, len(fact.components) + 1
    for index, (value, component) in enumerate(zip(parts, fact.components, strict=False), 1):
        for what in _wrong(value, component) if value else ():
            yield ERROR, 1, what[0], what[1], number, index


def _wrong(value: str, fact: ElementFact) -> Iterator[tuple[str, str]]:
    if _CONTROL.search(value):
        yield "6", "a control character"
    if fact.type == "" or len(value) > 10_000:
        return
    pattern = _NUMBER.get(fact.type)
    if pattern is not None and not pattern.fullmatch(value):
        yield "6", f"not of type {fact.type}"
        return
    if fact.type == "DT" and not _is_date(value):
        yield "8", "not a date"
        return
    size = len(value.lstrip("-").replace(".", "")) if fact.type in ("N0", "R") else len(value)
    if size < fact.low:
        yield "4", f"shorter than {fact.low}"
    if size > fact.high:
        yield "5", f"longer than {fact.high}"


def _rule(segment: Segment, rule: Fact) -> Iterator[_Found]:
    value = segment.get(rule.element, rule.component)
    if not value:
        if rule.required:
            yield ERROR, 2, "1", "required and missing", rule.element, rule.component
        return
    if rule.codes and value not in rule.codes:
        yield ERROR, 2, "7", "not a code the guide allows here", rule.element, rule.component
    if rule.longest and len(value) > rule.longest:
        yield ERROR, 2, "5", f"longer than the {rule.longest} characters the guide allows", rule.element, rule.component


def _dates(segment: Segment) -> Iterator[_Found]:
    """Dates whose format another element names (DTP02, DMG01), and plain ones: are they days of the calendar?"""
    name = segment.id
    if name in ("DTP", "DMG"):
        at = 3 if name == "DTP" else 2
        form, value = segment.get(at - 1), segment.get(at)
        good = _FORMATS.get(form)
        if value and good is not None and not good(value):
            yield ERROR, 1, "8", f"not a date in format {form}", at, 0
        return
    for number, fact in enumerate(SEGMENTS.get(name, ()), 1):
        if fact.type == "DT" and segment.get(number) and not _is_date(segment.get(number)):
            yield ERROR, 1, "8", "not a date", number, 0


def _is_date(value: str) -> bool:
    if len(value) != 8 or not (value.isascii() and value.isdigit()):
        return False
    try:
        date(int(value[:4]), int(value[4:6]), int(value[6:]))
    except ValueError:
        return False
    return True


def _is_range(value: str) -> bool:
    low, dash, high = value.partition("-")
    return dash == "-" and _is_date(low) and _is_date(high) and low <= high


_FORMATS: dict[str, Callable[[str], bool]] = {"D8": _is_date, "RD8": _is_range, "DT": lambda value: _is_date(value[:8])}


def _compile(node: SegmentNode, delimiters: tuple[str, ...]) -> re.Pattern[str]:
    """Build the expression that a good segment of this node matches."""
    element, component = re.escape(delimiters[0]), re.escape(delimiters[1])
    other = f"[^{element}{component}\\x00-\\x1f\\x7f]"
    rules = _merged(node)
    parts = [re.escape(node.id)]
    closing = 0
    for number, fact in enumerate(SEGMENTS.get(node.id, ()), 1):
        if fact.type == "C":
            body, needed = _composite(number, fact, rules, other, component)
        else:
            rule = rules.get((number, 0))
            needed = bool(rule and rule.required)
            body = _body(fact, rule, other)
        needed = needed or any(e > number and rules[(e, c)].required for e, c in rules)
        own = any(e == number and rules[(e, c)].required for e, c in rules)
        value = f"(?:{body})" if own else f"(?:{body})?"
        if needed:
            parts.append(element + value)
        else:
            parts.append(f"(?:{element}{value}")
            closing += 1
    text = "".join(parts) + ")?" * closing
    pattern = re.compile(text + (f"(?<!{element})" if closing else ""))
    if len(node.patterns) < _MAX_ELEMENTS:
        node.patterns[delimiters] = pattern
    return pattern


def _composite(number: int, fact: ElementFact, rules: dict[tuple[int, int], Fact], other: str, sep: str) -> tuple[str, bool]:
    text, closing, needed_any = "", 0, False
    for index, part in enumerate(fact.components, 1):
        rule = rules.get((number, index))
        needed = any(e == number and c >= index and rules[(e, c)].required for e, c in rules if c)
        needed_any = needed_any or needed
        body = _body(part, rule, other)
        value = f"(?:{body})" if rule and rule.required else f"(?:{body})?"
        lead = sep if index > 1 else ""
        if needed or index == 1:
            text += lead + value
        else:
            text += f"(?:{lead}{value}"
            closing += 1
    return text + ")?" * closing, needed_any


def _body(fact: ElementFact, rule: Fact | None, other: str) -> str:
    if rule is not None and rule.codes:
        return "|".join(re.escape(code) for code in sorted(rule.codes))
    if fact.type == "":
        return f"{other}+"
    if fact.type == "R":
        return rf"-?(?=[0-9]|\.[0-9])[0-9]{{0,{fact.high - 3}}}(?:\.[0-9]{{1,2}})?" if fact.high > 3 else "(?!)"
    if fact.type in ("N0", "DT", "TM"):
        return rf"[0-9]{{{fact.low},{fact.high}}}"
    high = min(fact.high, rule.longest) if rule is not None and rule.longest else fact.high
    return f"{other}{{{fact.low},{high}}}"


def _merged(node: SegmentNode) -> dict[tuple[int, int], Fact]:
    """Return one fact per place: required if any says so, the codes and the length of whichever states them."""
    rules: dict[tuple[int, int], Fact] = {}
    for rule in node.selectors + node.facts:
        key = (rule.element, rule.component)
        old = rules.get(key, rule)
        rules[key] = Fact(*key, old.required or rule.required, old.codes | rule.codes, old.longest or rule.longest)
    return rules
