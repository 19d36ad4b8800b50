"""A CONNECT proxy on loopback that leads every name to one port, and certificates for those names. Not a test."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import trustme

LOOPBACK = "127.0.0.1"
Refuse = Callable[[str], bytes | None]
"""What is said to a CONNECT instead of letting it through; None lets it."""


@dataclass
class Gate:
    """Where it listens, and what was asked of it."""

    url: str
    heads: list[str] = field(default_factory=list)

    @property
    def targets(self) -> list[str]:
        """The hosts that connections were wished to."""
        return [head.split()[1].rpartition(":")[0] for head in self.heads]


def lets_through(head: str) -> bytes | None:
    """Whoever asks."""
    return None


@asynccontextmanager
async def gated(port: int, refuse: Refuse = lets_through, host: str = LOOPBACK) -> AsyncIterator[Gate]:
    """Every CONNECT leads to this port of this machine."""
    made = Gate("")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            made.heads.append(head)
            if (said := refuse(head)) is not None:
                writer.write(said)
                await writer.drain()
            else:
                await _joined(reader, writer, port)
        writer.close()

    listener = await asyncio.start_server(serve, host)
    made.url = f"http://{host}:{listener.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        listener.close()


@asynccontextmanager
async def socks_gated(port: int) -> AsyncIterator[Gate]:
    """The same by SOCKS 5, for names and without a password; what it was asked is told as a CONNECT would be."""
    made = Gate("")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await reader.readexactly((await reader.readexactly(2))[1])
            writer.write(b"\x05\x00")
            name = await reader.readexactly((await reader.readexactly(5))[4])
            await reader.readexactly(2)
            made.heads.append(f"CONNECT {name.decode()}:443")
            await _joined(reader, writer, port, b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50")
        writer.close()

    listener = await asyncio.start_server(serve, LOOPBACK)
    made.url = f"socks5h://{LOOPBACK}:{listener.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        listener.close()


async def _joined(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int, yes: bytes = b"HTTP/1.1 200 ok\r\n\r\n"
) -> None:
    theirs, ours = await asyncio.open_connection(LOOPBACK, port)
    writer.write(yes)
    await writer.drain()
    await asyncio.gather(_poured(reader, ours), _poured(theirs, writer))


async def _poured(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await source.read(1 << 16):
            sink.write(data)
            await sink.drain()
    with suppress(ConnectionError, OSError):
        sink.close()


@dataclass(frozen=True)
class Certificates:
    """The file that a client trusts, the files of a server, and the same for asyncio."""

    trust: Path
    files: tuple[str, str]
    context: ssl.SSLContext


def certify(folder: Path, names: Sequence[str]) -> Certificates:
    """Certificates for these names by an authority of nobody's."""
    authority = trustme.CA()
    certificate = authority.issue_cert(*names)
    trust, chain, key = (folder / name for name in ("trust.pem", "chain.pem", "key.pem"))
    authority.cert_pem.write_to_path(trust)
    certificate.private_key_pem.write_to_path(key)
    for pem in certificate.cert_chain_pems:
        pem.write_to_path(chain, append=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return Certificates(trust, (str(chain), str(key)), context)
