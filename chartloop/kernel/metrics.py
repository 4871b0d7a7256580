"""Metrics: raw signals with their unit in the name; every series is there from the start, as zero."""

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from chartloop.kernel import clock
from chartloop.kernel.broker_table import NEVER
from chartloop.kernel.db_session import Database, Session
from chartloop.kernel.held_back import held_back

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_FAST_S = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

INTERACTIONS = ("read", "vread", "search", "history", "create", "update", "patch", "delete", "bundle", "card", "page", "other")
"""What a request is counted as: FHIR interactions, CDS Hooks calls, pages for people, everything else."""

METRICS: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "chartloop_http_requests_total": ("counter", "Answers by interaction and status.", ("interaction", "status")),
    "chartloop_http_request_seconds": ("histogram", "Time to answer.", ("interaction",)),
    "chartloop_hl7v2_messages": ("gauge", "HL7 v2 messages in the log by state.", ("state",)),
    "chartloop_events_waiting": ("gauge", "Events by consumer and state: ready, held until their next try, parked by a dead letter.", ("consumer", "state")),
    "chartloop_events_oldest_age_seconds": ("gauge", "Age of the oldest event that waits.", ("consumer",)),
    "chartloop_events_behind": ("gauge", "Events that the consumer has not looked at yet.", ("consumer",)),
    "chartloop_events_held_back": ("gauge", "Events that are stored, and that no consumer may see while an older transaction of the PostgreSQL cluster runs.", ()),
    "chartloop_events_held_back_age_seconds": ("gauge", "Age of the oldest of them.", ()),
    "chartloop_payer_calls_total": ("counter", "Calls to a payer by lane (sending, mailbox) and outcome; an empty mailbox is not counted.", ("payer", "lane", "outcome")),
    "chartloop_payer_shed_total": ("counter", "Interchanges that went back to the queue without a call: the payer rests, is busy, or had its calls of this second.", ("payer", "reason")),
    "chartloop_payer_breaker": ("gauge", "Breaker of a payer's lane: 0 closed, 1 half-open, 2 open.", ("payer", "lane")),
    "chartloop_payer_waiting": ("gauge", "Interchanges of a payer by state: queued, sending, unknown.", ("payer", "state")),
    "chartloop_payer_oldest_age_seconds": ("gauge", "Age of a payer's oldest interchange that is queued or being sent.", ("payer",)),
    "chartloop_dead_letters": ("gauge", "Dead letters that wait for a decision.", ()),
    "chartloop_audit_disagrees": ("gauge", "1 where the audit log and the places of its tree heads disagree, so that nothing is sealed.", ()),
    "chartloop_audit_unsealed": ("gauge", "Changes in the audit log that no signed tree head covers yet.", ()),
}
"""Every metric: its type, what it means, its labels."""


class Metrics:
    """The metrics of one process, on a registry that is passed in."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        """Declare the metrics."""
        self.registry = registry or CollectorRegistry()
        self.requests = Counter(*_declared("chartloop_http_requests_total"), registry=self.registry)
        self.request_seconds = Histogram(*_declared("chartloop_http_request_seconds"), buckets=_FAST_S, registry=self.registry)
        for interaction in INTERACTIONS:
            self.request_seconds.labels(interaction)

    def render(self) -> bytes:
        """Write everything in the text format."""
        return generate_latest(self.registry)


class BusCollector(Collector):
    """What waits on the table bus, read when somebody asks; when it cannot be read it is absent, not stale."""

    def __init__(self, database: Database) -> None:
        """Read from this database."""
        self._db = database

    def collect(self) -> Iterable[Metric]:
        """Read the queues."""
        with self._db.read() as session:
            yield from _queues(session)


def _declared(name: str) -> tuple[str, str, tuple[str, ...]]:
    _, meaning, labels = METRICS[name]
    return name, meaning, labels


def _gauge(name: str) -> GaugeMetricFamily:
    name, meaning, labels = _declared(name)
    return GaugeMetricFamily(name, meaning, labels=labels)


def _queues(session: Session) -> Iterator[Metric]:
    depth, age = _gauge("chartloop_events_waiting"), _gauge("chartloop_events_oldest_age_seconds")
    behind = _gauge("chartloop_events_behind")
    for consumer, ready, held, parked, oldest in session.all(_WAITING, (NEVER, NEVER)):
        for state, count in (("ready", ready), ("held", held), ("parked", parked)):
            depth.add_metric([consumer, state], float(count))
        age.add_metric([consumer], 0.0 if oldest is None else max(0.0, (clock.now_us() - oldest) / 1e6))
    for consumer, count in session.all(_BEHIND):
        behind.add_metric([consumer], float(count))
    yield from (depth, age, behind)
    held = held_back(session)
    for name, value in (("chartloop_events_held_back", held.events), ("chartloop_events_held_back_age_seconds", held.age_s)):
        gauge = _gauge(name)
        gauge.add_metric([], float(value))
        yield gauge
    for name, statement in _COUNTS:
        row = session.one(statement)
        gauge = _gauge(name)
        gauge.add_metric([], float(row[0]) if row else 0.0)
        yield gauge


_WAITING = (
    "SELECT c.consumer,"
    " coalesce(sum(CASE WHEN d.id IS NOT NULL AND h.due IS NULL THEN 1 ELSE 0 END), 0),"
    " coalesce(sum(CASE WHEN h.due < ? THEN 1 ELSE 0 END), 0), coalesce(sum(CASE WHEN h.due = ? THEN 1 ELSE 0 END), 0),"
    " min(e.recorded)"
    " FROM event_cursor c LEFT JOIN delivery d ON d.consumer = c.consumer LEFT JOIN event e ON e.seq = d.seq"
    " LEFT JOIN delivery_hold h ON h.consumer = d.consumer AND h.key = d.key GROUP BY c.consumer ORDER BY c.consumer"
)
_BEHIND = "SELECT c.consumer, (SELECT count(*) FROM event e WHERE (e.xid, e.seq) > (c.xid, c.seq)) FROM event_cursor c ORDER BY c.consumer"
_UNSEALED = (
    "SELECT count(*) FROM audit_change c WHERE (c.xid, c.seq) >"
    " (coalesce((SELECT change_xid FROM audit_head ORDER BY size DESC LIMIT 1), -1),"
    " coalesce((SELECT change_seq FROM audit_head ORDER BY size DESC LIMIT 1), 0))"
)
_COUNTS = (
    ("chartloop_dead_letters", "SELECT count(*) FROM dead_letter"),
    ("chartloop_audit_disagrees", "SELECT count(*) FROM audit_state WHERE name = 'anchor-mismatch'"),
    ("chartloop_audit_unsealed", _UNSEALED),
)
