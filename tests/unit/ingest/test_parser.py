"""HL7 v2 parsing: literal messages in, literal values out."""

import json

import pytest

from ingest.hl7v2.ack import acknowledge, verdict
from ingest.hl7v2.parser import parse
from ingest.hl7v2.structure import check

ADT = (
    "MSH|^~\\&|EHR|HILL|CL|HUB|20261102080000-0500||ADT^A04^ADT_A01|M1|P|2.5.1||||||UNICODE UTF-8\r"
    "EVN|A04|20261102080000-0500\r"
    "PID|1||100^^^HILL^MR~987^^^USSSA^SS||Müller-Łukasz^Zoë^Q^^^^L||19800229|F\r"
    "PV1|1|O|CLINIC^3^B\r"
)


def test_fields_components_and_repetitions_are_numbered_as_the_standard_numbers_them():
    message, problems = parse(ADT.encode())
    assert problems == ()
    assert message.value("PID", 5) == "Müller-Łukasz"
    assert message.value("PID", 5, 2) == "Zoë"
    assert [r.value(5) for r in message.first("PID").repetitions(3)] == ["MR", "SS"]
    assert message.value("PV1", 3, 2) == "3"
    assert message.value("MSH", 1) == "|"
    assert message.header.field(2) == "^~\\&"
    assert (message.type, message.trigger, message.control_id) == ("ADT", "A04", "M1")
    assert message.value("ZZZ", 1) == ""
    assert message.value("PID", 99) == ""
    assert len(message.first("PV1")) == 3


@pytest.mark.conformance("HL7 v2", "Separators come from the message")
def test_separators_come_from_the_message():
    message, problems = parse(b"MSH#*!?@#A#B\rPID#1##7*x@y!8#a?S?b\r")
    assert problems == ()
    pid = message.first("PID")
    assert [r.value(1) for r in pid.repetitions(3)] == ["7", "8"]
    assert pid.value(3, 2, 2) == "y"
    assert pid.value(4) == "a*b"


@pytest.mark.conformance("HL7 v2", "Escape sequences are resolved, and unknown ones are kept")
@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (r"a\F\b\S\c\T\d\R\e\E\f", "a|b^c&d~e\\f"),
        (r"one\.br\two\.sp2\three\.sk3\four", "one\ntwo\n\nthree   four"),
        (r"\H\bold\N\ \X4A6F\\.in+4\ \.ce\x", "bold Jo \nx"),
        (r"\XC3A9\ and \XE9\ ", "é and é "),
        (r"unknown \Q\ stays, \M2442\ stays, open \F", r"unknown \Q\ stays, \M2442\ stays, open \F"),
        (r"\.sp999999999\ ", "\n" * 1000 + " "),
    ],
)
def test_escape_sequences_are_resolved_and_unknown_ones_kept(raw, text):
    message, _ = parse(f"MSH|^~\\&|\rNTE|1||{raw}\r".encode())
    assert message.value("NTE", 3) == text


def test_the_null_deletes_and_the_empty_field_keeps():
    pid = parse(b'MSH|^~\\&|\rPID|||""||""^x|""\r').message.first("PID")
    assert pid.is_null(3)
    assert pid.value(3) == ""
    assert not pid.is_null(4)
    assert pid.value(5) == ""
    assert pid.value(5, 2) == "x"
    assert pid.is_null(6)


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
def test_segments_may_end_with_cr_lf_or_both(end):
    message, problems = parse(ADT.replace("\r", end).encode())
    assert problems == ()
    assert [segment.name for segment in message.segments] == ["MSH", "EVN", "PID", "PV1"]


def test_a_broken_line_inside_a_text_is_kept_as_a_line():
    message, problems = parse(b"MSH|^~\\&|\rOBX|1|TX|||first\nsecond line\n\nthird|||F\r")
    assert message.value("OBX", 5) == "first\nsecond line\nthird"
    assert {(p.segment, p.severity) for p in problems} == {("OBX", "W")}


def test_a_broken_line_elsewhere_is_an_error_with_its_place():
    _, problems = parse(b"MSH|^~\\&|\rPID|1\rgarbage here\r")
    assert [(p.segment, p.severity, p.code) for p in problems] == [("PID", "E", "100")]


@pytest.mark.conformance("HL7 v2", "The character set is the declared one or the one that fits, and no byte is lost")
@pytest.mark.parametrize(
    ("declared", "name", "codec"),
    [
        ("UNICODE UTF-8", "Łukasz".encode(), "utf-8"),
        ("8859/1", "Zoë".encode("latin-1"), "latin-1"),
        ("8859/2", "Łukasz".encode("iso8859-2"), "iso8859-2"),
        ("", "Łukasz".encode(), "utf-8"),
        ("ASCII", "Łukasz".encode(), "utf-8"),
        ("", "Zoë".encode("cp1252"), "cp1252"),
        ("UNICODE UTF-8", "Zoë".encode("cp1252"), "cp1252"),
        ("KLINGON", "Łukasz".encode(), "utf-8"),
        ("", b"Zo\xeb \x81", "latin-1"),
    ],
)
def test_the_character_set_is_the_declared_one_or_the_one_that_fits(declared, name, codec):
    raw = b"MSH|^~\\&|A|B|C|D|2026||ADT^A04|1|P|2.5||||||" + declared.encode() + b"\rPID|1||1||" + name + b"\r"
    message, _ = parse(raw)
    assert message.codec == codec
    assert message.value("PID", 5) == name.decode(codec)
    assert message.encode().encode(codec) == raw


@pytest.mark.conformance("HL7 v2", "What is no message is a problem and no exception")
@pytest.mark.parametrize(
    "raw", [b"", b"\x00", b"MSH", b"MSH|", b"PID|1", b"hello", b"FHS|^~\\&|x\rBHS|", b"MSHA^~\\&", b"\xff\xfe\xfd", "MSH|".encode("utf-16"), b"\r\r\r"]
)
def test_what_is_no_message_is_a_problem_and_no_exception(raw):
    message, problems = parse(raw)
    if message is None:
        assert any(problem.is_error for problem in problems)
    assert acknowledge(message, verdict(problems), problems, stamp="20261102", control_id="1").startswith(b"MSH|^~\\&|")


@pytest.mark.conformance("HL7 v2", "Structure is checked, and every finding has its position")
@pytest.mark.parametrize(
    ("change", "code", "position"),
    [
        (("|M1|", "||"), "101", "MSH^1^10"),
        (("|P|2.5.1", "|X|2.5.1"), "202", "MSH^1^11"),
        (("|2.5.1|", "|3.0|"), "203", "MSH^1^12"),
        (("ADT^A04", "ADT^A99"), "201", "MSH^1^9^1^2"),
        (("ADT^A04", "ORM^O01"), "200", "MSH^1^9^1^1"),
        (("PV1|1|O|CLINIC^3^B\r", ""), "100", "PV1^1"),
        (("100^^^HILL^MR~987^^^USSSA^SS", ""), "101", "PID^1^3"),
    ],
)
def test_structure_is_checked_and_every_finding_has_its_position(change, code, position):
    message, _ = parse(ADT.replace(*change).encode())
    errors = [problem for problem in check(message) if problem.is_error]
    assert [(problem.code, problem.position) for problem in errors] == [(code, position)]


def test_a_missing_evn_is_a_warning_only():
    problems = check(parse(ADT.replace("EVN|A04|20261102080000-0500\r", "").encode()).message)
    assert [(p.severity, p.segment) for p in problems] == [("W", "EVN")]
    assert verdict(problems) == "AA"


@pytest.mark.corpus
@pytest.mark.conformance("HL7 v2", "Every message of two public collections is read and answered")
def test_no_message_of_the_corpus_crashes_and_all_are_answered(corpus):
    raws = [path.read_bytes() for path in sorted((corpus / "hl7v2").rglob("*.hl7"))]
    lines = (corpus / "hl7v2/messages-linuxforhealth/inline-test-messages.jsonl").read_text().splitlines()
    raws += [json.loads(line)["message"].encode() for line in lines]
    assert len(raws) > 200
    for raw in raws:
        message, problems = parse(raw)
        assert message is not None
        problems = (*problems, *check(message))
        ack = acknowledge(message, verdict(problems), problems, stamp="20261102", control_id="1")
        assert ack.startswith(b"MSH") or message.header.field(15) in ("NE", "ER")
        again, _ = parse(message.encode().encode(message.codec))
        assert again.encode() == message.encode()
