"""`riskengine` loaded once, and forked for each command: a test that runs a hundred commands pays for one start.

    with preloaded() as program:
        subprocess.run([*program, "load", "nodes", "nodes.csv"], cwd=folder, env=environment)

Each command has its own process, folder, environment, input and output. One that gets signals is better started for itself.
"""

import contextlib
import json
import os
import socket
import sys


def serve(path: str) -> None:
    """Fork a command for each connection at `path`, for ever."""
    import click

    from riskengine.cli.main import NAMES, main

    for name in NAMES:
        main.get_command(click.Context(main), name)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        os.write(1, b"ready\n")
        while True:
            connection, _ = listener.accept()
            if os.fork():
                connection.close()
                with contextlib.suppress(ChildProcessError):
                    while os.waitpid(-1, os.WNOHANG)[0]:
                        pass
                continue
            listener.close()
            run(connection, main)


def run(connection, main):
    """One command, in a fork: take over the caller's folder, environment, input and output, and send the exit status."""
    asked, numbers, *_ = socket.recv_fds(connection, 65_536, 3)
    while part := connection.recv(65_536):
        asked += part
    words, folder, environment = json.loads(asked)
    for number, fd in enumerate(numbers):
        os.dup2(fd, number)
        os.close(fd)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    status = 70
    try:
        main(words, prog_name="riskengine")
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        connection.sendall(str(status).encode())
        os._exit(status)


@contextlib.contextmanager
def preloaded():
    """The words that run a command, as long as the block is open."""
    import subprocess
    import tempfile
    from pathlib import Path

    root = Path(__file__).resolve().parent.parent
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/program"
        code = "import sys; from tests.preloaded import serve; serve(sys.argv[1])"
        server = subprocess.Popen([sys.executable, "-c", code, path], cwd=root, stdout=subprocess.PIPE, start_new_session=True)
        assert server.stdout is not None
        try:
            assert server.stdout.readline() == b"ready\n"
            yield [sys.executable, "-S", "-E", __file__, path]
        finally:
            server.kill()
            server.wait(30)
            server.stdout.close()


def ask(path: str, words: list[str]) -> int:
    """Have a command run and return its exit status."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        asked = json.dumps([words, os.getcwd(), dict(os.environ)]).encode()
        socket.send_fds(connection, [asked[:60_000]], [0, 1, 2])
        connection.sendall(asked[60_000:])
        connection.shutdown(socket.SHUT_WR)
        return int(connection.recv(16) or b"70")


if __name__ == "__main__":
    sys.exit(ask(sys.argv[1], sys.argv[2:]))
