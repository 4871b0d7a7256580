"""Acknowledgments: both modes, ERR segments old and new, header echoed."""

import pytest

from ingest.hl7v2.ack import acknowledge, verdict
from ingest.hl7v2.parser import parse
from ingest.hl7v2.problem import Problem


def ack(raw, code="AA", problems=()):
    return acknowledge(parse(raw.encode()).message, code, problems, stamp="20261102080000+0000", control_id="C1").decode()


HEADER = "MSH|^~\\&|EHR|HILL|CL|HUB|20261102||ADT^A04^ADT_A01|M1|T|2.5.1|||{accept}|{application}||UNICODE UTF-8\rPID|1\r"


def test_an_acknowledgment_goes_back_to_the_sender_and_echoes_version_processing_id_and_charset():
    assert ack(HEADER.format(accept="", application="")) == (
        "MSH|^~\\&|CL|HUB|EHR|HILL|20261102080000+0000||ACK^A04^ACK|C1|T|2.5.1||||||UNICODE UTF-8\rMSA|AA|M1\r"
    )


@pytest.mark.conformance("HL7 v2", "An error is an ERR segment with position, condition and severity, in the old form before 2.5")
def test_an_error_is_an_err_segment_with_position_condition_and_severity():
    problem = Problem("101", "PID-3 carries no patient identifier", "PID", 1, 3)
    assert ack(HEADER.format(accept="", application=""), "AE", [problem]).split("\r")[1:3] == [
        "MSA|AE|M1|PID-3 carries no patient identifier",
        "ERR||PID^1^3|101^Required field missing^HL70357|E||||PID-3 carries no patient identifier",
    ]


@pytest.mark.conformance("HL7 v2", "An error is an ERR segment with position, condition and severity, in the old form before 2.5")
def test_before_version_2_5_the_err_segment_has_its_old_form():
    old = HEADER.format(accept="", application="").replace("2.5.1", "2.3")
    assert "ERR|PID^1^3^101&Required field missing&HL70357\r" in ack(old, "AE", [Problem("101", "x", "PID", 1, 3)])


@pytest.mark.conformance("HL7 v2", "Enhanced mode answers as MSH-15 and MSH-16 ask")
@pytest.mark.parametrize(
    ("accept", "application", "code", "answer"),
    [
        ("AL", "NE", "AA", "CA"),
        ("AL", "", "AE", "CE"),
        ("", "AL", "AR", "CR"),
        ("ER", "NE", "AA", None),
        ("ER", "NE", "AE", "CE"),
        ("SU", "NE", "AA", "CA"),
        ("SU", "NE", "AE", None),
        ("NE", "NE", "AE", None),
        ("NE", "AL", "AA", "AA"),
        ("NE", "ER", "AA", None),
        ("NE", "ER", "AR", "AR"),
    ],
)
def test_enhanced_mode_answers_as_msh_15_and_16_ask(accept, application, code, answer):
    text = ack(HEADER.format(accept=accept, application=application), code)
    assert (text.split("\rMSA|")[1].split("|")[0] if text else None) == answer


@pytest.mark.conformance("HL7 v2", "The answer uses the separators and the character set of the message")
def test_the_answer_uses_the_separators_and_the_character_set_of_the_message():
    raw = b"MSH#*!?@#Zo\xeb#F#R#S#2026##ADT*A04#1#P#2.5######8859/1\r"
    answer = acknowledge(parse(raw).message, "AA", (), stamp="2026", control_id="C")
    assert answer == b"MSH#*!?@#R#S#Zo\xeb#F#2026##ACK*A04*ACK#C#P#2.5######8859/1\rMSA#AA#1\r"


@pytest.mark.conformance("HL7 v2", "What is not supported gets AR, wrong content gets AE")
def test_unsupported_things_are_rejected_and_wrong_content_is_an_error():
    assert verdict([]) == "AA"
    assert verdict([Problem("100", "x", severity="W")]) == "AA"
    assert verdict([Problem("101", "x")]) == "AE"
    assert verdict([Problem("101", "x"), Problem("203", "y")]) == "AR"
