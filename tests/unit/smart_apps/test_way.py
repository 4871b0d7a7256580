"""The way of a claim as stations."""

from claims.trace import Step
from smart_apps.ehr.rows import Chip
from smart_apps.ehr.way import Station, rows_to_stations, steps_to_stations


def test_a_way_that_has_only_begun_names_what_has_yet_to_come():
    stations = steps_to_stations([Step("note", "DocumentReference/1", "coded", "2026-11-22T08:00:00Z"), Step("task", "Task/1", "requested", "")])
    assert [(s.title, s.tone) for s in stations] == [
        ("Note", "done"),
        ("Coding review", "now"),
        ("837P", "open"),
        ("Payer's answer", "open"),
        ("Payment", "open"),
    ]


def test_a_way_to_its_end_has_the_numbers_that_people_ask_for():
    stations = steps_to_stations(
        [
            Step("isa13", "000000007", "sent", "2026-11-22T08:00:00Z", "payer P1"),
            Step("999", "000000003", "A", "2026-11-22T08:00:01Z"),
            Step("277CA", "000000004", "U", "", "A3:21"),
            Step("claimresponse", "ClaimResponse/1", "complete", "", "Paid"),
            Step("paymentreconciliation", "PaymentReconciliation/1", "complete", "2026-11-22", "80.00"),
        ]
    )
    assert stations[0] == Station("837P", "done", Chip("sent", "good"), ("payer P1", "000000007", "2026-11-22 08:00"))
    assert [s.tone for s in stations] == ["done", "done", "failed", "done", "done"]
    assert stations[1].state == Chip("accepted", "good")
    assert stations[2].state == Chip("rejected", "bad")
    assert stations[-1].lines == ("80.00 USD", "2026-11-22")


def test_somebody_who_sees_only_the_end_is_shown_the_end():
    response = {"outcome": Chip("error", "bad"), "disposition": "Denied", "created": "2026-11-22 08:00"}
    payment = {"for_claim": ["80.00 USD"], "amount": "90.00 USD", "number": "TRN", "date": "2026-11-22"}
    assert [(s.title, s.tone, s.lines[0]) for s in rows_to_stations([response], [payment])] == [
        ("Payer's answer", "failed", "Denied"),
        ("Payment", "done", "80.00 USD of 90.00 USD"),
    ]
