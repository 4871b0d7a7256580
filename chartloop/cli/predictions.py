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
    if table is not None:
        from predictions.risk.cohort import table_to_cohort

        return table_to_cohort(table), f"Table {table.name}, every row."
    from chartloop.app import open_door, open_kernel
    from chartloop.retraining import store_cohort

    with open_kernel(settings) as kernel:
        return store_cohort(kernel, open_door(kernel).repository, years)


@predictions.command()
@data_option
@click.confirmation_option(prompt="The candidate becomes the model that predicts. Go on?")
def adopt(data: Path | None) -> None:
    """Let the candidate that the job `retrain-risk` trained be the model in use; its figures are printed beside those of the one before."""
    from chartloop.retraining import candidate_directory
    from chartloop.risk import risk_directory, risk_registry
    from predictions.risk.model_directory import adopt_model

    settings = settings_of(data)
    before = risk_registry(settings).validation()
    validation = adopt_model(candidate_directory(settings), risk_directory(settings))
    if before:
        click.echo(_figures(f"before, {before['version']}", before))
    click.echo(_figures(f"adopted, {validation['version']}", validation))


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
