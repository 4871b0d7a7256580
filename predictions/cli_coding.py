"""The `coding` commands: train a coder on coded charts, report on it, certify a threshold."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import click

from chartloop.kernel import clock
from predictions.calibration import (
    ALPHA,
    DELTA,
    DEMO_POPULATION,
    DEMO_RECORD,
    RESAMPLES,
    CalibrationRecord,
    ScoredChart,
    certify_threshold,
    gated,
    write_record,
)
from predictions.coder import Coder
from predictions.coder_model import SHIPPED, save_model
from predictions.coder_report import Report, report
from predictions.coder_train import train
from predictions.codiesp import Chart, read_charts
from predictions.synthetic_notes import synthetic_charts
from terminology.icd10cm import Icd10cm, load

TRAIN_CHARTS, TRAIN_SEED = 800, 11
CERTIFY_CHARTS, CERTIFY_SEED = 400, 2027
UNKNOWN = "These figures hold for these charts. Accuracy on US-style notes is unknown until a site has audited it."


@click.group()
def coding() -> None:
    """Train, measure and certify the ICD-10-CM coder."""


@coding.command("train")
@click.option("--corpus", type=click.Path(exists=True, path_type=Path), help="Coded charts, folder or .tar.xz as CodiEsp; default: synthetic notes.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder for the model file.")
@click.option("--name", default="", help="Name of the training charts, part of the model's version.")
@click.option("--seed", default=7, show_default=True, help="Seed of folds and ranker; the same seed gives the same model.")
def train_command(corpus: Path | None, out: Path, name: str, seed: int) -> None:
    """Train a coder and write OUT/coder_model.zst."""
    icd = load()
    charts = _charts(corpus) if corpus else synthetic_charts(icd, "A", charts=TRAIN_CHARTS, seed=TRAIN_SEED)
    try:
        model = save_model(train(charts, icd, trained_on=name or (corpus.name.split(".")[0] if corpus else "synthetic"), seed=seed), out / SHIPPED.name)
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"{out / SHIPPED.name}: model {model.version}, {model.card.charts} charts, {(out / SHIPPED.name).stat().st_size:,} bytes")


@coding.command("report")
@click.option("--corpus", type=click.Path(exists=True, path_type=Path), required=True, help="Coded charts to measure on (folder or .tar.xz).")
@click.option("--model", "models", type=click.Path(exists=True, dir_okay=False, path_type=Path), multiple=True, help="Model files besides the shipped one.")
@click.option("--train-corpus", type=click.Path(exists=True, path_type=Path), help="Also train on these charts and report that model.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def report_command(corpus: Path, models: tuple[Path, ...], train_corpus: Path | None, as_json: bool) -> None:
    """Print MAP, F1, calibration error, certified coverage and latency of the shipped model and of others."""
    icd = load()
    charts = _charts(corpus)
    coders = [Coder.open(path) for path in (SHIPPED, *models)]
    reports = [report(c, charts, icd) for c in coders]
    if train_corpus:
        reports.append(_trained(train_corpus, charts, icd))
    click.echo(json.dumps([r.rows() for r in reports], indent=1) if as_json else "\n\n".join([*map(as_table, reports), UNKNOWN]))


def _trained(corpus: Path, charts: list[Chart], icd: Icd10cm) -> Report:
    """Train on the spot, without leaving a file, and report."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / SHIPPED.name
        save_model(train(_charts(corpus), icd, trained_on=corpus.name.split(".")[0]), path)
        return report(Coder.open(path), charts, icd)


@coding.command("certify")
@click.option("--corpus", type=click.Path(exists=True, path_type=Path), help="Fully coded charts of this site; default: synthetic notes.")
@click.option("--population", default="", help="Name of the charts in the record; required with --corpus.")
@click.option("--model", type=click.Path(exists=True, dir_okay=False, path_type=Path), default=SHIPPED, help="Model file to certify.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), default=DEMO_RECORD, help="Record file to write.")
@click.option("--seed", default=CERTIFY_SEED, show_default=True, help="Seed of the resampling, and of the synthetic notes.")
def certify_command(corpus: Path | None, population: str, model: Path, out: Path, seed: int) -> None:
    """Look for a threshold with at most 10 % error at 95 % confidence and write the calibration record."""
    if corpus and (not population or population == DEMO_POPULATION):
        raise click.UsageError("Name the charts with --population; the demo's name is taken.")
    icd = load()
    charts = _charts(corpus) if corpus else synthetic_charts(icd, "B", charts=CERTIFY_CHARTS, seed=seed)
    record = certify(Coder.open(model), charts, icd, population=population or DEMO_POPULATION, seed=seed)
    write_record(record, out)
    found = f"threshold {record.threshold}, error at most {record.upper_bound}" if record.threshold is not None else "nothing certified: auto-append stays off"
    click.echo(f"{out}: {found}, {record.codes} codes of {record.charts} charts, population {record.population}")


def certify(coder: Coder, charts: list[Chart], icd: Icd10cm, *, population: str, seed: int) -> CalibrationRecord:
    """Run the coder on fully coded charts it was not trained on and seal what could be shown."""
    scored = [ScoredChart(tuple((s.confidence, s.code in c.codes) for s in gated(coder.suggest(c.text), icd))) for c in charts]
    found = certify_threshold(scored, seed=seed)
    return CalibrationRecord(
        population,
        ALPHA,
        DELTA,
        len(charts),
        found.codes,
        found.threshold,
        found.upper_bound,
        RESAMPLES,
        seed,
        coder.model_hash,
        clock.iso(clock.now_us())[:10],
    ).sealed()


def _charts(corpus: Path) -> list[Chart]:
    try:
        return read_charts(corpus)
    except FileNotFoundError as error:
        raise click.ClickException(str(error)) from None


def as_table(found: Report) -> str:
    """Write a report as aligned lines."""
    flat = {k: v for k, v in found.rows().items() if k != "certified"} | {f"certified.{k}": v for k, v in found.certified.items()}
    return "\n".join(f"{k:32} {v:.4f}" if isinstance(v, float) else f"{k:32} {v}" for k, v in flat.items())
