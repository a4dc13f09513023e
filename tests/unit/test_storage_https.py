"""The fetcher over TLS: connected to the judged address, verified against the link's host name."""

from __future__ import annotations

import datetime
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from img_open.base.errors import NetworkError
from img_open.storage.fetch import Fetcher

pytest.importorskip("cryptography", reason="needs cryptography (moto brings it)")


class Hello(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")


def certificate(folder: Path, host: str) -> tuple[Path, Path]:
    """A self-signed certificate for a host name, and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    cert_file, key_file = folder / f"{host}.pem", folder / f"{host}.key"
    cert_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return cert_file, key_file


@pytest.fixture
def secure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A TLS server for pictures.test, a name that leads to loopback; its certificate is trusted."""
    cert_file, key_file = certificate(tmp_path, "pictures.test")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert_file, key_file)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hello)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    real = socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *args, **more: real("127.0.0.1" if host.endswith(".test") else host, *args, **more),
    )
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(cert_file))
    yield server.server_port
    server.shutdown()
    server.server_close()


def test_the_host_name_is_verified_though_the_address_is_pinned(secure: int) -> None:
    fetcher = Fetcher(allow_private=True, timeout=5)
    assert fetcher.fetch_bytes(f"https://pictures.test:{secure}/") == b"hello"
    with pytest.raises(NetworkError, match="certificate"):
        fetcher.fetch_bytes(f"https://other.test:{secure}/")


def test_an_unknown_certificate_is_refused(secure: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    with pytest.raises(NetworkError, match="certificate"):
        Fetcher(allow_private=True, timeout=5).fetch_bytes(f"https://pictures.test:{secure}/")


def test_a_handshake_that_never_ends_is_cut() -> None:
    with socket.socket() as quiet:
        quiet.bind(("127.0.0.1", 0))
        quiet.listen()

        def drip() -> None:
            connection, _ = quiet.accept()
            with connection:
                try:
                    connection.sendall(b"\x16\x03\x03\x40\x00")  # a TLS record of 16 KiB begins
                    for _ in range(100):
                        connection.sendall(b"\x02")
                        time.sleep(0.05)
                except OSError:
                    pass

        threading.Thread(target=drip, daemon=True).start()
        start = time.monotonic()
        with pytest.raises(NetworkError):
            Fetcher(allow_private=True, timeout=0.7).fetch_bytes(
                f"https://127.0.0.1:{quiet.getsockname()[1]}/"
            )
        assert time.monotonic() - start < 2
