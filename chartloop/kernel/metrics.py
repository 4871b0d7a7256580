"""Metrics: raw signals with their unit in the name; every series is there from the start, as zero."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_FAST_S = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

INTERACTIONS = ("read", "vread", "search", "history", "create", "update", "patch", "delete", "bundle", "card", "page", "other")
"""What a request is counted as: FHIR interactions, CDS Hooks calls, pages for people, everything else."""

STATUSES = ("200", "401", "403", "404", "429", "500", "503")
"""Statuses that are counted from the start, so that the first of them is seen as a rise."""

METRICS: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "chartloop_http_requests_total": ("counter", "Answers by interaction and status.", ("interaction", "status")),
    "chartloop_http_request_seconds": ("histogram", "Time to answer.", ("interaction",)),
    "chartloop_hl7v2_messages": ("gauge", "HL7 v2 messages in the log by state.", ("state",)),
    "chartloop_events_waiting": ("gauge", "Events by consumer and state: ready, held until their next try, parked by a dead letter.", ("consumer", "state")),
    "chartloop_events_oldest_age_seconds": ("gauge", "Age of the oldest event that waits or was not looked at; what a dead letter parks waits for a person and is not counted.", ("consumer",)),
    "chartloop_events_behind": ("gauge", "Events that the consumer has not looked at yet.", ("consumer",)),
    "chartloop_events_held_back": ("gauge", "Events that are stored, and that no consumer may see while an older transaction of the PostgreSQL cluster runs.", ()),
    "chartloop_events_held_back_age_seconds": ("gauge", "Age of the oldest of them.", ()),
    "chartloop_payer_calls_total": ("counter", "Calls to a payer by lane (sending, mailbox) and outcome; an empty mailbox is not counted.", ("payer", "lane", "outcome")),
    "chartloop_payer_shed_total": ("counter", "Interchanges that went back to the queue without a call: the payer rests, is busy, or had its calls of this second.", ("payer", "reason")),
    "chartloop_payer_breaker": ("gauge", "Breaker of a payer's lane: 0 closed, 1 half-open, 2 open.", ("payer", "lane")),
    "chartloop_payer_waiting": ("gauge", "Interchanges of a payer by state: queued, sending, unknown.", ("payer", "state")),
    "chartloop_payer_oldest_age_seconds": ("gauge", "Age of a payer's oldest interchange that is queued or being sent.", ("payer",)),
    "chartloop_events_retried_total": ("counter", "Events that a consumer failed on and that are tried again.", ("consumer",)),
    "chartloop_dead_letters": ("gauge", "Dead letters that wait for a decision.", ("consumer",)),
    "chartloop_workers": ("gauge", "Processes that work on events now.", ()),
    "chartloop_job_runs_total": ("counter", "Runs of a job by outcome: done, failed.", ("name", "outcome")),
    "chartloop_job_failures_in_a_row": ("gauge", "Failures of a job since it last went well.", ("name",)),
    "chartloop_job_late_seconds": ("gauge", "How long a job is overdue; 0 for one that is paused.", ("name",)),
    "chartloop_job_last_run_seconds": ("gauge", "How long the last run of a job took.", ("name",)),
    "chartloop_job_paused": ("gauge", "1 where an operator paused a job.", ("name",)),
    "chartloop_audit_disagrees": ("gauge", "1 where the audit log and the places of its tree heads disagree, so that nothing is sealed.", ()),
    "chartloop_audit_unsealed": ("gauge", "Changes in the audit log that no signed tree head covers yet.", ()),
    "chartloop_audit_seal_lag_seconds": ("gauge", "Age of the newest signed tree head while changes wait for one, else 0.", ()),
    "chartloop_disk_free_bytes": ("gauge", "Room that is left where the data directory is.", ()),
    "chartloop_disk_size_bytes": ("gauge", "Room that there is in all where the data directory is.", ()),
    "chartloop_scrape_failed": ("gauge", "1 where a part of this page could not be read and is left out, else 0.", ("part",)),
}
"""Every metric: its type, what it means, its labels."""


class Metrics:
    """The metrics of one process, on a registry that is passed in."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        """Declare the metrics."""
        self.registry = registry or CollectorRegistry()
        self.requests = Counter(*declared("chartloop_http_requests_total"), registry=self.registry)
        self.request_seconds = Histogram(*declared("chartloop_http_request_seconds"), buckets=_FAST_S, registry=self.registry)
        for interaction in INTERACTIONS:
            self.request_seconds.labels(interaction)
            for status in STATUSES:
                self.requests.labels(interaction, status)

    def render(self) -> bytes:
        """Write everything in the text format."""
        return generate_latest(self.registry)


def declared(name: str) -> tuple[str, str, tuple[str, ...]]:
    """Name, meaning and labels of a metric, as the classes of prometheus_client take them."""
    _, meaning, labels = METRICS[name]
    return name, meaning, labels
