"""Search strings to syntax, values to ranges: pure, literal in, literal out."""

from __future__ import annotations

import pytest

from chartloop.kernel.clock import FakeClock
from chartloop.kernel.errors import Invalid
from fhir_server.indexing.dates import date_bounds
from fhir_server.indexing.words import ADDRESS, TEXT
from fhir_server.search import values as search_values
from fhir_server.search.params import for_type
from fhir_server.search.query import parse
from fhir_server.search.values import Amount, DateRange, ReferenceTo, Text, Token, Words

BASE = "https://chartloop.example/fhir"


@pytest.mark.conformance("FHIR R4: search", "escapes in values: backslash before comma, bar, dollar and backslash")
@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("final", Token(None, "final")),
        ("|final", Token("", "final")),
        ("http://loinc.org|1-8", Token("http://loinc.org", "1-8")),
        (r"a\|b", Token(None, "a|b")),
        (r"a\,b\$c\\", Token(None, "a,b$c\\")),
        ("http://loinc.org|", Token("http://loinc.org", None)),
        ("a|b|c", None),
        ("", None),
        ("|", None),
    ],
)
def test_a_token_is_read(text: str, value: Token | None) -> None:
    assert search_values.token(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Patient/1", ReferenceTo("Patient", "1", "")),
        ("1", ReferenceTo("", "1", "")),
        (f"{BASE}/Patient/1", ReferenceTo("Patient", "1", "")),
        ("Patient/1/_history/2", ReferenceTo("Patient", "1", "")),
        ("https://elsewhere.example/fhir/Patient/1", ReferenceTo("", "", "https://elsewhere.example/fhir/Patient/1")),
        ("urn:uuid:1", ReferenceTo("", "", "urn:uuid:1")),
        ("../Patient", None),
    ],
)
def test_a_reference_is_read(text: str, value: ReferenceTo | None) -> None:
    assert search_values.reference(text, BASE) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("70", Amount("eq", 69.5, 70.5, 70.0, None, None)),
        ("gt72.50", Amount("gt", 72.495, 72.505, 72.5, None, None)),
        ("5.4|http://unitsofmeasure.org|mg", Amount("eq", 5.35, 5.45, 5.4, "http://unitsofmeasure.org", "mg")),
        ("5.4||mg", Amount("eq", 5.35, 5.45, 5.4, None, "mg")),
        ("1e2", Amount("eq", 95.0, 105.0, 100.0, None, None)),
        ("1.1e2", Amount("eq", 105.0, 115.0, 110.0, None, None)),
        ("11e1", Amount("eq", 105.0, 115.0, 110.0, None, None)),
        ("-1E2", Amount("eq", -105.0, -95.0, -100.0, None, None)),
        ("5e-1", Amount("eq", 0.495, 0.505, 0.5, None, None)),
        ("0e0", Amount("eq", -0.5, 0.5, 0.0, None, None)),
        ("NaN", None),
        ("5|mg", None),
        ("٣", None),
        ("1e400", None),
        ("1e999999999", None),
    ],
)
def test_an_amount_is_read_with_the_bounds_its_precision_implies(text: str, value: Amount | None) -> None:
    assert search_values.amount(text) == value


def test_a_date_is_a_half_open_range_as_wide_as_its_precision() -> None:
    assert search_values.date("ge1970") == DateRange("ge", 0, 365 * 86_400_000_000)
    assert search_values.date("1970-01-01T00:00:01Z") == DateRange("eq", 1_000_000, 2_000_000)
    assert search_values.date("2020-13") is None


def test_an_approximate_date_is_a_tenth_of_its_distance_from_now_wider(fake_clock: FakeClock) -> None:
    now, day = fake_clock.now_us(), 86_400_000_000
    low, high = date_bounds("2025-01-01") or (0, 0)
    assert search_values.date("ap2025-01-01") == DateRange("ap", low - (now - high) // 10, high + (now - high) // 10)
    assert search_values.date("ap2026-11-22") == DateRange("ap", now // day * day, now // day * day + day)
    low, high = date_bounds("2027") or (0, 0)
    assert search_values.date("ap2027") == DateRange("ap", low - (low - now) // 10, high + (low - now) // 10)


@pytest.mark.parametrize(
    ("query", "values"),
    [
        ("url:below=http://a.example/fhir", (Text("http://a.example/fhir"), Words(ADDRESS, "http://a.example/fhir/", "http://a.example/fhir0"))),
        ("url:below=http://a.example/fhir/", (Text("http://a.example/fhir/"), Words(ADDRESS, "http://a.example/fhir/", "http://a.example/fhir0"))),
        ("jurisdiction:text=US%20 of  A,b\\,", (Words(TEXT, "us of a", "us of a\U0010ffff"), Words(TEXT, "b,", "b,\U0010ffff"))),
        ("jurisdiction=urn:a|,b", (Token("urn:a", None), Token(None, "b"))),
        ("identifier=urn:a|", (Token("urn:a", None),)),
        ("questionnaire:below=http://a.example/x", (ReferenceTo("", "", "http://a.example/x"),)),
        ("questionnaire:below=http://a.example/x|1", (ReferenceTo("", "", "http://a.example/x|1"), Words(ADDRESS, "http://a.example/x|1.", "http://a.example/x|1/"))),
    ],
)
def test_a_part_of_a_value_becomes_a_range_of_words(query: str, values: tuple[object, ...]) -> None:
    (criterion,) = parse("QuestionnaireResponse" if "questionnaire" in query else "ValueSet", query, for_type).criteria
    assert (criterion.values, criterion.modifier) == (values, "")


@pytest.mark.conformance("FHIR R4: search", "what is not built is refused by name: parameters, modifiers, chains, includes, totals")
@pytest.mark.conformance("What must be real underneath", "FHIR: search parameters that are not built answer 400")
@pytest.mark.conformance("Attacks", "94: more than 1,000 values of one parameter are refused")
@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("colour=red", "Parameter 'colour' is not supported for Observation."),
        ("_security:text=PSY", "Modifier :text is not supported for _security."),
        ("patient.colour=x", "Parameter 'patient.colour' is not supported for Observation."),
        ("_has:Provenance:target:colour=x", "Parameter '_has:Provenance:target:colour' is not supported for Observation."),
        ("_has:Provenance:target=x", "_has takes _has:Source:reference:parameter, of a type that is stored here."),
        ("_has:Claim:patient:status=x", "Claim:patient holds no references to Observation."),
        ("subject:Practitioner.name=x", "subject of Observation leads to no Practitioner."),
        ("code.name=x", "code of Observation holds no references to follow."),
        ("encounter.part-of.part-of.part-of.status=x", "A chain has at most 3 links."),
        ("_has:Provenance:target:target.status=x", "target leads to 145 types; say which, as in target:VisionPrescription."),
        ("&".join(["subject:Patient.name=x"] * 9), "A search has at most 8 chained parameters."),
        ("identifier:of-type=b|c", "Value 1 of identifier is not a valid token."),
        ("identifier:of-type=a|b|c,a||c", "Value 2 of identifier is not a valid token."),
        ("code:of-type=a|b|c", "Modifier :of-type is not supported for code."),
        ("status:text=final", "Modifier :text is not supported for status."),
        ("subject:text=Anna", "Modifier :text is not supported for subject."),
        ("subject:below=http://a.example", "Modifier :below is not supported for subject."),
        ("code:text=%20", "Value 1 of code is not a valid token."),
        ("code:in=", "Value 1 of code is not a valid token."),
        ("identifier:in=x", "Modifier :in is not supported for identifier."),
        ("code:below=1", "Value 1 of code is not a valid token."),
        ("code:above=urn:a|", "Value 1 of code is not a valid token."),
        ("identifier:below=urn:a|1", "Modifier :below is not supported for identifier."),
        ("_id=a|", "Value 1 of _id is not a valid token."),
        ("derived-from:identifier:text=x", "Modifier :identifier:text is not supported for derived-from."),
        ("subject:Colour=1", "Modifier :Colour is not supported for subject."),
        ("subject:Practitioner=Patient/1", "Modifier :Practitioner is not supported for subject."),
        ("code=a,|", "Value 2 of code is not a valid token."),
        ("date:missing=perhaps", "date:missing takes true or false."),
        ("_id:missing=true", "_id is never missing."),
        ("_count=many", "_count is a whole number."),
        ("date=2014-01-01T25:00:00Z", "Value 1 of date is not a valid date."),
        ("date=2014-01-01T10:61:00Z", "Value 1 of date is not a valid date."),
        ("date=2014-01-01T10:00:00%2B15:00", "Value 1 of date is not a valid date."),
        ("_id=urn:x|a", "Value 1 of _id is not a valid token."),
        ("code:=x", "Behind code: a modifier or a type is missing."),
        ("subject:.name=x", "Behind subject: a modifier or a type is missing."),
        ("code=", "Value 1 of code is not a valid token."),
        ("_count=5&_count=6", "_count is said once."),
        ("_sort=colour", "Observation cannot be sorted by 'colour': it has no such parameter."),
        ("_sort=-_score", "Observation cannot be sorted by '_score': there is no score here."),
        ("_sort=_security", "Observation cannot be sorted by '_security': labels have no order."),
        ("_sort=--date", "Observation cannot be sorted by '-date': it has no such parameter."),
        ("_total=perhaps", "_total takes none or estimate or accurate."),
        ("_include=Patient:link", "_include starts at Observation, unless it is _include:iterate."),
        ("_include=Colour:*", "_include takes Source:parameter, Source:parameter:Target, Source:* or *."),
        ("_include=*:subject", "_include takes Source:parameter, Source:parameter:Target, Source:* or *."),
        ("_include=Observation:subject:Patient:more", "_include takes Source:parameter, Source:parameter:Target, Source:* or *."),
        ("_include:iterate=Observation:code", "_include:iterate takes Source:parameter, Source:parameter:Target, Source:* or *."),
        ("_include:recurse=Observation:subject", "Parameter '_include:recurse' is not supported for Observation."),
        ("_revinclude=Claim:encounter:Encounter", "_revinclude ends at Observation, unless it is _revinclude:iterate."),
        ("_contained=both", "Contained resources are not indexed: only _contained=false is answered."),
        ("_contained=perhaps", "_contained takes false."),
        ("_containedType=contained", "_containedType=contained needs contained resources to be found."),
        ("_query=everything", "_query names a query, and there are no named queries here."),
        ("_list=$current-problems", "_list takes ids of Lists: there are no functional lists here."),
        ("_list=1,Patient/2", "Value 2 of _list is no id of a List."),
        ("_list=1,2,3,4,5&_list=6,7,8,9,10,11", "A search names at most 10 Lists."),
        ("_sort=date,", "Observation cannot be sorted by '': it has no such parameter."),
        ("code=" + ",".join("x" * 1001), "A parameter has at most 1000 values."),
    ],
)
def test_what_is_not_built_is_refused_by_name(query: str, text: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse("Observation", query, for_type)
    assert [issue.text for issue in caught.value.issues] == [text]


@pytest.mark.conformance("FHIR R4: search", "uri parameters: :above and :below by segments of the path; URNs answer 400")
@pytest.mark.parametrize(
    ("url", "above"),
    [
        ("http://a.example/fhir/ValueSet/1", ["http://a.example/fhir/ValueSet/1", "http://a.example", "http://a.example/fhir", "http://a.example/fhir/ValueSet",
                                              "http://a.example/", "http://a.example/fhir/", "http://a.example/fhir/ValueSet/"]),
        ("http://a.example", ["http://a.example"]),
        ("urn:oid:1.2.3", []),
        ("a/b", []),
    ],
)  # fmt: skip
def test_a_url_lies_below_the_segments_of_its_path(url: str, above: list[str]) -> None:
    assert search_values.ancestors(url) == above
    for query in (f"url:above={url}", f"url:below={url}"):
        if above:
            assert parse("ValueSet", query, for_type).criteria[0].modifier == ("above" if "above" in query else "")
            continue
        with pytest.raises(Invalid):
            parse("ValueSet", query, for_type)


@pytest.mark.conformance("FHIR R4: search", "every fault of a query is named at once")
def test_every_fault_of_a_query_is_named_at_once() -> None:
    with pytest.raises(Invalid) as caught:
        parse("Observation", "colour=red&date=soon&_count=x", for_type)
    assert [issue.expression for issue in caught.value.issues] == ["http.colour", "http.date", "http._count"]


@pytest.mark.conformance("FHIR R4: search", "_count is capped at 1,000")
@pytest.mark.conformance("Attacks", "94: a huge _count is capped")
def test_results_are_capped_and_the_rest_of_the_query_is_kept() -> None:
    query = parse("Observation", "code=a%2Cb&_count=99999&_sort=-date,_id&_cursor=abc&_format=json", for_type)
    assert (query.count, query.cursor, [key.descending for key in query.sort]) == (1000, "abc", [True, False])
    assert query.pairs == [("code", "a,b"), ("_count", "99999"), ("_sort", "-date,_id"), ("_format", "json")]


@pytest.mark.conformance("FHIR R4: search", "percent-encoding comes before escapes: an encoded comma separates, an escaped one does not; + is a space, and in a date a plus")
@pytest.mark.parametrize(
    ("query", "values"),
    [
        ("name=a%2Cb", ["a", "b"]),
        ("name=a%5C%2Cb", ["a,b"]),
        (r"name=a\\,b", ["a\\", "b"]),
        (r"name:exact=a\|b\$c", ["a|b$c"]),
        ("name=van+der", ["van der"]),
        ("name:contains=%25", ["%"]),
    ],
)
def test_a_value_is_decoded_and_then_unescaped(query: str, values: list[str]) -> None:
    [criterion] = parse("Patient", query, for_type).criteria
    assert [value.text for value in criterion.values if isinstance(value, search_values.Text)] == values
    assert search_values.date("2014-01-01T00:00:00 01:00") == search_values.date("2014-01-01T00:00:00+01:00")


@pytest.mark.conformance("FHIR R4: search", "a string of spaces or accents alone, which every string begins with, is refused; so is a number with a unit")
@pytest.mark.parametrize(("type_", "query"), [("Patient", "name=%20"), ("Patient", "name:contains=%CC%81"), ("RiskAssessment", "probability=0.8|u|c")])
def test_a_value_that_says_nothing_is_refused(type_: str, query: str) -> None:
    with pytest.raises(Invalid):
        parse(type_, query, for_type)
