"""HTTPS and WSS: who is trusted, and who is not."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from websockets.asyncio.server import ServerConnection, serve

from codegen.runtime.client.settings import HttpClientSettings
from codegen.runtime.errors import Error
from tests.codegen.runtime.client.both import KINDS, Both, client_of, pb
from tests.codegen.runtime.client.scripted import answer, scripted

GET = pb("GetPaintingRequest", name="rooms/1/paintings/1")
EVENT = pb("Event", id=1)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and certificate of 127.0.0.1, which vouches for itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gallery")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "gallery.pem"
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    path.write_bytes(pem + made.public_bytes(serialization.Encoding.PEM))
    return path


def server_of(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@asynccontextmanager
async def trusting(kind: str, url: str, certificate: Path | None) -> AsyncIterator[Both]:
    tls = ssl.create_default_context(cafile=certificate) if certificate else None
    async with client_of(kind, url.replace("http:", "https:"), settings=HttpClientSettings(tls=tls)) as both:
        yield both


@pytest.mark.parametrize("kind", KINDS)
async def test_a_server_with_a_certificate_that_is_trusted_is_called(kind: str, certificate: Path) -> None:
    async with (
        scripted(answer(200, {"title": "Lilies"}), tls=server_of(certificate)) as server,
        trusting(kind, server.url, certificate) as both,
    ):
        assert (await both.one("get_painting", GET)).title == "Lilies"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_server_that_nobody_vouches_for_is_not(
    kind: str, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with (
        scripted(answer(200, {}), tls=server_of(certificate)) as server,
        trusting(kind, server.url, None) as both,
    ):
        for call in (both.one("get_painting", GET), both.many("talk", [EVENT])):
            with pytest.raises(Error) as refused:
                await call
            assert refused.value.reason.name == "DEPENDENCY_UNAVAILABLE"
        assert not server.requests


@pytest.mark.parametrize("kind", KINDS)
async def test_a_talk_is_as_safe(kind: str, certificate: Path) -> None:
    async def script(connection: ServerConnection) -> None:
        await connection.send(await connection.recv())

    async with serve(script, "127.0.0.1", 0, ssl=server_of(certificate)) as server:
        url = "http://{}:{}".format(*next(iter(server.sockets)).getsockname())
        async with trusting(kind, url, certificate) as both:
            assert await both.many("talk", [EVENT]) == [EVENT]
