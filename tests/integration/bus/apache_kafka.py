"""Apache Kafka itself, for who has it: three brokers, TLS with certificates on both sides, an account proved by SCRAM-SHA-512.

Needs Java, and the `libs` folder of a release of Apache Kafka (4.0 or newer) in APACHE_KAFKA_LIBS. Then every test of the Kafka adapter runs on this
cluster: `APACHE_KAFKA_LIBS=/opt/kafka/libs python -m pytest tests/integration/bus -k kafka`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, Self

from confluent_kafka.admin import AdminClient

from chartloop.demo.processes import free_port
from chartloop.kernel.settings_sections import BusSettings
from chartloop.kernel.streams.address import address_of
from chartloop.kernel.streams.opening import client_settings
from tests.integration.transport.certificates import Authority

from .brokers import until_it_answers

LIBS = Path(os.environ["APACHE_KAFKA_LIBS"]) if os.environ.get("APACHE_KAFKA_LIBS") else None
BROKERS = (1, 2, 3)
START_S = 120
CLUSTER_ID = "Y2hhcnRsb29wLXRlc3RzMQ"
USER, PASSWORD = "chartloop", "seven-quiet-herons"

_PROPERTIES = """
process.roles=broker,controller
node.id={number}
controller.quorum.voters={voters}
controller.listener.names=CONTROLLER
inter.broker.listener.name=INSIDE
listeners=CLIENTS://127.0.0.1:{clients},INSIDE://127.0.0.1:{inside},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=CLIENTS://127.0.0.1:{clients},INSIDE://127.0.0.1:{inside}
listener.security.protocol.map=CLIENTS:SASL_SSL,INSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT
sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.clients.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.clients.ssl.client.auth=required
ssl.keystore.type=PEM
ssl.keystore.location={keystore}
ssl.truststore.type=PEM
ssl.truststore.location={authority}
default.replication.factor=3
offsets.topic.replication.factor=3
offsets.topic.num.partitions=3
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
min.insync.replicas=2
group.initial.rebalance.delay.ms=0
log.dirs={logs}
"""


class ApacheKafka:
    """A cluster of three on 127.0.0.1; `settings` are those of the bus that reach it."""

    def __init__(self, directory: Path) -> None:
        if LIBS is None:
            message = "Set APACHE_KAFKA_LIBS to the folder of the jars of Apache Kafka."
            raise FileNotFoundError(message)
        self._directory = directory
        self._ports = {number: {name: free_port(0) for name in ("clients", "inside", "controller")} for number in BROKERS}
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self.url = "kafka://" + ",".join(f"127.0.0.1:{ports['clients']}" for ports in self._ports.values())
        authority = Authority(directory, "hospital")
        self._authority, self._keystore = authority.file, directory / "kafka.pem"
        own = authority.issue("kafka")
        self._keystore.write_bytes(own[1].read_bytes() + own[0].read_bytes())
        certificate, key = authority.issue("worker")
        self.settings: dict[str, Any] = {"security": "SASL_SSL", "ca": authority.file, "certificate": certificate, "key": key, "user": USER, "password": PASSWORD}

    def __enter__(self) -> Self:
        try:
            for number in BROKERS:
                self._format(number)
            for number in BROKERS:
                self.start(number)
            self.until_all_answer()
        except BaseException:
            self.__exit__()  # nobody else ends what has started
            raise
        return self

    def __exit__(self, *error: object) -> None:
        for number in BROKERS:
            self.kill(number)
        shutil.rmtree(self._directory / "logs", ignore_errors=True)

    def start(self, number: int) -> None:
        """Start one of the three; it finds what it held."""
        command = [*self._java("kafka.Kafka"), str(self._file(number))]
        with (self._directory / f"broker-{number}.log").open("ab") as log:
            self._processes[number] = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self._directory)

    def kill(self, number: int) -> None:
        """End one of the three without a word."""
        if number in self._processes:
            process = self._processes.pop(number)
            process.kill()
            process.wait()

    def _file(self, number: int) -> Path:
        return self._directory / f"broker-{number}.properties"

    def _format(self, number: int) -> None:
        voters = ",".join(f"{each}@127.0.0.1:{ports['controller']}" for each, ports in self._ports.items())
        logs = self._directory / "logs" / str(number)
        said = {"number": number, "voters": voters, "keystore": self._keystore, "authority": self._authority, "logs": logs, **self._ports[number]}
        self._file(number).write_text(_PROPERTIES.format(**said))
        account = f"SCRAM-SHA-512=[name={USER},password={PASSWORD}]"
        command = [*self._java("kafka.tools.StorageTool"), "format", "--cluster-id", CLUSTER_ID, "--config", str(self._file(number)), "--add-scram", account]
        subprocess.run(command, check=True, capture_output=True, timeout=START_S)

    def _java(self, program: str) -> list[str]:
        return ["java", "-Xmx384m", "-cp", f"{LIBS}/*", program]

    def until_all_answer(self) -> None:
        """Wait until the three are there and let the account in."""
        client = client_settings(address_of(self.url), BusSettings(url=self.url, **self.settings))
        admin = AdminClient({**client, "log_level": 0})

        def ask() -> None:
            if len(admin.list_topics(timeout=2).brokers) < len(BROKERS):
                raise ConnectionError

        for process in self._processes.values():
            until_it_answers(ask, process, START_S)
