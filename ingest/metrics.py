"""How many HL7 v2 messages are in which state, read from the log when somebody asks."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from chartloop.kernel.db import Database
from chartloop.kernel.metrics import METRICS
from ingest.message_log import counts

NAME = "chartloop_hl7v2_messages"


class MessageCollector(Collector):
    """Messages by state, zeroes included."""

    def __init__(self, database: Database) -> None:
        """Read from this database."""
        self._database = database

    def collect(self) -> Iterable[Metric]:
        """Read the log."""
        _, meaning, labels = METRICS[NAME]
        family = GaugeMetricFamily(NAME, meaning, labels=labels)
        with self._database.read() as session:
            for state, count in counts(session).items():
                family.add_metric([state], float(count))
        yield family
