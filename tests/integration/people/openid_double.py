"""A small OpenID provider over a socket: it asks nobody anything and lies when it is told to."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from chartloop.kernel.clock import now_us

CLIENT, SECRET = "chartloop", "a client's secret: with %/odd"


@dataclass
class OpenId:
    """What the provider will say.

    Attributes:
        issuer: Its URL.
        key: What it signs with; `rotate` makes another one.
        claims: Claims that the next id_token holds beside, or instead of, the honest ones; None leaves one out.
        header: Header of the next id_token, beside its algorithm and key id.
        forge: Signs the next id_token in another way.
        metadata: What its discovery says beside the honest members.
        codes: Codes that were given and not spent.
        calls: Paths that were asked, in order.
    """

    issuer: str = ""
    key: Any = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "one"}))
    claims: dict[str, Any] = field(default_factory=dict)
    forge: Any = None
    metadata: dict[str, Any] = field(default_factory=dict)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)

    def rotate(self) -> None:
        self.key = ECKey.generate_key("P-256", {"kid": f"k{secrets.token_hex(4)}"})

    def discovery(self) -> dict[str, Any]:
        honest = {"issuer": self.issuer, "authorization_endpoint": f"{self.issuer}/authorize", "token_endpoint": f"{self.issuer}/token", "jwks_uri": f"{self.issuer}/jwks"}
        return {**honest, **self.metadata}

    def authorize(self, query: dict[str, str]) -> str:
        """Let whoever asks in, and give the address to go back to."""
        code = secrets.token_urlsafe(16)
        self.codes[code] = query
        return f"{query['redirect_uri']}?{urlencode({'code': code, 'state': query['state']})}"

    def token(self, form: dict[str, str], authorization: str) -> dict[str, Any]:
        asked = self.codes.pop(form["code"])
        user, _, password = base64.b64decode(authorization.removeprefix("Basic ")).decode().partition(":")
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).rstrip(b"=").decode()
        assert (user, password) == ("chartloop", "a%20client%27s%20secret%3A%20with%20%25%2Fodd")
        assert challenge == asked["code_challenge"]
        assert form["redirect_uri"] == asked["redirect_uri"]
        now = now_us() // 1_000_000
        honest = {"iss": self.issuer, "sub": "s-1", "aud": CLIENT, "exp": now + 300, "iat": now, "nonce": asked["nonce"]}
        claims = {name: value for name, value in {**honest, **self.claims}.items() if value is not None}
        if self.forge is not None:
            return {"id_token": self.forge(claims), "access_token": "x", "token_type": "Bearer"}
        alg = "RS256" if isinstance(self.key, RSAKey) else "ES256"
        return {"id_token": jwt.encode({"alg": alg, "kid": self.key.kid}, claims, self.key, algorithms=[alg]), "access_token": "x", "token_type": "Bearer"}

    def unsigned(self, claims: dict[str, Any]) -> str:
        """An id_token of algorithm none."""
        return _joined({"alg": "none", "kid": self.key.kid}, claims) + "."

    def signed_with_the_public_key(self, claims: dict[str, Any]) -> str:
        """An id_token signed HS256 with the public key as its secret."""
        text = _joined({"alg": "HS256", "kid": self.key.kid}, claims)
        mac = hmac.new(self.key.as_pem(private=False), text.encode(), hashlib.sha256).digest()
        return f"{text}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"

    def signed_by_another(self, claims: dict[str, Any]) -> str:
        """An id_token of a stranger's key that carries the name of the provider's, and itself in the header."""
        stranger = RSAKey.generate_key(2048, {"kid": self.key.kid})
        return jwt.encode({"alg": "RS256", "kid": self.key.kid, "jwk": stranger.as_dict(private=False)}, claims, stranger, algorithms=["RS256"])


def _joined(*parts: dict[str, Any]) -> str:
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts)


@contextmanager
def serving() -> Iterator[OpenId]:
    """Serve a provider on a port of its own."""
    provider = OpenId()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            provider.calls.append(self.path.partition("?")[0])
            if self.path == "/.well-known/openid-configuration":
                self._answer(provider.discovery())
            elif self.path == "/jwks":
                self._answer({"keys": [provider.key.as_dict(private=False)]})
            elif self.path.startswith("/authorize"):
                self.send_response(302)
                self.send_header("Location", provider.authorize(dict(parse_qsl(urlsplit(self.path).query))))
                self.end_headers()

        def do_POST(self) -> None:
            provider.calls.append(self.path)
            form = dict(parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
            self._answer(provider.token(form, self.headers["Authorization"]))

        def _answer(self, body: object) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    provider.issuer = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
