"""A body that arrives slowly at the whole server: whoever comes after it is told to come again, and reads go on."""

import threading
from pathlib import Path

import pytest
from werkzeug.test import Client, EnvironBuilder

from chartloop.app import open_door, open_kernel
from chartloop.kernel.config import load_settings
from chartloop.web import build_wsgi
from tests.unit.kernel.test_bodies import Slow


@pytest.mark.conformance("Attacks", "93: a slow body holds one place and others are told to come again")
@pytest.mark.parametrize("path", ["/oauth/token", "/cds-services/stroke-risk"])
def test_a_slow_body_holds_one_place_and_others_are_told_to_come_again(tmp_path: Path, path: str) -> None:
    kind = "application/json" if path.startswith("/cds") else "application/x-www-form-urlencoded"
    with open_kernel(load_settings({"data": tmp_path, "server": {"threads": 1}})) as kernel:
        app, slow = build_wsgi(kernel, open_door(kernel).repository), Slow()
        environ = EnvironBuilder(path, method="POST", content_type=kind).get_environ() | {"wsgi.input": slow, "CONTENT_LENGTH": "9"}
        thread = threading.Thread(target=lambda: list(app(environ, lambda *_: None)), daemon=True)
        thread.start()
        assert slow.waiting.wait(30)
        refused = Client(app).post(path, data=b"a=b", content_type=kind)
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        assert Client(app).get("/healthz").status_code == 200
        slow.go.set()
        thread.join(30)
        assert Client(app).post(path, data=b"a=b", content_type=kind).status_code in (400, 401)
