"""Telemetry put together: where payloads of devices enter, and who writes the Observations made of them."""

from __future__ import annotations

from chartloop.app import Kernel
from chartloop.kernel.access.engines import engine_subject
from fhir_server.repository import Repository
from ingest.telemetry.intake import TelemetryIntake
from ingest.telemetry.publishing import Publisher


def telemetry_publisher(kernel: Kernel, repository: Repository) -> Publisher:
    """Who writes Observations of telemetry."""
    return Publisher(kernel.database, repository, engine_subject(kernel.access.policies, "integration"))


def telemetry_intake(kernel: Kernel, repository: Repository) -> TelemetryIntake:
    """Where payloads of devices enter."""
    settings = kernel.settings
    return TelemetryIntake(kernel.database, telemetry_publisher(kernel, repository), settings.data, settings.telemetry)
