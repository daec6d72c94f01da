"""A webhook and an SMTP server on this machine, as strict as real ones where alerts are concerned, for tests."""

import asyncio
import base64
import json
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
def webhook() -> Iterator[Webhook]:
    """A webhook that answers while the block lasts."""
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
    found.url = f"http://127.0.0.1:{server.server_port}/hook/secret"
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
                say("250-here")
                say("250 AUTH PLAIN")
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


@contextmanager
def mail_server() -> Iterator[MailServer]:
    """An SMTP server without TLS that answers while the block lasts."""
    found, started, ending = MailServer(), threading.Event(), list[Any]()

    async def life() -> None:
        end = asyncio.Event()
        ending.extend((asyncio.get_running_loop(), end))
        server = await asyncio.start_server(found.serve, "127.0.0.1", 0)
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
