"""Make prevent_facts.json from the coefficient tables of preventr: python -m predictions.risk.generate_prevent ARCHIVE [--out FILE].

Facts alone: the stroke coefficients of every PREVENT equation, by term, sex, model and horizon. The tables are those of the
supplement of Khan et al. 2023, as the R package preventr 0.12.0 (MIT, Martin Mayer) publishes them.
Spec: https://doi.org/10.1161/CIRCULATIONAHA.123.067626
"""

from __future__ import annotations

import csv
import io
import json
import tarfile
from pathlib import Path

import click

from predictions.risk.prevent import FACTS

MODELS = ("base", "uacr", "hba1c", "sdi", "full")
TERMS = {
    "Age, per 10 years": "age",
    "Age, 10 years": "age",
    "Age squared": "age_squared",
    "non-HDL-C per 1 mmol/L": "non_hdl",
    "HDL-C per 0.3 mmol/L": "hdl",
    "SBP <110 per 20 mmHg": "sbp_low",
    "SBP ≥110 per 20 mmHg": "sbp_high",
    "Diabetes": "diabetes",
    "Current smoking": "smoking",
    "BMI <30, per 5 kg/m2": "bmi_low",
    "BMI 30+, per 5 kg/m2": "bmi_high",
    "eGFR <60, per -15 ml": "egfr_low",
    "eGFR 60+, per -15 ml": "egfr_high",
    "Anti-hypertensive use": "antihypertensive",
    "Statin use": "statin",
    "Treated SBP ≥110 mm Hg per 20 mm Hg": "antihypertensive*sbp_high",
    "Treated non-HDL-C": "statin*non_hdl",
    "Age per 10yr * non-HDL-C per 1 mmol/L": "age*non_hdl",
    "Age per 10yr * HDL-C per 0.3 mmol/L": "age*hdl",
    "Age per 10yr * SBP ≥110 mm Hg per 20 mmHg": "age*sbp_high",
    "Age per 10yr * diabetes": "age*diabetes",
    "Age per 10yr * current smoking": "age*smoking",
    "Age per 10yr * BMI 30+ per 5 kg/m2": "age*bmi_high",
    "Age per 10yr * eGFR <60, per -15 ml": "age*egfr_low",
    "SDI decile categories 4-6 vs. 1-3": "sdi_middle",
    "SDI decile categories 7-10 vs. 1-3": "sdi_high",
    "Missing SDI": "sdi_missing",
    "ln-ACR, mg/g, per 1 ln unit": "ln_uacr",
    "Missing ACR/PCR/Dipstick": "uacr_missing",
    "HbA1c in DM, per 1%": "hba1c*diabetes",
    "HbA1c no DM, per 1%": "hba1c*no_diabetes",
    "Missing HbA1c": "hba1c_missing",
    "Constant": "constant",
}
"""Rows of the tables by the names of our terms; a product of two terms is written with a star."""


def make_facts(archive: Path) -> str:
    """Read the ten tables of an archive (preventr/csv/prevent_MODEL_YEARSyr.csv) and write the facts as JSON."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    with tarfile.open(archive) as tar:
        for model in MODELS:
            for years in (10, 30):
                member = tar.extractfile(f"preventr/csv/prevent_{model}_{years}yr.csv")
                if member is None:
                    raise click.ClickException(f"{archive} holds no table for {model}, {years} years.")
                rows = list(csv.DictReader(io.TextIOWrapper(member, "utf-8")))
                found[f"{model}-{years}"] = {
                    sex: {TERMS[row["beta_coefficients"]]: float(row[f"{sex}_stroke"]) for row in rows if float(row[f"{sex}_stroke"])}
                    for sex in ("female", "male")
                }
    about = {
        "equation": "AHA PREVENT 2023, stroke",
        "source": "preventr 0.12.0 (MIT), tables of doi:10.1161/CIRCULATIONAHA.123.067626",
        "left out": "coefficients that are 0",
    }
    return json.dumps({"about": about, "models": found}, indent=1) + "\n"


@click.command()
@click.argument("archive", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), default=FACTS, show_default=True, help="Facts file to write.")
def main(archive: Path, out: Path) -> None:
    """Write the coefficients of an ARCHIVE of preventr's tables."""
    out.write_text(make_facts(archive), encoding="utf-8")
    click.echo(f"{out}: {out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
