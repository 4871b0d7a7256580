"""Everything that is answered over HTTP, put together: FHIR, SMART, the demo EHR, CDS Hooks, health."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from flask import Flask

from cds_hooks import routes as cds_routes
from cds_hooks.chart import Chart
from cds_hooks.feedback_log import FeedbackLog
from cds_hooks.model_page import ModelLabel
from cds_hooks.risk_card import Surroundings
from cds_hooks.stroke_risk import StrokeRisk
from chartloop.app import Kernel, base_url
from chartloop.kernel import auth
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.health import Check, database_check, health_blueprint
from chartloop.kernel.http import WsgiApp, with_common_headers
from chartloop.kernel.keys import secret
from chartloop.kernel.metrics import BusCollector, Metrics
from chartloop.measured import measured
from fhir_server.api import blueprint as fhir_blueprint
from fhir_server.audit_event import AuditEvents
from fhir_server.calls import Authenticate, Gate, Limits
from fhir_server.read_path import with_read_path
from fhir_server.repository import Repository
from ingest.metrics import MessageCollector
from predictions.calibration import DEMO_RECORD
from predictions.coder_model import SHIPPED
from smart_apps.assembly import register_review_app, smart_side
from smart_apps.server import clients
from terminology.icd10cm import load as load_icd10cm


def build_wsgi(kernel: Kernel, repository: Repository) -> WsgiApp:
    """Build the WSGI application of one server process."""
    settings, base = kernel.settings, base_url(kernel.settings)
    limits = Limits(settings.server.body_max_bytes, settings.server.bulk_body_max_bytes)
    audit_events = AuditEvents(kernel.database, kernel.access, kernel.audit, settings.data)
    gate = Gate(repository, _authenticator(kernel), f"{base}/fhir", limits, audit_events)
    register_review_app(kernel.database, [settings.apps.review_url], f"{base}/fhir")
    smart = smart_side(kernel.database, repository, kernel.access, _search_codes, base_url=base, keys=settings.keys, token_ttl_s=settings.auth.token_ttl_s)
    cds = cds_side(kernel, repository, gate.authenticate, model_label=no_label, validated=not_validated)
    metrics = Metrics()
    metrics.registry.register(BusCollector(kernel.database))
    metrics.registry.register(MessageCollector(kernel.database))
    app = Flask("chartloop", static_folder=None)
    app.register_blueprint(fhir_blueprint(gate), url_prefix="/fhir")
    for blueprint in (*smart.blueprints, cds_routes.blueprint(cds), health_blueprint(_checks(kernel), metrics)):
        app.register_blueprint(blueprint)
    with kernel.database.read() as session:
        origins = {*clients.origins(session), *settings.server.cors_origins}
    return measured(with_common_headers(with_read_path(app.wsgi_app, gate), origins=origins), metrics)


def cds_side(
    kernel: Kernel, repository: Repository, authenticate: Authenticate, *, model_label: ModelLabel, validated: Callable[[str], bool]
) -> cds_routes.Cds:
    """Build what the CDS Hooks addresses answer from.

    Args:
        kernel: Settings, keys, database and audit log.
        repository: The door to stored predictions.
        authenticate: Finds whose the EHR's token is.
        model_label: Gives a model's label, from memory: a card asks for it.
        validated: Whether a local validation record of a model exists, from memory.
    """
    settings, base = kernel.settings, base_url(kernel.settings)
    key = secret(settings.keys, "cards.key")
    around = Surroundings(
        base,
        settings.apps.explainer_launch_url,
        key,
        round(settings.cds.stale_after_s * 1_000_000),
        validated,
        lambda model: model_label(model) is not None,
    )
    service = StrokeRisk(Chart(repository, authenticate, f"{base}/fhir"), around)
    log = FeedbackLog(kernel.database, kernel.audit, settings.cds.feedback_per_day)
    return cds_routes.Cds(service, log, model_label, key, settings.cds.body_max_bytes)


def no_label(_model: str) -> Mapping[str, Any] | None:
    """No model has a label."""
    return None


def not_validated(_model: str) -> bool:
    """No model has a local validation record."""
    return False


def _authenticator(kernel: Kernel) -> Authenticate:
    def authenticate(token: str) -> Subject:
        return auth.authenticate(kernel.database, token)

    return authenticate


def _search_codes(words: str, limit: int) -> Iterator[tuple[str, str]]:
    """Billable ICD-10-CM codes by number or words."""
    icd = load_icd10cm()
    for concept in icd.search(words, limit=limit * 3):
        if concept.billable:
            yield concept.code, concept.display


def _checks(kernel: Kernel) -> dict[str, Check]:
    """What must answer before this server is ready: database, bus, terminology, models."""

    def terminology() -> None:
        load_icd10cm()

    def models() -> None:
        directory = kernel.settings.coding.model_directory
        (directory / SHIPPED.name if directory else SHIPPED).stat()
        DEMO_RECORD.stat()

    def bus() -> None:
        kernel.bus.pending()

    return {"database": database_check(kernel.database), "bus": bus, "terminology": terminology, "models": models}
