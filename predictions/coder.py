"""Suggest ICD-10-CM codes for a clinical note: retrieve, rank, calibrate; each suggestion with its evidence span."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from predictions.coder_denial import denied_behind
from predictions.coder_features import Evidence, Featurizer, read_note
from predictions.coder_lexicon import Lexicon
from predictions.coder_model import SHIPPED, CoderModel, load_model
from predictions.coder_text import FAMILY, HYPOTHETICAL, NEGATED
from terminology.icd10cm import Icd10cm, load

SENSITIVE = Path(__file__).with_name("sensitive_codes.txt")
MAX_SUGGESTIONS = 40
MIN_CONFIDENCE = 0.02


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One code with its calibrated confidence and the code points [start, end) of the note that speak for it (-1: none)."""

    code: str
    display: str
    confidence: float
    start: int
    end: int
    negated: bool
    billable: bool
    sensitive: bool


def read_sensitive(path: Path = SENSITIVE) -> tuple[str, ...]:
    """Read the policy data: code prefixes that a model may never put onto a claim by itself."""
    lines = (line.partition("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    return tuple(line for line in lines if line)


class Coder:
    """A loaded model over a loaded code system; make one per process."""

    def __init__(self, model: CoderModel, icd: Icd10cm, sensitive: tuple[str, ...]) -> None:
        """Take what is loaded already; the lexicon is built at the first note."""
        self._model, self._icd, self._sensitive = model, icd, sensitive

    @classmethod
    def open(cls, path: Path = SHIPPED) -> Coder:
        """Load a model file with the shipped code system and policy data."""
        return cls(load_model(path), load(), read_sensitive())

    @property
    def version(self) -> str:
        """Name of the exact model, for Provenance."""
        return self._model.version

    @property
    def model_hash(self) -> str:
        """SHA-256 of the model file; a calibration record names it."""
        return self._model.hash

    @property
    def model(self) -> CoderModel:
        """The model itself, for reports."""
        return self._model

    @cached_property
    def _lexicon(self) -> Lexicon:
        return Lexicon(self._icd)

    @cached_property
    def _featurizer(self) -> Featurizer:
        return Featurizer(self._icd, self._lexicon)

    def suggest(self, text: str) -> list[Suggestion]:
        """Suggest codes for one note, highest confidence first; never more than MAX_SUGGESTIONS."""
        reading = read_note(self._lexicon, text)
        found = self._featurizer.candidates(reading, self._model.memory, len(text))
        if not found.codes:
            return []
        confidence = self._model.probability(found.rows)
        order = np.argsort(-confidence, kind="stable")[:MAX_SUGGESTIONS]
        return [self._suggestion(text, found.codes[n], float(confidence[n]), found.evidence[n]) for n in order if confidence[n] >= MIN_CONFIDENCE]

    def _suggestion(self, text: str, code: str, confidence: float, evidence: Evidence | None) -> Suggestion:
        known = self._icd.lookup(code)
        denied = bool(evidence and (evidence.flags & (NEGATED | FAMILY | HYPOTHETICAL) or denied_behind(text, evidence.end)))
        return Suggestion(
            code=code,
            display=known.display if known else code,
            confidence=round(confidence, 4),
            start=evidence.start if evidence else -1,
            end=evidence.end if evidence else -1,
            negated=denied,
            billable=bool(known and known.billable),
            sensitive=code.startswith(self._sensitive),
        )
