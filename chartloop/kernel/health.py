"""Health, readiness and metrics as a Flask blueprint."""

import json
import logging
from collections.abc import Callable, Mapping

from flask import Blueprint, Response

from chartloop.kernel.db_session import Database
from chartloop.kernel.errors import ChartloopError
from chartloop.kernel.metrics import CONTENT_TYPE, Metrics

Check = Callable[[], None]


def database_check(database: Database) -> Check:
    """Ask the database whether it answers."""

    def check() -> None:
        with database.read() as session:
            session.one("SELECT 1")

    return check


def health_blueprint(checks: Mapping[str, Check], metrics: Metrics) -> Blueprint:
    """Make /healthz (the process lives), /readyz (every check passes) and /metrics."""
    blueprint = Blueprint("health", __name__)

    @blueprint.get("/healthz")
    def healthz() -> Response:
        return _json({"status": "ok"}, 200)

    @blueprint.get("/readyz")
    def readyz() -> Response:
        states = {name: _passes(name, check) for name, check in checks.items()}
        ready = all(states.values())
        return _json({"ready": ready, "checks": states}, 200 if ready else 503)

    @blueprint.get("/metrics")
    def render() -> Response:
        return Response(metrics.render(), content_type=CONTENT_TYPE)

    return blueprint


def _passes(name: str, check: Check) -> bool:
    try:
        check()
    except ChartloopError as error:
        logging.getLogger(__name__).warning("Not ready: %s", error, extra={"action": "ready.failed", "check": name})
        return False
    except Exception:
        logging.getLogger(__name__).exception("A readiness check failed.", extra={"action": "ready.failed", "check": name})
        return False
    return True


def _json(content: object, status: int) -> Response:
    return Response(json.dumps(content), status=status, content_type="application/json")
