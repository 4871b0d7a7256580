"""Prefetch of a CDS service: its templates filled in and answered with what may be sent, one patient's data alone.

Spec: https://cds-hooks.hl7.org/2.0/#prefetch-template
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from chartloop.kernel.errors import ChartloopError, Gone, NotFound

if TYPE_CHECKING:
    from smart_apps.ehr.chart import Chart

MAX_KEYS = 12
SHAREABLE = frozenset(
    {
        "Patient", "AllergyIntolerance", "Condition", "Encounter", "Immunization", "MedicationAdministration", "MedicationDispense",
        "MedicationRequest", "MedicationStatement", "Observation", "Procedure", "RiskAssessment",
    }
)  # fmt: skip
"""Types that a service may be given; notes, money and work are not among them, whatever it asks for."""

_TOKEN = re.compile(r"\{\{\s*([A-Za-z.]+)\s*\}\}")
_QUERY = re.compile(r"(?P<type>[A-Z][A-Za-z]{1,63})(?:/(?P<id>[A-Za-z0-9.-]{1,64})|\?(?P<query>.{1,2000}))", re.DOTALL)


def tokens(user: str, patient: str) -> dict[str, str]:
    """Give the values that templates of patient-view may name."""
    named = {"context.userId": user, "context.patientId": patient}
    kind, _, id_ = user.partition("/")
    return {**named, f"user{kind}Id": id_} if kind in ("Practitioner", "PractitionerRole", "Patient", "RelatedPerson") else named


def types(templates: Mapping[str, str]) -> tuple[str, ...]:
    """Give the types that templates name and that may be shared, sorted."""
    heads = {template.partition("/")[0].partition("?")[0] for template in templates.values()}
    return tuple(sorted(heads & SHAREABLE))


def resolve(chart: Chart, templates: Mapping[str, str], values: Mapping[str, str]) -> dict[str, Any]:
    """Answer templates.

    Args:
        chart: The chart under the rights that the service's own token has.
        templates: By key.
        values: Of the tokens.

    Returns:
        A resource or Bundle by key; None where there is no such resource; a key is absent where the template asks
        for what is not known, not supported or not to be shared.
    """
    answered: dict[str, Any] = {}
    for key, template in list(templates.items())[:MAX_KEYS]:
        asked = _QUERY.fullmatch(_filled(template, values) or "")
        if asked is None or asked["type"] not in SHAREABLE:
            continue
        try:
            answered[key] = chart.bundle(asked["type"], asked["query"]) if asked["id"] is None else chart.resource(asked["type"], asked["id"])
        except (NotFound, Gone):
            answered[key] = None
        except ChartloopError:
            continue
    return answered


def _filled(template: str, values: Mapping[str, str]) -> str | None:
    """Fill a template in; None when it names a token that has no value here."""
    if any(name not in values for name in _TOKEN.findall(template)):
        return None
    return _TOKEN.sub(lambda found: quote(values[found[1]], safe="/"), template)
