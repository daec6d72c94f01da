"""A webhook and an SMTP server on this machine, as strict as real ones where alerts are concerned, for tests."""

import asyncio
import base64
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Webhook:
    """What was posted. `answers` are the statuses of the next posts, then 200; of a 302 the client is sent to `/elsewhere`."""

    def __init__(self) -> None:
        self.posts: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.answers: list[int] = []
        self.url = ""

    @property
    def taken(self) -> list[dict[str, Any]]:
        return [body for _, _, body in self.posts]


@contextmanager
def webhook(tls: ssl.SSLContext | None = None) -> Iterator[Webhook]:
    """A webhook that answers while the block lasts, with `tls` by https."""
    found = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = found.answers.pop(0) if found.answers else 200
            if status == 200:
                found.posts.append((self.path, dict(self.headers), json.loads(body)))
            self.send_response(status)
            if status == 302:
                self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    found.url = f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}/hook/secret"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class MailServer:
    """The mails that were taken, and who logged in. `refuses` are recipients; `busy` mails are answered 451 first."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.envelopes: list[tuple[str, list[str]]] = []
        self.logins: list[str] = []
        self.commands: list[str] = []
        self.refuses: set[str] = set()
        self.busy = 0
        self.port = 0
        self.context: ssl.SSLContext | None = None
        """With it, STARTTLS is offered, and a user can log in behind it alone."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One session."""

        def say(line: str) -> None:
            writer.write(f"{line}\r\n".encode())

        sender, recipients = "", list[str]()
        say("220 here")
        while line := (await reader.readline()).decode().strip():
            command = line.upper().split(" ")[0]
            self.commands.append(command)
            if command == "EHLO":
                is_tls = writer.get_extra_info("ssl_object") is not None
                say("250-here")
                say("250 AUTH PLAIN" if self.context is None or is_tls else "250 STARTTLS")
            elif command == "STARTTLS" and self.context is not None:
                say("220 go on")
                await writer.drain()
                await writer.start_tls(self.context)
            elif command == "AUTH":
                self.logins.append(base64.b64decode(line.split(" ")[2]).decode())
                say("235 welcome")
            elif command == "MAIL":
                sender, recipients = _address(line), []
                say("250 ok")
            elif command == "RCPT":
                refused = _address(line) in self.refuses
                recipients += [] if refused else [_address(line)]
                say("550 unknown" if refused else "250 ok")
            elif command == "DATA":
                await self._take(reader, writer, say, sender, recipients)
            elif command == "QUIT":
                say("221 bye")
                break
            else:
                say("250 ok" if command in ("RSET", "NOOP") else "502 what")
            await writer.drain()
        writer.close()

    async def _take(self, reader: asyncio.StreamReader, writer: Any, say: Any, sender: str, recipients: list[str]) -> None:
        say("354 go on")
        await writer.drain()
        body = (await reader.readuntil(b"\r\n.\r\n"))[:-3]
        if self.busy:
            self.busy -= 1
            say("451 later")
            return
        self.mails.append(message_from_bytes(body, policy=policy.default))
        self.envelopes.append((sender, recipients))
        say("250 taken")


def _address(line: str) -> str:
    return line.partition("<")[2].partition(">")[0]


def context_of(certificate: str, key: str) -> ssl.SSLContext:
    """What a server with this certificate speaks TLS by."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


@contextmanager
def mail_server(starttls: ssl.SSLContext | None = None, tls: ssl.SSLContext | None = None) -> Iterator[MailServer]:
    """An SMTP server that answers while the block lasts: without TLS, by STARTTLS, or by TLS from the beginning."""
    found, started, ending = MailServer(), threading.Event(), list[Any]()

    async def life() -> None:
        end = asyncio.Event()
        ending.extend((asyncio.get_running_loop(), end))
        found.context = starttls
        server = await asyncio.start_server(found.serve, "127.0.0.1", 0, ssl=tls)
        found.port = server.sockets[0].getsockname()[1]
        started.set()
        async with server:
            await end.wait()

    thread = threading.Thread(target=asyncio.run, args=(life(),))
    thread.start()
    assert started.wait(5)
    try:
        yield found
    finally:
        loop, end = ending
        loop.call_soon_threadsafe(end.set)
        thread.join()
