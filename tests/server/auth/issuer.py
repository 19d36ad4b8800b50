"""An identity provider of a test, on a socket of this machine, with keys that are made on the spot. Not a test."""

import base64
import json
import threading
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

AUDIENCE = "https://films.example.com/mcp"
NOW = 1_800_000_000.0
CLAIMS = {"aud": AUDIENCE, "sub": "ann", "exp": NOW + 300, "iat": NOW, "scope": "openid ltx:read ltx:order"}


def key_of(algorithm: str, number: int = 1) -> Any:
    """A private key for an algorithm, the same for both of RSA; another number is another key."""
    return _made("RSA" if algorithm in ("RS256", "PS256") else algorithm, number)


@cache
def _made(kind: str, number: int) -> Any:
    if kind == "RSA":
        return rsa.generate_private_key(65537, 2048)
    return ec.generate_private_key(ec.SECP256R1()) if kind == "ES256" else ed25519.Ed25519PrivateKey.generate()


def public_jwk(algorithm: str, kid: str, number: int = 1) -> dict[str, Any]:
    """The public half of a key, as a JWKS has it."""
    public = key_of(algorithm, number).public_key()
    if algorithm == "ES256":
        made = ECAlgorithm.to_jwk(public, as_dict=True)
    elif algorithm == "EdDSA":
        made = OKPAlgorithm.to_jwk(public, as_dict=True)
    else:
        made = RSAAlgorithm.to_jwk(public, as_dict=True)
    return {**made, "kid": kid, "use": "sig"}


def public_pem(algorithm: str) -> bytes:
    """The same in PEM, which HS256 might be signed with."""
    made: bytes = key_of(algorithm).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return made


def encoded(value: object) -> str:
    """A value as a part of a JWT."""
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def signed(claims: object, number: int = 1, **header: Any) -> str:
    """A JWT in RS256 that no library would make, if need be."""
    said = f"{encoded({'alg': 'RS256', 'typ': 'JWT', 'kid': 'rsa'} | header)}.{encoded(claims)}"
    return f"{said}.{encoded(key_of('RS256', number).sign(said.encode(), padding.PKCS1v15(), SHA256()))}"


class Issuer:
    """Metadata and keys over HTTP. `path` is the end of its name; `asked` are the paths that were asked for."""

    def __init__(self, path: str = "") -> None:
        self.asked: list[str] = []
        self.was_asked = threading.Event()
        self.keys: list[Any] = []
        self.is_away = False
        self.redirects: dict[str, str] = {}
        self.metadata_path = f"{path.rstrip('/')}/.well-known/openid-configuration"
        self._web = ThreadingHTTPServer(("127.0.0.1", 0), self._make_handler())
        self.name = f"http://127.0.0.1:{self._web.server_port}{path}"
        self.metadata: dict[str, Any] = {"issuer": self.name, "jwks_uri": f"{self.name.rstrip('/')}/jwks"}
        self._thread = threading.Thread(target=self._web.serve_forever, args=(0.01,), daemon=True)

    def __enter__(self) -> "Issuer":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._web.shutdown()
        self._web.server_close()
        self._thread.join()

    def token(self, algorithm: str = "RS256", kid: str = "rsa", number: int = 1, **changed: Any) -> str:
        """A token for ann; a changed claim of None is left out."""
        claims = {name: value for name, value in ({"iss": self.name} | CLAIMS | changed).items() if value is not None}
        return jwt.encode(claims, key_of(algorithm, number), algorithm, headers={"kid": kid})

    def _make_handler(self) -> type[BaseHTTPRequestHandler]:
        issuer = self

        class Answers(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked.append(self.path)
                issuer.was_asked.set()
                documents = {
                    issuer.metadata_path: issuer.metadata,
                    issuer.metadata["jwks_uri"].partition(f":{issuer._web.server_port}")[2]: {"keys": issuer.keys},
                }
                if issuer.is_away:
                    self.close_connection = True
                    return
                if self.path in issuer.redirects:
                    self.send_response(302)
                    self.send_header("Location", issuer.redirects[self.path])
                    self.end_headers()
                    return
                body = json.dumps(documents.get(self.path, {})).encode()
                self.send_response(200 if self.path in documents else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                """Nothing."""

        return Answers
