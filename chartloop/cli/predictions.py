"""`chartloop predictions`: train the risk model, and say which models are in use."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chartloop.cli.options import data_option, json_option, settings_of

if TYPE_CHECKING:
    from chartloop.kernel.config import Settings
    from predictions.risk.cohort import Cohort

YEARS = 10.0
YEAR_US = 31_557_600_000_000
UNSAID = "Say with --label-source where the labels came from: it is shown beside every prediction."


@click.group()
def predictions() -> None:
    """Train, measure and list the risk models."""


@predictions.command()
@data_option
@click.option("--table", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="CSV with columns named as features, and stroke (1 or 0).")
@click.option("--store", is_flag=True, help="Learn from the people of the store: strokes after the index date.")
@click.option("--synthetic", type=click.IntRange(min=100), metavar="N", help="Learn from N made-up people: for the demo alone.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Directory for the model.  [default: where it is served from]")
@click.option("--label-source", default="", help="Where the labels came from; synthetic labels say it themselves.")
@click.option(
    "--years", type=click.FloatRange(min=0.1), default=YEARS, show_default=True, help="Horizon of the labels; with --store the index date is so long ago."
)
@click.option("--seed", default=7, show_default=True, help="The same data and seed give the same model.")
def train(data: Path | None, table: Path | None, store: bool, synthetic: int | None, out: Path | None, label_source: str, years: float, seed: int) -> None:
    """Train the LightGBM stroke model, recalibrate and validate it on people held out, and write it with its label."""
    from chartloop.kernel import clock
    from chartloop.risk import risk_directory
    from predictions.risk.model_directory import write_model
    from predictions.risk.synthetic_cohort import DISTRIBUTIONS, LABELS_SOURCE, synthetic_cohort
    from predictions.risk.train import train as train_model

    settings = settings_of(data)
    if [bool(table), store, bool(synthetic)].count(True) != 1:
        raise click.UsageError("Say one of --table, --store and --synthetic.")
    if synthetic:
        cohort, label_source, said = synthetic_cohort(synthetic, seed=seed), LABELS_SOURCE.format(n=synthetic, seed=seed), f"Made-up people: {DISTRIBUTIONS}."
    elif not label_source:
        raise click.UsageError(UNSAID)
    else:
        cohort, said = _real(settings, table, years)
    trained = train_model(cohort, labels_source=label_source, data=said, years=years, demo=bool(synthetic), date=clock.iso(clock.now_us()), seed=seed)
    directory = out or risk_directory(settings)
    write_model(trained, directory)
    click.echo(f"{directory}: model {trained.facts['version']}, {trained.facts['trees']} trees, {len(cohort.labels)} people")
    click.echo(_figures("held out", trained.validation))


def _real(settings: Settings, table: Path | None, years: float) -> tuple[Cohort, str]:
    """Read real people from a table, or from the store as the risk engine sees it: without labelled rows."""
    from predictions.risk.cohort import STREAMED, stored_to_cohort, table_to_cohort

    if table is not None:
        return table_to_cohort(table), f"Table {table.name}, every row."
    from chartloop.app import fhir_base, open_door, open_kernel
    from chartloop.engines import subject
    from chartloop.kernel import clock
    from chartloop.kernel.access.scope import Scope
    from predictions.risk.reading import Limits

    limits = Limits(settings.predictions.lab_max_age_days, settings.predictions.vital_max_age_days)
    now_us = clock.now_us()
    index_us = now_us - round(years * YEAR_US)
    with open_kernel(settings) as kernel:
        resources = open_door(kernel).repository.stream(Scope(subject(kernel, "risk"), "search"), STREAMED)
        cohort = stored_to_cohort(resources, index_us=index_us, end_us=now_us, limits=limits, base=fhir_base(settings))
    said = (
        f"People of this store aged 30 to 79 on {clock.iso(index_us)[:10]}, alive and without a recorded cardiovascular disease then; "
        f"features as of that day, a stroke is a Condition (I60-I64) that began after it and by {clock.iso(now_us)[:10]}. Rows with sensitivity labels are left out."
    )
    return cohort, said


@predictions.command()
@data_option
@json_option
def report(data: Path | None, as_json: bool) -> None:
    """Print the models in use, how the trained one did on people held out, and why a model is not used."""
    from chartloop.kernel.logs import configure_logs
    from chartloop.risk import risk_registry

    settings = settings_of(data)
    configure_logs(settings.log)
    registry = risk_registry(settings)
    models = [{"id": m.id, "version": m.version, "title": m.title, "labels_source": m.labels_source} for m in registry.models()]
    validation, refusal = registry.validation(), registry.refusal()
    if as_json:
        click.echo(json.dumps({"models": models, "validation": validation, "refused": refusal}, indent=2))
        return
    for model in models:
        click.echo(f"{model['id']} {model['version']}: {model['title']}")
        if model["labels_source"]:
            click.echo(f"  labels: {model['labels_source']}")
    if validation:
        click.echo(_figures("held out", validation))
        for sex, figures in validation["by_sex"].items():
            click.echo(_figures(sex, figures))
    if refusal:
        click.echo(f"not used: {refusal}")


def _figures(name: str, figures: dict[str, Any]) -> str:
    return f"  {name}: n {figures['n']}, strokes {figures['events']}, AUC {figures['auc']}, slope {figures['slope']}, O/E {figures['oe']}, Brier {figures['brier']}"
