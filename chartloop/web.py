"""Everything that is answered over HTTP, put together: FHIR, SMART, the demo EHR, CDS Hooks, the research database, health."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from zoneinfo import ZoneInfo

from flask import Blueprint, Flask, request

from cds_hooks import routes as cds_routes
from cds_hooks.chart import Chart
from cds_hooks.feedback_log import FeedbackLog
from cds_hooks.risk_card import Surroundings
from cds_hooks.shown_log import ShownLog
from cds_hooks.stroke_risk import StrokeRisk
from chartloop.app import Kernel, base_url, fhir_base
from chartloop.audited import with_every_request_audited
from chartloop.ehrs_elsewhere import known_ehrs
from chartloop.exploring import explorer
from chartloop.exploring import styles as explorer_styles
from chartloop.kernel import auth
from chartloop.kernel.access.engines import engine_subject
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.audit.anchors import heads_files
from chartloop.kernel.audit.journal import audit_directory
from chartloop.kernel.bodies import places_of, with_bounded_bodies
from chartloop.kernel.config import Settings
from chartloop.kernel.db import Session
from chartloop.kernel.egress import fetch
from chartloop.kernel.errors import Unauthenticated, Unavailable
from chartloop.kernel.even_answers import with_even_answers
from chartloop.kernel.gauges import StoreCollector
from chartloop.kernel.health import health_blueprint
from chartloop.kernel.http import WHO, WsgiApp, bearer_token, with_common_headers
from chartloop.kernel.keys import secret
from chartloop.kernel.metrics import Metrics
from chartloop.kernel.operating import Operating
from chartloop.kernel.settings_sections import BrandSettings
from chartloop.measured import measured
from chartloop.ready import Readiness
from chartloop.risk import risk_registry
from chartloop.securing import api_headers
from chartloop.telemetry import telemetry_intake
from chartloop.traced import traced
from claims.payers.limits import limits_of
from claims.payers.metrics import PayerCollector
from claims.payers.overview import overview
from fhir_server.api import blueprint as fhir_blueprint
from fhir_server.audit_event import AuditEvents
from fhir_server.background.runner import AsyncRunner
from fhir_server.http.calls import Authenticate, Gate, Limits
from fhir_server.read_path import with_read_path
from fhir_server.repository import Repository
from ingest.metrics import MessageCollector
from ingest.telemetry import routes as telemetry_routes
from omop_bridge.figures import Counting
from omop_bridge.guard import Guard
from omop_bridge.opening import lazily_opened
from omop_bridge.routes import Research
from omop_bridge.routes import blueprint as omop_blueprint
from predictions.risk.registry import Registry
from smart_apps.assembly import register_explainer, register_review_app, smart_side
from smart_apps.explorer.explorer import with_explorer
from smart_apps.operations.board import Board, PayerLine
from smart_apps.operations.desk import Desk
from smart_apps.operations.routes import blueprint as operations_blueprint
from smart_apps.people.assembly import people_blueprint
from smart_apps.people.people import open_people
from smart_apps.privacy.facts import People
from smart_apps.privacy.routes import Privacy
from smart_apps.privacy.routes import blueprint as privacy_blueprint
from smart_apps.privacy.trail import Trail
from smart_apps.server.brands import Brand, own_bundle
from smart_apps.server.cds_callers import CdsCallers, registered
from smart_apps.server.key_sets import KeySets
from smart_apps.server.options import Options
from smart_apps.server.origins import RegisteredOrigins
from smart_apps.server.routes import COOKIE
from smart_apps.sessions import Sessions
from terminology.icd10cm import load as load_icd10cm


def build_wsgi(kernel: Kernel, repository: Repository, later: AsyncRunner | None = None, ready: Readiness | None = None) -> WsgiApp:
    """Build the WSGI application of one server process, and let what carries out requests later begin."""
    metrics = Metrics()
    app, gate, sessions = build_routes(kernel, repository, metrics, later, ready)
    settings = kernel.settings
    origins = RegisteredOrigins(kernel.database, settings.server.cors_origins)
    explored = with_explorer(with_read_path(app.wsgi_app, gate), explorer(kernel, repository, sessions))
    bounded = with_bounded_bodies(explored, places_of(settings.server.threads))
    if later is not None:
        later.start(app.wsgi_app)
    audited = with_every_request_audited(with_common_headers(bounded, origins=origins, defaults=api_headers(base_url(settings))), kernel.audit)
    return measured(traced(with_even_answers(audited)), metrics)


def build_routes(
    kernel: Kernel, repository: Repository, metrics: Metrics, later: AsyncRunner | None = None, ready: Readiness | None = None
) -> tuple[Flask, Gate, Sessions]:
    """Build every address with what answers there, the gate in front of the store, and who is signed in."""
    settings, base, fhir = kernel.settings, base_url(kernel.settings), fhir_base(kernel.settings)
    limits = Limits(settings.server.body_max_bytes, settings.server.bulk_body_max_bytes)
    audit_events = AuditEvents(kernel.database, kernel.access, kernel.audit, settings.data, fhir)
    gate = Gate(repository, _authenticator(kernel), fhir, limits, audit_events, later.jobs if later else None)
    register_review_app(kernel.database, [settings.apps.review_url], fhir)
    register_explainer(kernel.database, [settings.apps.explainer_launch_url], fhir)
    sessions = Sessions(kernel.database, kernel.audit, lifetime_s=settings.auth.session_lifetime_s, idle_s=settings.auth.session_idle_s)
    smart = smart_side(
        kernel.database,
        repository,
        kernel.access,
        _search_codes,
        kernel.audit,
        base_url=base,
        keys=settings.keys,
        options=_smart_options(settings),
        cds_services=tuple(base if url == "self" else url for url in settings.ehr.cds_services),
        cds_deadline_s=settings.ehr.cds_deadline_s,
        sessions=sessions,
    )
    people = open_people(kernel.database, kernel.audit, kernel.access.policies, sessions, settings.auth, keys=settings.keys, base_url=base)
    cds = _cds(kernel, repository, gate.authenticate, risk_registry(settings))
    metrics.registry.register(StoreCollector(kernel.database, settings.data))
    metrics.registry.register(MessageCollector(kernel.database))
    metrics.registry.register(PayerCollector(kernel.database, limits_of(settings.claims)))
    app = Flask("chartloop", static_folder=None)
    app.register_blueprint(fhir_blueprint(gate), url_prefix="/fhir")
    telemetry = telemetry_routes.blueprint(gate, kernel.access, kernel.audit, telemetry_intake(kernel, repository))
    research, privacy = _research(kernel, sessions), _privacy(kernel, repository, sessions)
    pages = (*smart.blueprints, people_blueprint(people, settings.egress), research, privacy, _operations(kernel, sessions), explorer_styles())
    for blueprint in (*pages, telemetry, cds_routes.blueprint(cds), health_blueprint((ready or Readiness(kernel)).checks(), metrics)):
        app.register_blueprint(blueprint)
    app.register_error_handler(Unavailable, _come_again)
    return app, gate, sessions


def _smart_options(settings: Settings) -> Options:
    """What the settings say of the authorization server."""
    said = settings.auth
    return Options(
        token_ttl_s=said.token_ttl_s,
        offline_ttl_s=said.offline_ttl_s,
        online_ttl_s=said.online_ttl_s,
        backend_ttl_s=said.backend_ttl_s,
        tenant=said.tenant,
        registration=said.registration,
        registration_scope=said.registration_scope,
        brand=_brand(settings.brand) if settings.brand.name else None,
        allow_private=settings.egress.allow_private,
    )


def _brand(said: BrandSettings) -> Brand:
    brand = Brand(**said.model_dump(exclude={"file"}))
    return replace(brand, own=own_bundle(said.file.read_text("utf-8"), brand.identifier)) if said.file else brand


def _come_again(error: Exception) -> tuple[dict[str, str], int, dict[str, str]]:
    """Answer for the addresses that have no words of their own for it."""
    return {"error": "temporarily_unavailable", "error_description": str(error)}, 503, {"Retry-After": "1"}


def _cds(kernel: Kernel, repository: Repository, authenticate: Authenticate, models: Registry) -> cds_routes.Cds:
    """What the CDS Hooks addresses answer from: stored predictions, and the labels of the models that made them."""
    settings, base = kernel.settings, base_url(kernel.settings)
    key = secret(settings.keys, "cards.key")
    around = Surroundings(
        base,
        settings.apps.explainer_launch_url,
        key,
        round(settings.cds.stale_after_s * 1_000_000),
        models.validated,
        lambda model: models.model_label(model) is not None,
    )
    fhir = fhir_base(settings)
    service = StrokeRisk(Chart(repository, authenticate, fhir, known_ehrs(kernel, repository)), around, ShownLog(kernel.audit, authenticate, fhir))
    log = FeedbackLog(kernel.database, kernel.audit, settings.cds.feedback_per_day)
    return cds_routes.Cds(service, log, models.model_label, key, settings.cds.body_max_bytes, base, _cds_callers(kernel))


def _cds_callers(kernel: Kernel) -> CdsCallers:
    """EHRs that must sign their calls."""
    settings = kernel.settings
    keys = KeySets(lambda url: fetch(url, allow_private=settings.egress.allow_private, timeout_s=settings.egress.timeout_s))
    return CdsCallers(registered(settings.cds.client_keys), keys, kernel.database)


def _authenticator(kernel: Kernel) -> Authenticate:
    def authenticate(token: str) -> Subject:
        return auth.authenticate(kernel.database, token)

    return authenticate


def _research(kernel: Kernel, sessions: Sessions) -> Blueprint:
    """The researcher's pages."""
    cdm, lineage = lazily_opened(kernel.settings.omop_url, kernel.settings.omop_lineage_url)
    return omop_blueprint(Research(cdm, lineage, Guard(kernel.access, kernel.audit, _visitor(kernel, sessions)), Counting(cdm, lineage)))


def _privacy(kernel: Kernel, repository: Repository, sessions: Sessions) -> Blueprint:
    """The privacy officer's pages."""
    settings, directory = kernel.settings, audit_directory(kernel.settings.data)
    trail = Trail(kernel.database, directory, heads_files(directory, settings.audit.heads_file, settings.audit.anchor_file))
    people = People(repository, engine_subject(kernel.access.policies, "privacy"), ZoneInfo(settings.audit.timezone))
    return privacy_blueprint(Privacy(kernel.access, kernel.audit, _visitor(kernel, sessions), trail, people))


def _operations(kernel: Kernel, sessions: Sessions) -> Blueprint:
    """The operators' page."""
    desk = Desk(kernel.access, kernel.audit, sessions, Operating(kernel.database, kernel.audit, kernel.dead_letters))
    limits = limits_of(kernel.settings.claims)

    def payers(session: Session) -> list[PayerLine]:
        return [PayerLine(each.payer, each.sending, each.mailbox, sum(each.waiting.values()), each.oldest_s, each.shed) for each in overview(session, limits)]

    return operations_blueprint(desk, Board(kernel.database, kernel.dead_letters, ZoneInfo(kernel.settings.audit.timezone), payers))


def _visitor(kernel: Kernel, sessions: Sessions) -> Callable[[], Subject]:
    """Who sent a request: the holder of its bearer token, or of the EHR session that its cookie names."""

    def who() -> Subject:
        if "Authorization" in request.headers:
            found = auth.authenticate(kernel.database, bearer_token(request.environ))
        else:
            session = sessions.find(request.cookies.get(COOKIE))
            if session is None:
                raise Unauthenticated("Sign in at /login, enter by the link that your administrator gave you, or send a bearer token.")
            found = session.subject
        request.environ[WHO] = found
        return found

    return who


def _search_codes(words: str, limit: int) -> Iterator[tuple[str, str]]:
    """Billable ICD-10-CM codes by number or words."""
    icd = load_icd10cm()
    for concept in icd.search(words, limit=limit * 3):
        if concept.billable:
            yield concept.code, concept.display

