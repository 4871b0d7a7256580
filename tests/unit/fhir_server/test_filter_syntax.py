"""The text of `_filter` to its tree: pure, literal in, literal out, and no text that breaks it."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from chartloop.kernel.errors import Invalid
from fhir_server.search.filter_syntax import MAX_DEPTH, MAX_LENGTH, OPERATORS, Comparison, Filter, FilterError, Joined, Step, read_filter_text
from fhir_server.search.params import for_type
from fhir_server.search.query import parse


def said(node: Filter) -> str:
    """Write a tree in parentheses."""
    if isinstance(node, Comparison):
        path = ".".join(step.name + (f"[{said(step.within)}]" if step.within else "") for step in node.path)
        return f"{path} {node.operator} {node.value!r}"
    return f"({node.word}: {'; '.join(map(said, node.parts))})"


@pytest.mark.conformance("FHIR R4: search", "_filter: the whole grammar, and and or of one rank from left to right")
@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ('given eq "peter" and birthdate ge 2014-10-10', "(and: given eq 'peter'; birthdate ge '2014-10-10')"),
        ("code eq http://loinc.org|1234-5", "code eq 'http://loinc.org|1234-5'"),
        ('subject.name co "pet"', "subject.name co 'pet'"),
        ('related[type eq "has-component"].target pr true', "related[type eq 'has-component'].target pr 'true'"),
        ("related[type eq has-component].target re Observation/4", "related[type eq 'has-component'].target re 'Observation/4'"),
        ("a eq 1 or b eq 2 and c eq 3", "(and: (or: a eq '1'; b eq '2'); c eq '3')"),
        ("a eq 1 or (b eq 2 and c eq 3)", "(or: a eq '1'; (and: b eq '2'; c eq '3'))"),
        ("not (a eq 1) and not(b eq 2)", "(and: (not: a eq '1'); (not: b eq '2'))"),
        ("  ( ( a eq 1 ) )  ", "a eq '1'"),
        ("((a eq 1)or(b eq 2))", "(or: a eq '1'; b eq '2')"),
        (r'name eq "a \"b\" \\ ) ] \u00e9 \ud83d\ude00"', 'name eq \'a "b" \\\\ ) ] é 😀\''),
        ("date eq 2014-10-10T00:00:00.5+01:00", "date eq '2014-10-10T00:00:00.5+01:00'"),
        ("_has:Observation:patient:code eq x", "_has:Observation:patient:code eq 'x'"),
        ("subject:Patient.name sw eq", "subject:Patient.name sw 'eq'"),
        ("and eq not", "and eq 'not'"),
        ("a eq (x", "a eq '(x'"),
    ],
)
def test_a_filter_is_read(text: str, tree: str) -> None:
    assert said(read_filter_text(text)) == tree


@pytest.mark.conformance("FHIR R4: search", "_filter: every error says at which character")
@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "Expected the name of a search parameter at character 1 of _filter."),
        ("a", "Expected a space and an operator at character 2 of _filter."),
        ("a eq", "Expected a space and a value at character 5 of _filter."),
        ("a eq ", "Expected a value at character 6 of _filter."),
        ("a xx 1", f"Expected an operator ({' '.join(sorted(OPERATORS))}) at character 3 of _filter."),
        ("a EQ 1", f"Expected an operator ({' '.join(sorted(OPERATORS))}) at character 3 of _filter."),
        ("a eq 1 b eq 2", "Expected and, or, or the end at character 8 of _filter."),
        ("a eq 1)", "Expected and, or, or the end at character 7 of _filter."),
        ("(a eq 1", "Expected ) at character 8 of _filter."),
        ("a[b eq 1.c eq 2", "Expected ] at character 12 of _filter."),
        ("a[b eq 1] eq 2", "Expected a point and a name after the brackets at character 10 of _filter."),
        ("not a eq 1", "Expected a filter in parentheses after not at character 5 of _filter."),
        ('a eq "x', "Expected the end of this string at character 6 of _filter."),
        (r'a eq "\q"', "Expected a JSON string at character 6 of _filter."),
        (r'a eq "\ud800"', "Expected a JSON string at character 6 of _filter."),
        (r'a eq "\u0000"', "Expected no character U+0000 at character 6 of _filter."),
        ("a..b eq 1", "Expected the name of a search parameter at character 3 of _filter."),
        ("a eq 1 and", "Expected the name of a search parameter at character 11 of _filter."),
        ("(" * (MAX_DEPTH + 1) + "a eq 1" + ")" * (MAX_DEPTH + 1), f"A filter is at most {MAX_DEPTH} parentheses deep at character {MAX_DEPTH + 2} of _filter."),
        (" or ".join(["a eq 1"] * 51), "A filter has at most 50 tests at character 501 of _filter."),
        ("a eq " + "1" * MAX_LENGTH, f"A filter has at most {MAX_LENGTH} characters, and this one goes on at character {MAX_LENGTH + 1} of _filter."),
    ],
)
def test_an_error_says_where(text: str, error: str) -> None:
    with pytest.raises(FilterError) as caught:
        read_filter_text(text)
    assert str(caught.value) == error


@pytest.mark.conformance("FHIR R4: search", "_filter: what makes no sense for a kind of parameter, and what is not built, is refused by name and position")
@pytest.mark.parametrize(
    ("type_", "text", "error"),
    [
        ("Patient", "colour eq red", "Parameter 'colour' is not supported for Patient, before the operator at character 8 of _filter."),
        ("Patient", "name:exact eq x", "A modifier (:exact) is not supported in a filter (operator eq) at character 12 of _filter."),
        ("Observation", "code ss x", "Value 1 of code is not a valid token (operator ss) at character 6 of _filter."),
        ("Observation", "code sb x", "Value 1 of code is not a valid token (operator sb) at character 6 of _filter."),
        ("Observation", "code co x", "Operator co is not supported for code, a token parameter (operator co) at character 6 of _filter."),
        ("Observation", "subject eq Patient/1", "Operator eq is not supported for subject, a reference parameter; a reference takes re (operator eq) at character 9 of _filter."),
        ("Observation", "code ne x",
         "Operator ne is not supported for code, which may have several values; not (code eq ...) says that none is equal (operator ne) at character 6 of _filter."),
        ("Observation", "date sw 2014", "Operator sw is not supported for date, a date parameter (operator sw) at character 6 of _filter."),
        ("Observation", "date eq soon", "Value 1 of date is not a valid date (operator eq) at character 6 of _filter."),
        ("Observation", "date po soon", "The value of date is not a valid date (operator po) at character 6 of _filter."),
        ("Observation", "date eq ge2014", "Value 1 of date is not a valid date (operator eq) at character 6 of _filter."),
        ("Observation", "value-quantity co 5", "Operator co is not supported for value-quantity, a quantity parameter (operator co) at character 16 of _filter."),
        ("Observation", "_lastUpdated po 2014", "Operator po is not supported for _lastUpdated, a date parameter (operator po) at character 14 of _filter."),
        ("Observation", "_id pr true", "_id is never missing (operator pr) at character 5 of _filter."),
        ("Observation", "date pr 2014", "Operator pr takes true or false (operator pr) at character 6 of _filter."),
        ("Observation", "code.name eq x", "code of Observation holds no references to follow (operator eq) at character 11 of _filter."),
        ("Patient", 'name eq ""', "The value of name has 1 to 199 characters (operator eq) at character 6 of _filter."),
        ("DocumentReference", "relatesTo[code eq appends].target re DocumentReference/1",
         "Brackets behind a name (relatesTo.target) are not supported at character 35 of _filter."),
    ],
)  # fmt: skip
def test_what_a_filter_cannot_ask_is_refused(type_: str, text: str, error: str) -> None:
    position = int(error.rsplit("character ", maxsplit=1)[1].partition(" ")[0])
    for before, after in (("", ""), ("not (", ")")):
        with pytest.raises(Invalid) as caught:
            parse(type_, f"_filter={before}{text}{after}", for_type)
        [issue] = caught.value.issues
        where = error.replace(f"character {position} ", f"character {position + len(before)} ")
        assert (issue.text, issue.expression) == (where, "http._filter")


@pytest.mark.conformance("FHIR R4: search", "_filter: what stands under and is a criterion that can drive; alternatives of one parameter are one list")
def test_a_filter_becomes_criteria_where_it_can() -> None:
    query = parse("Observation", "_filter=(status eq final or status eq amended) and code eq loinc|1-8 and value-quantity gt 5|ucum|mg and subject re Patient/1", for_type)
    assert [(each.param.code, len(each.values)) for each in query.criteria] == [("status", 2), ("code", 1), ("value-quantity", 1), ("subject", 1)]
    assert query.criteria[1].values == parse("Observation", "code=http://loinc.org|1-8", for_type).criteria[0].values
    assert query.criteria[2].values == parse("Observation", "value-quantity=gt5|http://unitsofmeasure.org|mg", for_type).criteria[0].values
    assert query.junctions == []
    assert parse("Observation", "_filter=status eq a or code eq b", for_type).paths() == ["Observation.status", "Observation.code"]


NAMES = st.from_regex(r"[a-z_][a-z0-9_\-]{0,6}", fullmatch=True)
LEAVES = st.builds(
    lambda path, operator, value: (f"{'.'.join(path)} {operator} {json.dumps(value)}", [tuple(path), operator, value]),
    st.lists(NAMES, min_size=1, max_size=3), st.sampled_from(sorted(OPERATORS)), st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12),
)  # fmt: skip


def _joined(inner: st.SearchStrategy[tuple[str, object]]) -> st.SearchStrategy[tuple[str, object]]:
    several = st.tuples(st.sampled_from(("and", "or")), st.lists(inner, min_size=2, max_size=3)).map(
        lambda pair: (f" {pair[0]} ".join(f"({text})" for text, _ in pair[1]), [pair[0], *(tree for _, tree in pair[1])])
    )
    return several | inner.map(lambda one: (f"not ({one[0]})", ["not", one[1]]))


def _flat(node: object) -> object:
    """A tree as lists, without the nests that say the same."""
    if isinstance(node, Comparison):
        return [tuple(step.name for step in node.path), node.operator, node.value]
    if isinstance(node, Joined):
        return [node.word, *map(_flat, node.parts)]
    return node


@given(st.recursive(LEAVES, _joined, max_leaves=6))
def test_what_is_written_in_parentheses_is_read_as_it_was_written(pair: tuple[str, object]) -> None:
    text, tree = pair
    assume(_depth(tree) <= MAX_DEPTH)
    assert _unnested(_flat(read_filter_text(text))) == _unnested(tree)


def _depth(tree: object) -> int:
    return 1 + max(map(_depth, tree[1:])) if isinstance(tree, list) and isinstance(tree[0], str) else 0


def _unnested(tree: object) -> object:
    """Nests of one word on the left are flat when read."""
    if not isinstance(tree, list) or isinstance(tree[0], tuple):
        return tree
    parts = [_unnested(part) for part in tree[1:]]
    first = parts[0]
    if tree[0] != "not" and isinstance(first, list) and first[0] == tree[0]:
        parts[:1] = first[1:]
    return [tree[0], *parts]


PIECES = st.sampled_from(["(", ")", "[", "]", ".", " ", "and ", "or ", "not ", "a ", "eq ", '"', "\\", "x", "name", "_has:Observation:patient:code ", "1", "é", "\u2028", ":"])


@pytest.mark.conformance("FHIR R4: search", "_filter: no text breaks the parser, and each is answered or refused with a position")
@given(st.lists(PIECES, max_size=60).map("".join) | st.text(max_size=80))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        assert isinstance(read_filter_text(text), Comparison | Joined)
    except FilterError as error:
        position = int(str(error).rsplit("character ", 1)[1].split()[0])
        assert 1 <= position <= len(text) + 1
    if "\x00" not in text:
        with suppress(Invalid):
            parse("Patient", "_filter=" + "".join(f"%{byte:02x}" for byte in text.encode("utf-8", "replace")), for_type)


def test_a_step_keeps_its_brackets() -> None:
    assert read_filter_text("a[b eq 1].c pr true") == Comparison((Step("a", Comparison((Step("b", None),), "eq", "1", 5)), Step("c", None)), "pr", "true", 13)
