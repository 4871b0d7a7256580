"""What shows nothing leaves at a step after it came, whatever it took; everything else leaves at once."""

from collections.abc import Iterable

import pytest
from werkzeug.test import Client, create_environ, run_wsgi_app

from chartloop.kernel import even_answers
from chartloop.kernel.even_answers import CHANCE_US, STEP_S, rest_s, shows_nothing, with_even_answers
from chartloop.kernel.http import Environ, StartResponse

MOST_S = STEP_S + CHANCE_US / 1e6


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long answers were held back, instead of holding them back."""
    held: list[float] = []
    monkeypatch.setattr(even_answers.time, "sleep", held.append)
    return held


@pytest.mark.parametrize(
    ("took_s", "step_s"),
    [(0.0, STEP_S), (STEP_S * 0.99, STEP_S), (STEP_S, STEP_S), (STEP_S * 1.01, 2 * STEP_S), (STEP_S * 2.5, 4 * STEP_S), (STEP_S * 100, 128 * STEP_S)],
)
def test_what_took_less_than_a_step_leaves_at_that_step(took_s: float, step_s: float) -> None:
    assert rest_s(took_s) == pytest.approx(step_s - took_s)


def test_each_part_that_shows_nothing_has_a_step_before_they_double() -> None:
    assert rest_s(STEP_S * 99, 100) == pytest.approx(STEP_S)
    assert rest_s(STEP_S * 101, 100) == pytest.approx(STEP_S * 99)


@pytest.mark.parametrize(("status", "held"), [("404 Not Found", 1), ("403 Forbidden", 1), ("405 Method Not Allowed", 1), ("412 Precondition Failed", 1), ("200 OK", 0), ("401 Unauthorized", 0), ("400 Bad Request", 0)])
def test_a_refusal_that_hidden_and_missing_share_is_held_back(waits: list[float], status: str, held: int) -> None:
    def app(_environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response(status, [])
        return [b"said"]

    body, answered, _ = run_wsgi_app(with_even_answers(app), create_environ())
    assert (b"".join(body), answered, len(waits)) == (b"said", status, held)
    assert all(0 < each <= MOST_S for each in waits)


def test_an_answer_may_say_that_it_shows_nothing(waits: list[float]) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        shows_nothing(environ, 3)
        start_response("200 OK", [])
        return []

    Client(with_even_answers(app)).get("/")
    assert len(waits) == 1
    assert 2 * STEP_S < waits[0] <= 2 * STEP_S + MOST_S
