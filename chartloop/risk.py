"""The risk models of one process: the worker predicts with them, the server shows their labels."""

from __future__ import annotations

from pathlib import Path

from chartloop.kernel.config import Settings
from predictions.risk.registry import Registry


def risk_registry(settings: Settings) -> Registry:
    """The risk models of this process."""
    return Registry(risk_directory(settings), demo=settings.predictions.demo)


def risk_directory(settings: Settings) -> Path:
    """Where the trained risk model lies."""
    return settings.predictions.model_directory or settings.data / "models" / "risk"
