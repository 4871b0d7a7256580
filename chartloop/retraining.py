"""The risk model, trained anew from what the store has learned since; a candidate lies beside the model in use until a person adopts it.

No model goes into use by itself: its validation record is read by somebody who may say no.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Final

from chartloop.app import Kernel, fhir_base
from chartloop.kernel import clock
from chartloop.kernel.access.engines import engine_subject
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.config import Settings
from chartloop.risk import risk_directory
from fhir_server.repository import Repository
from predictions.risk.reading import Limits

if TYPE_CHECKING:
    from predictions.risk.cohort import Cohort

_log = logging.getLogger(__name__)
_CANDIDATE: Final = "candidate"
_YEAR_US: Final = 31_557_600_000_000
_SEED: Final = 7


def candidate_directory(settings: Settings) -> Path:
    """Where a model lies that nobody has adopted yet."""
    return risk_directory(settings) / _CANDIDATE


def store_cohort(kernel: Kernel, repository: Repository, years: float) -> tuple[Cohort, str]:
    """Read the people of the store as the risk engine sees it, without labelled rows; and say who they are."""
    from predictions.risk.cohort import STREAMED, stored_to_cohort  # noqa: PLC0415 NumPy is in the extra that trains

    settings, now_us = kernel.settings, clock.now_us()
    limits = Limits(settings.predictions.lab_max_age_days, settings.predictions.vital_max_age_days)
    index_us = now_us - round(years * _YEAR_US)
    resources = repository.stream(Scope(engine_subject(kernel.access.policies, "risk"), "search"), STREAMED)
    cohort = stored_to_cohort(resources, index_us=index_us, end_us=now_us, limits=limits, base=fhir_base(settings))
    said = (
        f"People of this store aged 30 to 79 on {clock.iso(index_us)[:10]}, alive and without a recorded cardiovascular disease then; "
        f"features as of that day, a stroke is a Condition (I60-I64) that began after it and by {clock.iso(now_us)[:10]}. Rows with sensitivity labels are left out."
    )
    return cohort, said


def retrain(kernel: Kernel, repository: Repository) -> None:
    """Train a candidate from the store.

    Raises:
        Unprocessable: Too few people had a stroke, or the model ranks no better than chance; the candidate that there was stays.
    """
    from predictions.risk.model_directory import write_model  # noqa: PLC0415
    from predictions.risk.train import train  # noqa: PLC0415 as above

    wanted = kernel.settings.predictions
    cohort, said = store_cohort(kernel, repository, wanted.retrain_years)
    date = clock.iso(clock.now_us())
    trained = train(cohort, labels_source=wanted.retrain_label_source, data=said, years=wanted.retrain_years, demo=False, date=date, seed=_SEED)
    write_model(trained, candidate_directory(kernel.settings))
    _log.info("A risk model was trained and waits to be adopted.", extra={"action": "model.trained", "version": trained.facts["version"], "auc": trained.validation["auc"]})
