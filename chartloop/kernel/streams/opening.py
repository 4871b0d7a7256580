"""Opens the bus that the settings name. What speaks to a broker is imported when one is named: the table bus needs no package."""

import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chartloop.kernel.broker_table import TableBus
from chartloop.kernel.config import Settings
from chartloop.kernel.db_session import Database
from chartloop.kernel.errors import Invalid, Unavailable
from chartloop.kernel.settings_sections import BusSettings
from chartloop.kernel.streams.address import Address, address_of
from chartloop.kernel.streams.bus import Pace, StreamBus
from chartloop.kernel.streams.ports import Stream, StreamBroken

if TYPE_CHECKING:
    from chartloop.kernel.streams.kafka import KafkaStream
    from chartloop.kernel.streams.kinesis import KinesisStream


def open_bus(settings: Settings, database: Database, source: str) -> TableBus:
    """Open the bus; nothing travels before somebody subscribes.

    Args:
        settings: The effective settings.
        database: Where the outbox is.
        source: The URI that events name as theirs.

    Raises:
        Invalid: The settings do not fit together, or the package of the broker is not installed.
    """
    stream = open_stream(settings)
    if stream is None:
        return TableBus(database, lanes=settings.worker.lanes)
    bus, worker = settings.bus, settings.worker
    pace = Pace(bus.partitions, bus.most_waiting, worker.poll_interval_s, worker.lease_s, create=bus.create)
    return StreamBus(database, stream, pace, lanes=worker.lanes, source=source)


def open_stream(settings: Settings) -> Stream | None:
    """The stream that the settings name; None for the table bus.

    Raises:
        Invalid: The settings do not fit together, or the package of the broker is not installed.
    """
    address = address_of(settings.bus.url)
    if address.kind == "table":
        return None
    try:
        return _kafka(address, settings) if address.kind == "kafka" else _kinesis(address, settings)
    except ModuleNotFoundError as error:
        raise Invalid(f"bus.url needs the package {error.name}: pip install 'chartloop[{address.kind}]'.") from None


def create_topics(settings: Settings) -> list[str] | None:
    """Make the topics that are missing, and return their names; None where the table bus needs none.

    Raises:
        Invalid: The settings do not fit together.
        Unavailable: The broker does not answer, or refuses.
    """
    stream = open_stream(settings)
    try:
        return None if stream is None else stream.create()
    except StreamBroken as error:
        raise Unavailable(f"The topics could not be made: {error}. See whether the brokers of bus.url answer, and what this account may do.") from None


def _kafka(address: Address, settings: Settings) -> "KafkaStream":
    from chartloop.kernel.streams.kafka import KafkaStream, Topic  # noqa: PLC0415 an extra

    bus = settings.bus
    topic = Topic(bus.topic, bus.partitions, bus.copies, settings.worker.retention_s)
    return KafkaStream(topic, client_settings(address, bus), session_timeout_s=bus.session_timeout_s)


def _kinesis(address: Address, settings: Settings) -> "KinesisStream":
    from chartloop.kernel.streams.kinesis import KinesisName, KinesisStream  # noqa: PLC0415 an extra

    bus = settings.bus
    name = KinesisName(address.region, address.stream, bus.partitions, settings.worker.retention_s, bus.endpoint)
    return KinesisStream(name, poll_s=bus.kinesis_poll_s)


def client_settings(address: Address, bus: BusSettings) -> dict[str, Any]:
    """How librdkafka reaches the brokers: addresses, TLS, account.

    Raises:
        Invalid: Events would travel in clear to another machine, or files and account do not fit the protocol.
    """
    tls, sasl = bus.security.endswith("SSL"), bus.security.startswith("SASL")
    if not (tls or bus.insecure or address.at_home):
        raise Invalid("The brokers are on other machines, and events name patients' records: set bus.security to SSL or SASL_SSL, or bus.insecure on a network of one's own.")
    client: dict[str, Any] = {"bootstrap.servers": ",".join(address.servers), "security.protocol": bus.security, "client.id": "chartloop"}
    if tls:
        files = {"ca": bus.ca, "certificate": bus.certificate, "key": bus.key}
        client |= {f"ssl.{name}.location": str(_there(f"bus.{name}", file)) for name, file in files.items() if file is not None}
        if bus.key is not None:
            _private("bus.key", bus.key)
    if sasl:
        password = _password(bus)
        if not (bus.user and password):
            raise Invalid("bus.security asks for an account: set bus.user, and bus.password or bus.password_file.")
        client |= {"sasl.mechanism": bus.mechanism, "sasl.username": bus.user, "sasl.password": password}
    return client


def _password(bus: BusSettings) -> str:
    if bus.password_file is None:
        return bus.password.get_secret_value()
    _private("bus.password_file", _there("bus.password_file", bus.password_file))
    return bus.password_file.read_text(encoding="utf-8").strip()


def _there(name: str, file: Path) -> Path:
    if not file.is_file():
        raise Invalid(f"{name}: there is no file {file}.")
    return file


def _private(name: str, file: Path) -> None:
    if file.stat().st_mode & stat.S_IRWXO:
        raise Invalid(f"{name}: everybody may read {file}; chmod 600 it, or 640 for a group that holds keys.")
