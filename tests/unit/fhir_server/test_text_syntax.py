"""Words to search for, and the words of a resource: pure, literal in, literal out, and no text that breaks it."""

from __future__ import annotations

import base64
import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chartloop.kernel.errors import Invalid
from fhir_server.indexing.text_rows import tsvectors
from fhir_server.indexing.text_words import MAX_BYTES, MAX_WORDS, TextWords, text_words
from fhir_server.search.params import for_type
from fhir_server.search.query import parse
from fhir_server.search.text_syntax import TextError, fts5, read_text_query, tsquery


@pytest.mark.conformance("FHIR R4: search", "_text and _content: words, AND, OR, NOT, parentheses, phrases, beginnings of words")
@pytest.mark.parametrize(
    ("text", "sqlite", "postgresql"),
    [
        ("Cough", '"cough"', "('cough')"),
        ("(bone OR liver) and metastases", '(("bone" OR "liver") AND "metastases")', "((('bone') | ('liver')) & ('metastases'))"),
        ("bone liver", '("bone" AND "liver")', "(('bone') & ('liver'))"),
        ("a or b c", '("a" OR ("b" AND "c"))', "(('a') | (('b') & ('c')))"),
        ("pain NOT chest", '(("pain") NOT ("chest"))', "(('pain') & !('chest'))"),
        ("not chest AND pain not arm", '(("pain") NOT ("chest" OR "arm"))', "(('pain') & !('chest') & !('arm'))"),
        ("not not pain", '"pain"', "('pain')"),
        ('"Chest  PAIN" card*', '("chest pain" AND "card" *)', "(('chest' <-> 'pain') & ('card':*))"),
        ('"chest pa"*', '"chest pa" *', "('chest' <-> 'pa':*)"),
        ("29463-7", '"29463 7"', "('29463' <-> '7')"),
        ("Müller's", '"muller s"', "('muller' <-> 's')"),
        ('"and" "not"', '("and" AND "not")', "(('and') & ('not'))"),
        ("a'b\\c:d&e|f!g", '"a b c d e f g"', "('a' <-> 'b' <-> 'c' <-> 'd' <-> 'e' <-> 'f' <-> 'g')"),
    ],
)
def test_a_text_is_read(text: str, sqlite: str, postgresql: str) -> None:
    assert (fts5(read_text_query(text)), tsquery(read_text_query(text))) == (sqlite, postgresql)


@pytest.mark.conformance("FHIR R4: search", "_text and _content: what cannot be searched for is refused with its place")
@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "expected a word at character 1"),
        ("  ", "expected a word at character 1"),
        ("--", "expected a word: NOT is written out, and * stands at the end of a word at character 1"),
        ("pain -arm", "expected a word: NOT is written out, and * stands at the end of a word at character 6"),
        ("pa*in", "expected a word: NOT is written out, and * stands at the end of a word at character 1"),
        ("...", "expected letters or digits at character 1"),
        ("p*", "expected at least 2 letters before * at character 1"),
        ("not pain", "a word that must be there is needed beside NOT at character 1"),
        ("pain or not arm", "a word that must be there is needed beside NOT at character 9"),
        ("pain and", "expected a word at character 9"),
        ("(pain", "expected ) at character 6"),
        ("pain)", "expected the end at character 5"),
        ('pain "arm', "expected closing quotes at character 5"),
        ("(" * 9 + "pain" + ")" * 9, "parentheses are at most 8 deep at character 9"),
        (" ".join(["ab"] * 33), "there are at most 32 words and phrases at character 97"),
        ("a" * 1001, "a text has at most 1000 characters"),
    ],
)
def test_what_is_no_text_is_refused(text: str, error: str) -> None:
    with pytest.raises(TextError) as caught:
        read_text_query(text)
    assert str(caught.value) == error


def test_a_parameter_says_what_is_wrong_with_it() -> None:
    for query, text in (
        ("_text=pain,NOT", "Value 2 of _text is no text to search for: expected a word at character 4."),
        ("_text:exact=pain", "Modifier :exact is not supported for _text."),
        ("_content:missing=true", "Modifier :missing is not supported for _content."),
        ("_sort=_text", "Patient cannot be sorted by '_text': its values have no order."),
        ("_filter=_content co pain", "Operator co is not supported for _content, a text parameter (operator co) at character 10 of _filter."),
    ):
        with pytest.raises(Invalid) as caught:
            parse("Patient", query, for_type)
        assert caught.value.issues[0].text == text
    with pytest.raises(Invalid, match="not supported for Binary"):
        parse("Binary", "_text=pain", for_type)


@given(st.text(st.sampled_from('ab "()*-nodrANDOR,.é\u0301\u2028\U0001f600'), max_size=40) | st.text(max_size=40))
def test_any_text_is_read_or_refused_and_only_words_pass(text: str) -> None:
    with suppress(TextError):
        node = read_text_query(text)
        assert re.fullmatch(r'(?:[^\W_]+|["() *]|AND|OR|NOT)+', fts5(node))
        assert re.fullmatch(r"(?:[^\W_]+|['() *:&|!]|<->)+", tsquery(node))


def test_the_words_of_a_resource_are_its_narrative_and_its_texts() -> None:
    note = base64.b64encode("He hears Völker.".encode()).decode()
    resource = {
        "resourceType": "DocumentReference", "id": "secret1", "meta": {"tag": [{"display": "hidden"}]}, "status": "current",
        "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml"><p title="x">A &lt; B</p>Caf&#233;</div>'},
        "identifier": [{"system": "urn:mrn", "value": "MRN-12"}], "subject": {"reference": "Patient/p1", "display": "Anna Smith"},
        "type": {"coding": [{"system": "http://loinc.org", "code": "11506-3", "display": "Progress note"}]},
        "contained": [{"resourceType": "Basic", "id": "b", "text": {"div": "<div>inner</div>"}}], "_status": {"extension": [{"valueString": "why"}]},
        "content": [{"attachment": {"contentType": "text/plain;charset=utf-8", "data": note}}, {"attachment": {"contentType": "image/png", "data": "aaaa"}}],
    }  # fmt: skip
    words = text_words(resource)
    assert words.narrative == "a b cafe"
    assert words.content == "current mrn 12 anna smith 11506 3 progress note inner why text plain charset utf 8 he hears volker image png"
    assert tsvectors(TextWords("a b", "b c b")) == ("a:1 b:2", "a:1 b:2,4,6 c:5")
    assert tsvectors(TextWords("", "b")) == (None, "b:2")


def test_a_resource_of_many_words_keeps_the_first() -> None:
    assert len(text_words({"description": "word " * 40_000}).content.split()) == MAX_WORDS
    wide = text_words({"a": ["é" * 64] * 3, "description": " ".join(f"{number:05}" + "ж" * 59 for number in range(9_000))})
    assert MAX_BYTES * 0.95 < len(wide.content.replace(" ", "").encode()) <= MAX_BYTES
    assert len(text_words({"note": "x" * 1000}).content) == 64
