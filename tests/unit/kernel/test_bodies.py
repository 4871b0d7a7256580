"""Bodies that arrive slowly take a few places, and never all of them."""

import io
import threading

import pytest

from chartloop.kernel.bodies import places_of, with_bounded_bodies
from chartloop.kernel.errors import Unavailable


class Slow:
    """A body whose second byte comes when it is let go."""

    def __init__(self):
        self.waiting, self.go = threading.Event(), threading.Event()

    def read(self, size=-1):
        self.waiting.set()
        self.go.wait(30)
        return b""


def reading(environ, _start):
    return [environ["wsgi.input"].read(10)]


def environ(path, body, method="POST", length="2"):
    return {"REQUEST_METHOD": method, "PATH_INFO": path, "wsgi.input": body, "CONTENT_LENGTH": length}


@pytest.fixture
def slow():
    body = Slow()
    yield body
    body.go.set()


def begin(app, slow, path):
    thread = threading.Thread(target=lambda: app(environ(path, slow), None), daemon=True)
    thread.start()
    assert slow.waiting.wait(30)
    return thread


@pytest.mark.conformance("Attacks", "93: bodies that arrive slowly hold a quarter of the threads at most, and none of another address")
def test_slow_bodies_leave_places_for_others(slow):
    app = with_bounded_bodies(reading, 1)
    thread = begin(app, slow, "/cds-services/stroke-risk")
    with pytest.raises(Unavailable):
        app(environ("/cds-services/stroke-risk/feedback", io.BytesIO(b"{}")), None)
    for path in ("/oauth/token", "/fhir/Patient", "/intake/telemetry/dexcom", "/elsewhere"):
        assert app(environ(path, io.BytesIO(b"{}")), None) == [b"{}"]
    assert app(environ("/cds-services", io.BytesIO(b""), method="GET", length=""), None) == [b""]
    slow.go.set()
    thread.join(30)
    assert app(environ("/cds-services/stroke-risk", io.BytesIO(b"{}")), None) == [b"{}"]


def test_addresses_that_nobody_knows_share_their_places(slow):
    app = with_bounded_bodies(reading, 1)
    begin(app, slow, "/one")
    with pytest.raises(Unavailable):
        app(environ("/two", io.BytesIO(b"{}")), None)


@pytest.mark.parametrize("length", ["2", "", "9", "x"])
def test_a_place_is_given_back_with_the_last_byte_or_the_end_of_the_request(length):
    seen = []

    def app(environ, _start):
        body = environ["wsgi.input"]
        seen.append(body.read() + body.read() + b"".join(body) + b"".join(body.readlines()))
        return [b""]

    bounded = with_bounded_bodies(app, 1)
    for _ in range(3):
        bounded(environ("/ehr/launch", io.BytesIO(b"{}"), length=length), None)
    assert seen == [b"{}"] * 3


def test_a_server_that_knows_no_negative_size_is_asked_as_the_application_asks():
    class Body(io.BytesIO):
        def read(self, *size):
            assert size in ((), (0,), (1,))
            return super().read(*size)

    def app(environ, _start):
        return [environ["wsgi.input"].read(0), environ["wsgi.input"].read(1), environ["wsgi.input"].read()]

    assert with_bounded_bodies(app, 1)(environ("/ehr/launch", Body(b"{}")), None) == [b"", b"{", b"}"]


def test_an_error_gives_the_place_back():
    def failing(environ, _start):
        environ["wsgi.input"].read(1)
        raise OSError

    bounded = with_bounded_bodies(failing, 1)
    for _ in range(3):
        with pytest.raises(OSError):
            bounded(environ("/ehr/launch", io.BytesIO(b"{}")), None)


def test_a_quarter_of_the_threads_may_wait_for_bodies_of_one_kind():
    assert [places_of(threads) for threads in (1, 4, 32)] == [1, 1, 8]
