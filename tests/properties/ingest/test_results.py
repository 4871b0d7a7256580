"""Statements about one result: what holds does not depend on the order in which they arrived."""

import itertools
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.applying import change_name, remembered
from ingest.hl7v2.parser import parse
from ingest.hl7v2.structure import check
from ingest.mapping.mapper import message_to_changes
from ingest.mapping.result_state import rank, rank_event, rank_status
from ingest.mapping.units import ucum_code
from ingest.superseding import replaced, standing
from tests.unit.ingest.messages_oru import ORC, ORU, obr, obx, oru

FINISHED = {"final", "amended", "corrected", "entered-in-error"}
STATEMENTS = st.lists(st.tuples(st.integers(0, 4), st.sampled_from("PIXFCAD")), min_size=1, max_size=5, unique=True)


def change_of(status, value):
    message = parse(oru(ORC, obr(status="P" if status in "PRI" else "F"), obx(value=str(value), status=status)).encode()).message
    return next(change for change in message_to_changes(message).changes if change.key.type == "Observation")


def applied(statements):
    """What is stored after statements (time, state) in the order of their arrival, the time as the value."""
    stored, latest, seen = None, {}, []
    for time, status in statements:
        change = change_of(status, 100 * time + ord(status))
        known = {name: latest[name] for name in remembered([change]) if name in latest}
        stands = standing(change.statement, change_name(change.key), known, time)
        if stored is not None:
            stored = replaced(stored, change, stands)
        elif change.statement.content:
            stored = {**change.resource, "status": stands.status}
        for name, place in stands.advances.items():
            latest[name] = max(latest.get(name, place), place)
        seen.append(stored and stored["status"])
    return stored, seen


def told(stored):
    return stored and {name: stored.get(name) for name in ("status", "valueQuantity", "dataAbsentReason")}


@pytest.mark.conformance("HL7 v2", "A result is the same whatever the order in which its messages arrive")
@settings(max_examples=60)
@given(STATEMENTS, st.data())
def test_the_order_of_arrival_does_not_matter(statements, data):
    arrived = data.draw(st.permutations(statements))
    assert told(applied(arrived)[0]) == told(applied(sorted(statements))[0])


@pytest.mark.conformance("HL7 v2", "A final result is never downgraded")
@settings(max_examples=60)
@given(STATEMENTS, st.data())
def test_a_finished_result_never_becomes_unfinished_and_never_takes_an_unfinished_value(statements, data):
    arrived = data.draw(st.permutations(statements))
    stored, seen = applied(arrived)
    states = [state for state in seen if state]
    first = next((number for number, state in enumerate(states) if state in FINISHED), len(states))
    assert set(states[first:]) <= FINISHED
    contents = [(time, state) for time, state in statements if state != "D"]
    final = [pair for pair in contents if pair[1] in "FCA"]
    if final:
        newest = max(time for time, _ in final)
        assert stored["valueQuantity"]["value"] in {Decimal(100 * newest + ord(state)) for time, state in final if time == newest}
    if any(state == "C" for _, state in final) and stored["status"] == "final":
        pytest.fail("a corrected result was called final again")


def test_a_change_of_state_without_the_result_keeps_the_newest_value_in_any_order():
    for arrived in itertools.permutations([(1, "P"), (2, "P"), (3, "U")]):
        stored, _ = applied(arrived)
        assert (stored["status"], stored["valueQuantity"]["value"]) == ("final", Decimal(200 + ord("P"))), arrived


def test_a_preliminary_value_never_replaces_one_that_was_called_final_without_being_sent_again():
    stored, _ = applied([(1, "P"), (2, "U"), (3, "P")])
    assert (stored["status"], stored["valueQuantity"]["value"]) == ("final", Decimal(100 + ord("P")))


@given(st.sampled_from(sorted(FINISHED | {"preliminary", "registered", "unknown", "partial", "cancelled", "appended"})), st.integers(0, 1 << 54))
def test_a_rank_gives_its_parts_back(status, event):
    value = rank(status, event)
    assert (rank_status(value), rank_event(value)) == (status, event)
    assert value < 1 << 63


@given(st.text(max_size=12) | st.from_regex(r"[a-zA-Z%/0-9.\[\]{}^*() -]{0,14}", fullmatch=True))
def test_a_unit_is_none_or_a_code_that_is_its_own_code(text):
    code = ucum_code(text)
    assert code is None or (code and not any(character.isspace() for character in code))


OTHERS = oru(
    ORC, obr(), obx("8480-6^^LN", "150", unit="mmHg"), obx("8462-4^^LN", "90", unit="mmHg"), obx(value="<^5^:^7", kind="SN", normal="1-2 x"),
    obx(value="a^b^^^eA==", kind="ED"), obx(value="A^b^L~C", kind="CWE"), obx("", "x", kind="TX"), "SPM|1|a^b\r", "NTE|1||n\r",
)  # fmt: skip


@settings(max_examples=200)
@given(st.sampled_from([ORU, OTHERS]).map(str.encode), st.data())
def test_results_changed_anywhere_never_raise(raw, data):
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(raw)))
        length = data.draw(st.integers(0, 12))
        raw = raw[:place] + data.draw(st.binary(max_size=6) | st.sampled_from([b"|", b"^", b"~", b"&", b"\\", b"\r", b'""', b"PID|"])) + raw[place + length :]
    message, _ = parse(raw)
    if message is not None:
        check(message)
        assert all(change.resource["resourceType"] == change.key.type for change in message_to_changes(message).changes)
