"""A proxy to the server that cuts the connection on demand: at a COMMIT, before or after the server sees it."""

import contextlib
import re
import socket
import threading
from typing import Literal

from psycopg.conninfo import conninfo_to_dict, make_conninfo

PREPARED_COMMIT = re.compile(rb"(_pg3_\w+\0)COMMIT\0")
Moment = Literal["never", "before", "after"]


class CuttingProxy:
    """Passes bytes to the server of a URL and back; its own `url` leads through it."""

    def __init__(self, url: str) -> None:
        given = conninfo_to_dict(url)
        self._server = (str(given["host"]), int(given.get("port") or 5432))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = url.replace(f"{self._server[0]}:{self._server[1]}", f"127.0.0.1:{self._listener.getsockname()[1]}")
        assert make_conninfo(self.url) != make_conninfo(url), "the URL must name host and port"
        self.cut_at_commit: Moment = "never"
        self.only_of = b""
        """Cut only a commit of a transaction that contains this text; empty: cut the next commit of any."""
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._begin(self._accept)

    def close(self) -> None:
        for each in (self._listener, *self._sockets):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        for thread in self._threads:
            thread.join(5)

    def _begin(self, work, *args: object) -> None:
        thread = threading.Thread(target=work, args=args)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._server)
            self._sockets += [client, server]
            cut = threading.Event()
            self._begin(self._up, client, server, cut)
            self._begin(self._down, client, server, cut)

    def _up(self, client: socket.socket, server: socket.socket, cut: threading.Event) -> None:
        with contextlib.suppress(OSError):
            of_this, commit = b"", b"COMMIT"
            while data := client.recv(65_536):
                # The driver prepares a statement that it sends often, by itself; then it sends only the name.
                prepared = PREPARED_COMMIT.search(data)
                commits = not prepared and (b"COMMIT" in data or commit in data)
                of_this = data if self.only_of in data else of_this
                if self.only_of in of_this and commits and self.cut_at_commit != "never":
                    moment, self.cut_at_commit = self.cut_at_commit, "never"
                    cut.set()
                    if moment == "before":
                        break
                commit = prepared[1] if prepared else commit
                server.sendall(data)
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_WR)
            client.shutdown(socket.SHUT_RDWR)

    def _down(self, client: socket.socket, server: socket.socket, cut: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65_536):
                if cut.is_set():  # the answer to the commit is lost
                    break
                client.sendall(data)
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)
