"""Requests that try to exhaust a server: literal bodies, addresses and headers, each with a name."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

FHIR = "application/fhir+json"
PATCH = "application/json-patch+json"
FORM = "application/x-www-form-urlencoded"


class Attack(NamedTuple):
    """One request; no status below 400 or above 499 answers it, unless it is named harmless."""

    name: str
    method: str
    path: str
    body: bytes = b""
    kind: str = FHIR
    headers: tuple[tuple[str, str], ...] = ()
    harmless: bool = False
    """May be answered with what was asked for, as long as it stays bounded."""


def _patient(inner: str) -> bytes:
    return b'{"resourceType":"Patient",' + inner.encode("utf-8", "surrogatepass") + b"}"


def _create(name: str, body: bytes, *, harmless: bool = False, **said: Any) -> Attack:
    return Attack(name, "POST", "/fhir/Patient", body, harmless=harmless, **said)


def _nested(depth: int) -> str:
    return '"extension":[{"url":"u",' * depth + '"valueBoolean":true' + "}]" * depth


def _bundle(entry: bytes, type_: bytes = b"transaction") -> bytes:
    return b'{"resourceType":"Bundle","type":"' + type_ + b'","entry":[' + entry + b"]}"


def attacks() -> list[Attack]:
    """All of them."""
    return [*_depth(), *_numbers(), *_text(), *_patches(), *_searches(), *_headers(), *_bundles(), *_patterns()]


def _depth() -> Iterator[Attack]:
    yield _create("two million brackets", b"[" * 2_000_000)
    yield _create("a million objects", b'{"a":' * 800_000)
    yield _create("ten thousand extensions", _patient(_nested(10_000)))
    yield _create("brackets behind escapes", b'{"a":"' + b'\\"' * 1_000_000 + b'",' + b"[" * 500_000)
    yield _create("closed brackets", b"[]" * 2_000_000)
    yield _create("brackets in a string", _patient('"active":"' + "[" * 3_000_000 + '"'))
    yield Attack("depth in a form", "POST", "/fhir/Patient/_search", b"family=" + b"(" * 1_000_000, FORM)
    yield _create("depth in the narrative", _patient('"text":{"status":"generated","div":"' + "<div>" * 400_000 + '"}'))
    closed = "<div xmlns='http://www.w3.org/1999/xhtml'>" + "<div>" * 200_000 + "</div>" * 200_001
    yield _create("closed depth in the narrative", _patient('"text":{"status":"generated","div":"' + closed + '"}'))
    contained = '{"resourceType":"Patient","contained":[' * 5_000 + "]}" * 5_000
    yield _create("contained in contained", contained.encode())


def _numbers() -> Iterator[Attack]:
    for name, text in (
        ("5,000 digits", "1" * 5_000), ("4 million digits", "1" * 4_000_000), ("5,000 decimals", "0." + "1" * 4_000_000), ("a large exponent", "1e999999999"),
        ("a small exponent", "1e-999999999"), ("an exponent of 5,000 digits", "1e" + "9" * 5_000), ("NaN", "NaN"), ("Infinity", "Infinity"),
        ("minus Infinity", "-Infinity"), ("a leading zero", "007"), ("a bare point", ".5"), ("hexadecimal", "0x10"),
    ):  # fmt: skip
        exact = name in ("5,000 digits", "a large exponent", "a small exponent", "5,000 decimals")
        yield _create(f"{name} as a decimal", _patient(f'"extension":[{{"url":"u","valueDecimal":{text}}}]'), harmless=exact)
        yield _create(f"{name} as an integer", _patient(f'"multipleBirthInteger":{text}'))
        yield Attack(f"{name} in a patch", "PATCH", "/fhir/Patient/p", f'[{{"op":"add","path":"/multipleBirthInteger","value":{text}}}]'.encode(), PATCH)
        yield Attack(f"{name} in a search", "GET", f"/fhir/RiskAssessment?probability={text[:5_000]}", harmless=text[0].isdigit())
        yield Attack(f"{name} as a count", "GET", f"/fhir/Patient?_count={text[:5_000]}", harmless=name == "a leading zero")
    yield Attack("a version of 5,000 digits", "GET", "/fhir/Patient/p/_history/" + "1" * 5_000)
    yield Attack("a quantity of 5,000 digits", "GET", "/fhir/Observation?value-quantity=" + "1" * 5_000 + "||kg", harmless=True)


def _text() -> Iterator[Attack]:
    yield _create("a name twice", _patient('"active":true,"active":false'))
    yield _create("a name twice by an escape", _patient('"active":true,"\\u0061ctive":false'))
    yield _create("a name twice inside", _patient('"name":[{"family":"a","family":"b"}]'))
    yield _create("a type twice", b'{"resourceType":"Patient","resourceType":"Observation"}')
    yield Attack("a name twice in a patch", "PATCH", "/fhir/Patient/p", b'[{"op":"remove","path":"/active","path":"/name"}]', PATCH)
    yield Attack("a name twice in a bundle", "POST", "/fhir", b'{"resourceType":"Bundle","type":"batch","type":"transaction","entry":[]}')
    yield _create("a lone surrogate", _patient('"name":[{"family":"\\ud800"}]'))
    yield _create("a lone low surrogate", _patient('"name":[{"family":"\\udc00x"}]'))
    yield _create("a lone surrogate as bytes", b'{"resourceType":"Patient","name":[{"family":"\xed\xa0\x80"}]}')
    yield _create("a lone surrogate in a name", _patient('"\\ud800":true'))
    yield Attack("a lone surrogate in a patch", "PATCH", "/fhir/Patient/p", b'[{"op":"add","path":"/name","value":[{"family":"\\ud800"}]}]', PATCH)
    yield Attack("a lone surrogate in a search", "GET", "/fhir/Patient?family=%ED%A0%80")
    yield _create("not UTF-8", b'{"resourceType":"Patient","name":[{"family":"\xff\xfe"}]}')
    yield _create("an overlong slash", b'{"resourceType":"Patient","name":[{"family":"\xc0\xaf"}]}')
    named = b'{"resourceType":"Parameters","parameter":[{"name":"mo\xff\xffde","valueCode":"create"},{"name":"resource","resource":{"resourceType":"Patient"}}]}'
    narrative = b'{"resourceType":"Patient","text":{"status":"generated","div":"<div><a href=\\"urn:uuid:1\\">\xff</a></div>"}}'
    yield Attack("a narrative of an entry that is not UTF-8", "POST", "/fhir", _bundle(
        b'{"fullUrl":"urn:uuid:1","resource":' + narrative + b',"request":{"method":"POST","url":"Patient"}}',
    ))  # fmt: skip
    yield Attack("a name that is not UTF-8", "POST", "/fhir/Patient/$validate", named)
    yield _create("UTF-16", '{"resourceType":"Patient"}'.encode("utf-16"))
    yield _create("a byte order mark", b"\xef\xbb\xbf" + _patient('"active":true'))
    yield _create("the null character", _patient('"name":[{"family":"a\\u0000b"}]'))
    yield _create("nothing", b"")
    yield _create("half", b'{"resourceType":"Pati')
    yield _create("rest behind the end", _patient('"active":true') + b"{}")
    yield _create("entities in the narrative", _patient(json.dumps({"text": {"status": "generated", "div": _laughs()}})[1:-1]))


def _laughs() -> str:
    entities = "".join(f'<!ENTITY a{number} "{"&a" + str(number - 1) + ";" * 1}{("&a" + str(number - 1) + ";") * 9}">' for number in range(1, 30))
    return f'<!DOCTYPE div [<!ENTITY a0 "ha">{entities}]><div xmlns="http://www.w3.org/1999/xhtml">&a29;</div>'


def _patches() -> Iterator[Attack]:
    doubling = [{"op": "add", "path": "/name", "value": [{"given": ["a" * 1000]}]}]
    doubling += [{"op": "copy", "from": "/name", "path": "/name/0/extension"}] * 60
    yield Attack("copies of copies", "PATCH", "/fhir/Patient/p", json.dumps(doubling).encode(), PATCH)
    wide = [{"op": "add", "path": "/identifier", "value": [{"value": "a" * 100_000}]}] + [{"op": "copy", "from": "/identifier/0", "path": "/identifier/-"}] * 50_000
    yield Attack("fifty thousand copies", "PATCH", "/fhir/Patient/p", json.dumps(wide).encode(), PATCH)
    yield Attack("a deep pointer", "PATCH", "/fhir/Patient/p", json.dumps([{"op": "remove", "path": "/a" * 500_000}]).encode(), PATCH)
    yield Attack("a long index", "PATCH", "/fhir/Patient/p", json.dumps([{"op": "remove", "path": "/name/" + "9" * 5_000}]).encode(), PATCH)
    for name, path in (
        ("a pattern that backtracks", "Patient.name.where(family.matches('(a+)+$'))"), ("a pattern that replaces", "Patient.name.where(family.replaceMatches('(a|a)*b', '') = '')"),
        ("parentheses", "(" * 100_000), ("a long path", "Patient" + ".name" * 200_000), ("indexes", "Patient.name" + "[0]" * 200_000),
        ("a large index", "Patient.name[" + "9" * 5_000 + "]"), ("repeat", "Patient.repeat($this)"), ("unions", "|".join(["Patient.name"] * 50_000)),
        ("quotes", "Patient.name.where(family = '" + "\\'" * 500_000), ("nested where", "Patient.name" + ".where(given" * 20_000), ("spaces", " " * 2_000_000 + "x"),
    ):  # fmt: skip
        operation = {"name": "operation", "part": [{"name": "type", "valueCode": "delete"}, {"name": "path", "valueString": path}]}
        body = json.dumps({"resourceType": "Parameters", "parameter": [operation]}).encode()
        yield Attack(f"{name} in a FHIRPath patch", "PATCH", "/fhir/Patient/p", body)


def _searches() -> Iterator[Attack]:
    for place in ("Patient", "Patient/p/_history", "Patient/p/$everything", "Patient/p/$meta", "Patient/p"):
        yield Attack(f"ten thousand parameters at {place}", "GET", f"/fhir/{place}?" + "&".join(["_elements=id"] * 10_000), harmless=place == "Patient/p")
    yield Attack("a million values", "POST", "/fhir/Patient/_search", b"family=" + b"a," * 1_000_000, FORM)
    yield Attack("a million parameters", "POST", "/fhir/Patient/_search", b"family=a&" * 400_000, FORM)
    yield Attack("only percent signs", "POST", "/fhir/Patient/_search", b"%" * 4_000_000, FORM)
    yield Attack("only backslashes", "POST", "/fhir/Patient/_search", b"family=" + b"\\" * 4_000_000, FORM)
    yield Attack("a long chain", "GET", "/fhir/Observation?" + "subject:Patient.general-practitioner:" * 500 + "x=1")
    yield Attack("a long reverse chain", "GET", "/fhir/Patient?" + "_has:Observation:subject:" * 1_000 + "code=1")
    yield Attack("a thousand sort keys", "GET", "/fhir/Patient?_sort=" + "birthdate," * 1_000)
    yield Attack("a circle of includes", "GET", "/fhir/Observation?" + "&".join(["_include:iterate=Observation:derived-from", "_include:iterate=Observation:has-member"] * 99), harmless=True)
    yield Attack("a thousand includes", "POST", "/fhir/Observation/_search", b"&".join([b"_include=Observation:derived-from"] * 1_000), FORM)
    yield Attack("a long page link", "GET", "/fhir/Patient?_cursor=" + "A" * 60_000)
    yield Attack("a year of many digits", "GET", "/fhir/Patient/p/_history?_at=" + "2" * 50_000)
    yield Attack("a long fraction", "GET", "/fhir/Patient/p/_history?_at=2026-01-01T00:00:00." + "1" * 50_000 + "Z", harmless=True)


def _headers() -> Iterator[Attack]:
    many = ",".join(['W/"1"'] * 10_000)
    yield Attack("many tags to match", "DELETE", "/fhir/Patient/p", headers=(("If-Match", many),))
    yield Attack("a tag of 5,000 digits", "DELETE", "/fhir/Patient/p", headers=(("If-Match", f'W/"{"1" * 5_000}"'),))
    yield Attack("many tags to miss", "GET", "/fhir/Patient/p", headers=(("If-None-Match", many),), harmless=True)
    for moment in ("Mon, 01 Jan 0001 00:00:00 -2359", "Mon, 99 Jan 2026 99:99:99 GMT", "9" * 5_000, "Thu, 01 Jan 99999999999999999999 00:00:00 GMT", "(" * 60_000, "\x00"):
        yield Attack(f"a date of {moment[:40]!r}", "GET", "/fhir/Patient/p", headers=(("If-Modified-Since", moment),), harmless=True)
    yield _create("a gzip bomb", gzip.compress(b" " * 100_000_000), headers=(("Content-Encoding", "gzip"),))
    yield _create("an unknown coding", b"{}", headers=(("Content-Encoding", "br, gzip, gzip"),))
    yield _create("a condition of many parts", _patient('"active":true'), headers=(("If-None-Exist", "family=a&" * 5_000),))
    yield Attack("a long Accept", "GET", "/fhir/Patient/p", headers=(("Accept", "text/a;q=0.1," * 5_000),))
    yield Attack("a long Prefer", "GET", "/fhir/Patient", headers=(("Prefer", "return=minimal;" * 5_000),), harmless=True)


def _bundles() -> Iterator[Attack]:
    yield Attack("many empty entries", "POST", "/fhir", _bundle(b",".join([b"{}"] * 1_000_000)))
    get = b'{"request":{"method":"GET","url":"Patient/p"}}'
    yield Attack("many tokens of one entry", "POST", "/fhir", _bundle(b'{"request":{"method":"GET","url":"' + b"a/" * 1_000_000 + b'"}}'))
    yield Attack("a long address", "POST", "/fhir", _bundle(b'{"request":{"method":"GET","url":"' + b"A" * 4_000_000 + b'"}}'))
    yield Attack("depth inside an entry", "POST", "/fhir", _bundle(b'{"resource":' + b"[" * 1_000_000 + b"]" * 1_000_000 + b',"request":{"method":"POST","url":"Patient"}}'))
    yield Attack("a bundle in a bundle", "POST", "/fhir", _bundle(b'{"request":{"method":"POST","url":"Bundle"},"resource":' * 100 + get + b"}" * 100))
    link = b'{"fullUrl":"urn:uuid:1","resource":{"resourceType":"Basic","code":{"text":"' + b"urn:uuid:1 " * 300_000 + b'"}},"request":{"method":"POST","url":"Basic"}}'
    yield Attack("many links in a text", "POST", "/fhir", _bundle(link), harmless=True)
    conditional = b",".join(b'{"reference":"Patient?identifier=%d"}' % number for number in range(100_000))
    yield Attack("many conditional references", "POST", "/fhir", _bundle(
        b'{"resource":{"resourceType":"List","status":"current","mode":"working","note":[],"source":[' + conditional + b']},"request":{"method":"POST","url":"List"}}',
    ))  # fmt: skip


def _patterns() -> Iterator[Attack]:
    """Texts on which a regular expression of the specification, taken as it is written, would backtrack."""
    for name, value in (
        ("base64Binary", "A" * 4_000_000 + "!"), ("base64Binary", "AAAA " * 800_000 + "!"), ("code", "a " * 1_500_000 + " "), ("oid", "urn:oid:1" + ".1" * 1_000_000 + "."),
        ("id", "a" * 4_000_000), ("dateTime", "2" * 4_000_000), ("instant", "2026-01-01T00:00:00." + "0" * 4_000_000), ("uri", " " * 4_000_000), ("uuid", "urn:uuid:" + "a" * 4_000_000),
        ("time", "00:00:00." + "0" * 4_000_000 + "x"), ("canonical", "a|" * 2_000_000 + " "), ("unsignedInt", "1" * 4_000),
    ):  # fmt: skip
        quoted = value if name == "unsignedInt" else f'"{value}"'
        yield _create(f"a long {name}", _patient(f'"extension":[{{"url":"u","value{name[0].upper()}{name[1:]}":{quoted}}}]'))
    yield _create("a time with a long fraction", _patient('"extension":[{"url":"u","valueTime":"00:00:00.' + "0" * 4_000_000 + '"}]'), harmless=True)
    yield _create("a long reference", _patient('"managingOrganization":{"reference":"' + "Organization/" * 300_000 + '"}'), harmless=True)
    yield _create("a long local reference", _patient('"managingOrganization":{"reference":"#' + "a" * 3_000_000 + '"}'))
