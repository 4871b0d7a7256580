"""What the demo starts, and what it goes without."""

import io
import sys

from rich.console import Console

from chartloop.demo.parts import EQUATION_ALONE, train_model
from chartloop.demo.run import Options
from chartloop.demo.steps import Steps


def test_without_lightgbm_the_demo_says_one_sentence_and_trains_nothing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    said = io.StringIO()
    steps = Steps(Console(file=said, highlight=False, soft_wrap=True))
    train_model(Options(tmp_path, steps=steps), steps)
    assert said.getvalue() == EQUATION_ALONE + "\n"
    assert steps.done == []
    assert list(tmp_path.iterdir()) == []
