"""The processes that keep running: HTTP on granian, consumers, MLLP listener, review app."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import socket
import threading
from collections.abc import Callable, Mapping
from multiprocessing import parent_process
from multiprocessing.util import Finalize

from granian import Granian
from granian.constants import Interfaces, RuntimeModes, SSLProtocols
from granian.http import HTTP1Settings
from granian.log import LogLevels

from chartloop.app import fhir_base, open_door, open_kernel
from chartloop.engines import closers, coder_pool, consumers, listener, periodics
from chartloop.kernel import auth
from chartloop.kernel.affinity import cores, stay_on_one_core
from chartloop.kernel.audit.noticing import notice_policies
from chartloop.kernel.config import Settings, export_environment, load_settings
from chartloop.kernel.db import OneRow
from chartloop.kernel.errors import Conflict, Invalid
from chartloop.kernel.http import WsgiApp
from chartloop.kernel.logs import configure_logs
from chartloop.kernel.process_lock import ProcessLock
from chartloop.kernel.tls import refuse_in_the_open
from chartloop.kernel.vault.opening import warn_of_place
from chartloop.kernel.worker import Worker
from chartloop.ready import Readiness
from chartloop.schema import bring_up
from chartloop.securing import PROXY, http_files, mllp_tls
from chartloop.signals import wake_for_signals
from chartloop.web import build_wsgi
from fhir_server.background.jobs import AsyncJobs
from fhir_server.background.runner import AsyncRunner

PR_SET_PDEATHSIG = 1
OF_EVERY_PROCESS = frozenset({"seal", "dictionary"})
ONE_WRITER = "On SQLite one process owns the store: `chartloop serve` runs the consumers and the listener. Set CHARTLOOP_DATABASE__URL to PostgreSQL to run them apart."


def serve_http(settings: Settings, said: Mapping[str, str]) -> None:
    """Serve until a signal ends it.

    Args:
        settings: The effective settings.
        said: What the command line said, as environment for granian's worker, which reads the settings anew.

    Raises:
        Conflict: On SQLite, another process serves the same directory; or a port is taken.
    """
    configure_logs(settings.log)
    secured = http_files(settings.server)
    _refuse_taken(settings.server.host, settings.server.port)
    if settings.embedded:
        mllp_tls(settings.mllp)
        ProcessLock(settings.data).release()  # say so here, in one sentence; the worker holds it
        _refuse_taken(settings.mllp.host, settings.mllp.port)
    bring_up(settings)
    warn_of_place(settings.vault, settings.keys, settings.data)
    export_environment(said)
    wake_for_signals()
    Granian(
        "chartloop.serving:wsgi",
        address=settings.server.host,
        port=settings.server.port,
        interface=Interfaces.WSGI,
        factory=True,
        # Its other way to run loses the wake-up of a stop that finds no connection open (granian 2.8, src/serve.rs: a condition variable is
        # waited for without a look at what it stands for), and then never ends.
        runtime_mode=RuntimeModes.st,
        workers=1 if settings.embedded else settings.server.processes,
        blocking_threads=settings.server.threads,
        blocking_threads_idle_timeout=600,
        backpressure=settings.server.threads * 8,
        log_level=LogLevels.error,  # it warns of as many threads as clients, which is what durable reads want
        websockets=False,
        # A stop waits for connections on which a request may begin: so long, and well below what supervisors wait.
        http1_settings=HTTP1Settings(header_read_timeout=10_000),
        ssl_cert=secured.certificate if secured else None,
        ssl_key=secured.key if secured else None,
        ssl_ca=secured.client_ca if secured else None,
        ssl_client_verify=bool(secured and secured.client_ca),
        ssl_protocol_min=SSLProtocols.tls12,
    ).serve()


def wsgi() -> WsgiApp:
    """Build one server process: granian calls this in its worker."""
    settings = load_settings()
    configure_logs(settings.log)
    _end_with_parent()
    ending = threading.Event()
    wake_for_signals(ending.set)
    everywhere = cores()
    if settings.embedded and settings.server.one_core:
        stay_on_one_core()
    lock = ProcessLock(settings.data) if settings.embedded else None
    kernel = open_kernel(settings)
    notice_policies(kernel.database, kernel.audit, kernel.access.policies.hash)
    door, ready = open_door(kernel), Readiness(kernel, ending)
    stops: list[Callable[[], object]] = []
    if settings.embedded:
        kernel.bus.take_over()
        pool = coder_pool(kernel, everywhere)
        engines = consumers(kernel, door.repository, pool)
        worker = Worker(kernel.database, kernel.bus, engines, periodics(kernel, door), settings.worker)
        mllp = listener(kernel)
        worker.start()
        ready.watch(worker)
        mllp.start()
        stops = [mllp.stop, worker.stop, pool.close, *closers(engines)]  # a note that is being coded is finished first
    else:
        # The processes of their own run the consumers; the sealer of this process's reads runs here.
        sealing = Worker(kernel.database, kernel.bus, [], periodics(kernel, door, only=OF_EVERY_PROCESS), settings.worker)
        sealing.start()
        ready.watch(sealing)
        stops = [sealing.stop]
    fhir = settings.fhir
    jobs = AsyncJobs(door.store, per_subject=fhir.async_jobs_per_subject, keep_h=fhir.async_keep_h, revoked=_revoked)
    later = AsyncRunner(jobs, fhir.async_threads)
    app = build_wsgi(kernel, door.repository, later, ready)
    stops[:0] = [ready.stop, later.stop]
    _calm_collector()

    def close() -> None:
        for stop in stops:
            stop()
        kernel.__exit__(None, None, None)
        if lock is not None:
            lock.release()

    # A multiprocessing child leaves without atexit; its finalizers run.
    Finalize(None, close, exitpriority=10)
    return app


def _revoked(session: OneRow, token: str) -> bool:
    """Ask whether the token of a job was revoked."""
    return auth.is_revoked(session, bytes.fromhex(token))


def run_worker(settings: Settings) -> None:
    """Run the consumers alone, until a signal ends it."""
    configure_logs(settings.log)
    _refuse_sqlite(settings)
    with open_kernel(settings) as kernel:
        notice_policies(kernel.database, kernel.audit, kernel.access.policies.hash)
        door, pool = open_door(kernel), coder_pool(kernel, cores())
        engines = consumers(kernel, door.repository, pool)
        worker = Worker(kernel.database, kernel.bus, engines, periodics(kernel, door), settings.worker)
        worker.start()
        _wait_for_signal()
        for stop in (worker.stop, pool.close, *closers(engines)):
            stop()


def run_listener(settings: Settings) -> None:
    """Run the MLLP listener alone, until a signal ends it."""
    configure_logs(settings.log)
    _refuse_sqlite(settings)
    mllp_tls(settings.mllp)
    _refuse_taken(settings.mllp.host, settings.mllp.port)
    with open_kernel(settings) as kernel:
        mllp = listener(kernel)
        mllp.start()
        _wait_for_signal()
        mllp.stop()


def run_apps(settings: Settings, host: str, port: int, issuers: tuple[str, ...]) -> None:
    """Run the review app and the explanation page, until a signal ends it."""
    from smart_apps.coder_app.asgi import run  # noqa: PLC0415 Streamlit takes seconds to import
    from smart_apps.coder_app.settings import review_app  # noqa: PLC0415
    from smart_apps.explainer.routes import explainer_routes  # noqa: PLC0415
    from smart_apps.explainer.settings import explainer  # noqa: PLC0415

    allowed = settings.server.behind_proxy or settings.server.insecure
    refuse_in_the_open(host, secured=False, allowed=allowed, section="server", instead=f"{PROXY} in front of the apps, which speak no TLS themselves")
    ehrs = issuers or (fhir_base(settings),)
    beside = explainer_routes(explainer(settings.apps.explainer_launch_url.removesuffix("/launch"), ehrs))
    run(review_app(settings.apps.review_url, ehrs), host, port, beside)


def _refuse_sqlite(settings: Settings) -> None:
    if settings.embedded:
        raise Invalid(ONE_WRITER)


def _refuse_taken(host: str, port: int) -> None:
    """Say in one sentence that a port is taken: granian would share it, and each of two servers would get some of the requests."""
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as error:
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else "no such address"
        raise Conflict(f"Cannot listen on {host}, port {port}: {why}.") from None


def _wait_for_signal() -> None:
    wake_for_signals()
    done = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: done.set())
    done.wait()


def _calm_collector() -> None:
    """What was built at the start stays: the cycle collector need not look at it again and again under the write lock."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def _end_with_parent() -> None:
    """Let the kernel end this process when granian's main process is killed: nobody would hold its port and store."""
    if parent_process() is None:
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == 1:
        os.kill(os.getpid(), signal.SIGKILL)


