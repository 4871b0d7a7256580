"""The engines behind the commit: consumers, periodic work and the MLLP listener, each with a subject of its own."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from zoneinfo import ZoneInfo

from chartloop.app import Door, Kernel, fhir_base
from chartloop.kernel.access.engines import engine_subject
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.audit.retention import prune
from chartloop.kernel.audit.sealer import Sealer
from chartloop.kernel.auth import forget_expired
from chartloop.kernel.broker import Group
from chartloop.kernel.config import Settings
from chartloop.kernel.held_back import watch_held_back
from chartloop.kernel.jobs.runner import Job, JobRunner
from chartloop.kernel.jobs.schedule import DAY_S, Daily, Every
from chartloop.kernel.keys import secret, signing_key
from chartloop.kernel.retention import forget_events
from chartloop.kernel.vault.vault import REFRESH_S
from chartloop.kernel.worker import Consumer, Periodic
from chartloop.retraining import retrain
from chartloop.risk import risk_registry
from chartloop.securing import mllp_tls
from chartloop.telemetry import telemetry_publisher
from claims.chart import Chart
from claims.coding.assignment import AssignmentConsumer, Policy
from claims.coding.corrections import CorrectionsConsumer
from claims.coding.examples import ExampleLedger
from claims.jobs import ClaimConsumer
from claims.jobs_assembly import Assembly
from claims.jobs_release import Release
from claims.payers.answering import AnsweringConsumer
from claims.payers.client import PayerClient
from claims.payers.departure import Departure
from claims.payers.directory import Directory
from claims.payers.gates import Gates
from claims.payers.limits import limits_of
from claims.payers.mailbox import Mailboxes
from claims.payers.sending import SendingConsumer
from claims.silent import SilentClaims
from fhir_server.dead_letter import DeadLetterTasks
from fhir_server.dictionary import DictionaryTraining
from fhir_server.granting.in_time import tell_in_time
from fhir_server.labels.service import LabelService
from fhir_server.reindexing.worker import Reindexing
from fhir_server.repository import Repository
from fhir_server.store import Store
from ingest.consumer import MessageConsumer
from ingest.intake import Intake
from ingest.mllp import MllpServer
from ingest.telemetry.publishing import Publisher
from omop_bridge.concepts import shipped
from omop_bridge.database import open_cdm, open_lineage
from omop_bridge.deriving import Deriver
from omop_bridge.mapping.coding import Coder
from omop_bridge.mapping.rows import Profile
from omop_bridge.rebuild import rebuild, store_source
from omop_bridge.runs import FOLLOW
from omop_bridge.sync import OmopConsumer
from omop_bridge.writing import Writer
from predictions.calibration import DEMO_RECORD, read_record
from predictions.coder_model import SHIPPED
from predictions.pool import CoderPool
from predictions.risk.jobs import PredictionConsumer
from predictions.risk.reading import Limits
from smart_apps.server.authorizations import forget_ended
from terminology.icd10cm import load as load_icd10cm

HOUR_S = 3600.0


def consumers(kernel: Kernel, repository: Repository, pool: CoderPool) -> list[Consumer]:
    """Everybody who wants events."""
    return [
        MessageConsumer(kernel.database, repository, subject(kernel, "integration")),
        *_claims(kernel, repository),
        *_coding(kernel, repository, pool),
        _predicting(kernel, repository),
        omop_consumer(kernel, repository),
        DeadLetterTasks(repository, kernel.dead_letters, subject(kernel, "dead-letter")),
    ]


def _claims(kernel: Kernel, repository: Repository) -> list[Consumer]:
    chart = Chart(repository, subject(kernel, "claims"))
    directory, client, gates = _payers(kernel, chart)
    return [
        _assembling(kernel, chart),
        SendingConsumer(
            kernel.database,
            chart,
            directory,
            client,
            gates,
            kernel.audit,
            Departure(kernel.database, chart, subject(kernel, "payer")),
            limits_of(kernel.settings.claims),
        ),
        AnsweringConsumer(kernel.database, chart, directory),
    ]


def _assembling(kernel: Kernel, chart: Chart) -> ClaimConsumer:
    settings = kernel.settings
    release = Release(chart, kernel.database, kernel.outbox, settings, subject(kernel, "payer"), note_wait_s=settings.claims.note_wait_s)
    return ClaimConsumer(chart, Assembly(chart), release)


def _payers(kernel: Kernel, chart: Chart) -> tuple[Directory, PayerClient, Gates]:
    limits = limits_of(kernel.settings.claims)
    return Directory(chart), PayerClient(limits, allow_private=kernel.settings.egress.allow_private), Gates(kernel.database, limits)


def _coding(kernel: Kernel, repository: Repository, pool: CoderPool) -> list[Consumer]:
    settings, coder, icd, labeller = kernel.settings.coding, subject(kernel, "coding"), load_icd10cm(), LabelService()
    directory = settings.model_directory
    # A site's record lies beside its model; the record that ships counts in the demo alone (`route` refuses it elsewhere).
    record = read_record(directory / "calibration.json") if directory else read_record(DEMO_RECORD)
    ledger = ExampleLedger(kernel.settings.data / "training" / "examples.jsonl")
    return [
        AssignmentConsumer(repository, coder, pool, Policy(record, settings.demo), icd, labeller),
        CorrectionsConsumer(repository, coder, ledger, secret(kernel.settings.keys, "training.key"), icd, labeller),
    ]


def _predicting(kernel: Kernel, repository: Repository) -> PredictionConsumer:
    settings = kernel.settings.predictions
    limits = Limits(settings.lab_max_age_days, settings.vital_max_age_days)
    registry = risk_registry(kernel.settings)
    own = fhir_base(kernel.settings)
    return PredictionConsumer(
        kernel.database, repository, subject(kernel, "risk"), registry, limits=limits, min_interval_s=settings.min_interval_s, base=own
    )


def omop_consumer(kernel: Kernel, repository: Repository, kind: str = FOLLOW) -> OmopConsumer:
    """Who lets the research database follow; it opens that with its first event."""
    return OmopConsumer(kernel.database, repository, subject(kernel, "omop"), partial(omop_writer, kernel.settings), kind)


def omop_writer(settings: Settings) -> Writer:
    """The research databases, open for writing; whoever asks for them closes them."""
    profile = Profile(orders=settings.omop.orders, text=settings.omop.note_text)
    return Writer(open_cdm(settings.omop_url), open_lineage(settings.omop_lineage_url), Deriver(Coder(shipped()), profile))


def closers(engines: Collection[Consumer]) -> list[Callable[[], object]]:
    """What to call when the worker of these consumers has stopped."""
    return [engine.close for engine in engines if isinstance(engine, OmopConsumer)]


def coder_pool(kernel: Kernel, cores: frozenset[int]) -> CoderPool:
    """The process that runs the coder model, on any of these processors; whoever asks for it closes it."""
    settings = kernel.settings.coding
    model = settings.model_directory / SHIPPED.name if settings.model_directory else SHIPPED
    return CoderPool(model, timeout_s=settings.note_timeout_s, cores=cores)


def groups() -> list[Group]:
    """Every consumer as the bus sees it, without building one: for a replay."""
    every = (MessageConsumer, ClaimConsumer, SendingConsumer, AnsweringConsumer, AssignmentConsumer, CorrectionsConsumer, PredictionConsumer, OmopConsumer, DeadLetterTasks)
    return [Group(each.name, frozenset(each.types), frozenset(each.subjects), each.isolation) for each in every]


def periodics(kernel: Kernel, door: Door, *, only: Collection[str] = ()) -> list[Periodic]:
    """What every process does again and again, and the runner of what one process does for all; `only` picks by name."""
    settings = kernel.settings
    sealer = Sealer(kernel.database, settings.data, signing_key(settings.keys), heads_file=settings.audit.heads_file, anchor_file=settings.audit.anchor_file)
    training = DictionaryTraining(door.store)
    runner = JobRunner(kernel.database, jobs(kernel, door), lease_s=settings.worker.lease_s)
    found = [
        Periodic("seal", settings.audit.seal_interval_s, lambda: _seal(sealer)),
        Periodic("dictionary", 30.0, lambda: _train(training)),
        Periodic("keys", REFRESH_S, lambda: _refresh_keys(kernel)),
        Periodic("held-back", 10.0, lambda: _watch_held_back(kernel)),
        Periodic("jobs", settings.worker.poll_interval_s, runner.tick, runner.close),
    ]
    return [periodic for periodic in found if not only or periodic.name in only]


def jobs(kernel: Kernel, door: Door) -> list[Job]:
    """What is done on a schedule, by one process at a time."""
    settings, chart = kernel.settings, Chart(door.repository, subject(kernel, "claims"))
    mailboxes = Mailboxes(kernel.database, kernel.outbox, *_payers(kernel, chart), kernel.audit)
    publisher = telemetry_publisher(kernel, door.repository)
    return [
        *_asked_for(kernel, door),
        _job(mailboxes.periodic(settings.claims.poll_interval_s)),
        _job(_assembling(kernel, chart).periodic(settings.claims.draft_interval_s)),
        Job("telemetry", Every(settings.telemetry.publish_interval_s), lambda: _publish(publisher)),
        Job("reindex", Every(1.0), lambda: _reindex(door.store)),
        Job("claims-silent", Daily(6, 0, ZoneInfo(settings.audit.timezone)), _silent(kernel, chart).look),
        Job("consents-in-time", Daily(0, 5, ZoneInfo(settings.audit.timezone)), lambda: _tell_in_time(door.store)),
        Job("forget-audit", Daily(3, 10, ZoneInfo(settings.audit.timezone)), lambda: _forget_audit(kernel)),
        Job("forget-events", Every(HOUR_S), lambda: _forget_events(kernel)),
        Job("forget-tokens", Every(HOUR_S), lambda: _forget_tokens(kernel)),
    ]


def _job(periodic: Periodic) -> Job:
    """What a part calls periodic, as a job."""
    return Job(periodic.name, Every(periodic.interval_s), periodic.action)


def _asked_for(kernel: Kernel, door: Door) -> list[Job]:
    """Jobs that exist where the settings ask for them."""
    settings, found = kernel.settings, []
    if settings.predictions.retrain_days and settings.predictions.retrain_label_source:
        found.append(Job("retrain-risk", Every(settings.predictions.retrain_days * DAY_S), lambda: retrain(kernel, door.repository)))
    if settings.omop.rebuild_days:
        found.append(Job("omop-rebuild", Every(settings.omop.rebuild_days * DAY_S), lambda: _rebuild_research(kernel, door.repository)))
    return found


def _rebuild_research(kernel: Kernel, repository: Repository) -> None:
    writer = omop_writer(kernel.settings)
    try:
        rebuild(writer, store_source(repository, subject(kernel, "omop")))
    finally:
        writer.close()


def _silent(kernel: Kernel, chart: Chart) -> SilentClaims:
    settings = kernel.settings.claims
    return SilentClaims(kernel.database, chart, settings.silent_business_days, settings.silent_days)


def _tell_in_time(store: Store) -> None:
    tell_in_time(store)


def _publish(publisher: Publisher) -> None:
    publisher.publish()


def _seal(sealer: Sealer) -> None:
    sealer.seal()


def _forget_audit(kernel: Kernel) -> None:
    prune(kernel.database, kernel.settings.data, kernel.settings.audit.retention_years)


def _refresh_keys(kernel: Kernel) -> None:
    if kernel.vault is not None:
        kernel.vault.refresh()


def _forget_tokens(kernel: Kernel) -> None:
    kernel.database.write(forget_expired)
    kernel.database.write(forget_ended)


def _train(training: DictionaryTraining) -> None:
    training.run()


def _reindex(store: Store) -> None:
    Reindexing(store).run()


def _forget_events(kernel: Kernel) -> None:
    forget_events(kernel.database, kernel.settings.worker.retention_s)


def _watch_held_back(kernel: Kernel) -> None:
    watch_held_back(kernel.database, kernel.settings.database.held_alarm_s)


def listener(kernel: Kernel) -> MllpServer:
    """The MLLP listener."""
    intake = Intake(kernel.database, kernel.outbox, kernel.audit)
    return MllpServer(kernel.settings.mllp, intake, tls=mllp_tls(kernel.settings.mllp))


def subject(kernel: Kernel, engine: str) -> Subject:
    """Who an engine is; the policies know its role."""
    return engine_subject(kernel.access.policies, engine)
