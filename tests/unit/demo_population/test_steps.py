"""The summary of a demo: it is a success only when every step held and the last one was reached."""

import io

import pytest
from rich.console import Console

from chartloop.demo import run as demo_run
from chartloop.demo.run import Options, run
from chartloop.demo.steps import StepFailed, Steps, require


@pytest.fixture
def steps():
    return Steps(Console(file=io.StringIO(), highlight=False, soft_wrap=True))


def test_a_demo_is_a_success_when_every_step_held_and_the_last_was_reached(steps):
    with steps.step("one", "Do one thing") as counts:
        counts["things"] = 1
    assert steps.summary()["ok"] is False
    steps.complete = True
    assert steps.summary()["ok"] is True
    assert steps.done[0]["counts"] == {"things": 1}


def test_a_step_that_does_not_hold_is_no_success(steps):
    with pytest.raises(StepFailed, match="two were seen"), steps.step("one", "Do one thing"):
        require(condition=False, seen="two were seen")
    steps.complete = True
    assert steps.summary()["ok"] is False


def test_a_demo_that_ends_between_two_steps_is_no_success_and_says_why(steps, tmp_path, monkeypatch):
    def held_then_ended(demo, options, steps):
        with steps.step("one", "Do one thing"):
            pass
        raise StepFailed("nothing was found")

    monkeypatch.setattr(demo_run, "train_model", lambda options, steps: None)
    monkeypatch.setattr(demo_run, "start_parts", lambda parts, options, steps: None)
    monkeypatch.setattr(demo_run, "_drive", held_then_ended)
    monkeypatch.setattr(demo_run.signal, "signal", lambda number, handler: None)
    assert run(Options(tmp_path, once=True, summary=tmp_path / "summary.json", steps=steps)) is False
    assert "The demo ended: nothing was found" in steps.console.file.getvalue()
    assert '"ok": false' in (tmp_path / "summary.json").read_text()
