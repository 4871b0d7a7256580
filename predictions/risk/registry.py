"""Which risk models are in use: the published equation always, a trained one while its directory holds a validated one.

The directory is looked at again and again, so a model that was trained, replaced or removed counts from the next prediction on, without a
restart. One that cannot be used is refused with a sentence in the log, once, and everything else goes on.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, NamedTuple

import structlog

from chartloop.kernel.errors import ChartloopError, Invalid
from predictions.risk.lightgbm_model import LightgbmStroke
from predictions.risk.model import RiskModel
from predictions.risk.model_directory import Record, Signature, read_model, signature
from predictions.risk.model_label import document, shipped_label
from predictions.risk.prevent_model import PreventStroke
from predictions.risk.systems import PREVENT

_log = structlog.get_logger(__name__)


class _Seen(NamedTuple):
    """The directory as it was last read."""

    signature: Signature
    record: Record | None
    refusal: str


class _Loaded(NamedTuple):
    """The trees of the directory as it was last loaded."""

    signature: Signature
    model: RiskModel | None
    refusal: str


class Registry:
    """The risk models of one process; threads may share it."""

    def __init__(self, directory: Path, *, demo: bool) -> None:
        """Take the directory of the trained model, and whether one validated on made-up people counts."""
        self._directory = directory
        self._demo = demo
        self._published = PreventStroke()
        self._lock = threading.Lock()
        self._seen = _Seen((), None, "")
        self._loaded = _Loaded((), None, "")

    def models(self) -> tuple[RiskModel, ...]:
        """Return the models to predict with now."""
        trained = self._trained().model
        return (self._published, trained) if trained is not None else (self._published,)

    def model_label(self, model_id: str) -> dict[str, Any] | None:
        """Return the label of a model: {"model", "version", "title", "attributes": [31]}; None for one that is not known here."""
        if model_id == PREVENT:
            return document(PREVENT, self._published.version, self._published.title, shipped_label(PREVENT))
        record = self._look().record
        if record is None or record.facts["id"] != model_id:
            return None
        return document(model_id, record.facts["version"], f"LightGBM, stroke, {record.facts['years']:g} years", record.label)

    def validated(self, model_id: str) -> bool:
        """Whether a model may be shown: the published equation, or a trained one with a local validation record that counts here."""
        record = self._look().record
        return model_id == PREVENT or (record is not None and record.facts["id"] == model_id)

    def validation(self) -> dict[str, Any] | None:
        """Return the validation record of the trained model in use."""
        record = self._look().record
        return None if record is None else record.validation

    def refusal(self) -> str:
        """Say why the model in the directory is not used; "" if it is, or if there is none."""
        return self._look().refusal or self._trained().refusal

    def _look(self) -> _Seen:
        """Read the directory if it changed since it was read."""
        now = signature(self._directory)
        with self._lock:
            if now != self._seen.signature:
                self._seen = self._read(now)
            return self._seen

    def _read(self, now: Signature) -> _Seen:
        if not now:
            return _Seen(now, None, "")
        try:
            record = read_model(self._directory)
            if record.validation["demo"] and not self._demo:
                raise Invalid("It was validated on made-up people, which counts in the demo alone.")
        except ChartloopError as error:
            _log.warning(f"The trained risk model is refused: {error}", action="risk.refused")
            return _Seen(now, None, str(error))
        return _Seen(now, record, "")

    def _trained(self) -> _Loaded:
        """Load the trees of the model in use, once for each content of the directory."""
        seen = self._look()
        with self._lock:
            if self._loaded.signature != seen.signature:
                self._loaded = _load(seen)
            return self._loaded


def _load(seen: _Seen) -> _Loaded:
    record, refusal = seen.record, ""
    if record is None:
        return _Loaded(seen.signature, None, "")
    try:
        model = LightgbmStroke(record.trees, record.facts)
    except ChartloopError as error:
        refusal = str(error)
    except Exception as error:  # LightGBM tells a broken file in errors of its own
        refusal = f"Its trees cannot be read: {type(error).__name__}."
    if refusal:
        _log.warning(f"The trained risk model is refused: {refusal}", action="risk.refused")
        return _Loaded(seen.signature, None, refusal)
    _log.info("A trained risk model is in use.", action="risk.loaded", model=model.id, version=model.version)
    return _Loaded(seen.signature, model, "")
