"""Tells systemd how the engine is: loading and how far, live, stopping; and that it is not stuck (`Type=notify`, sd_notify(3)).

systemd names a datagram socket in NOTIFY_SOCKET; without it nothing is told. A message that cannot be sent is logged once and
harms nothing: systemd then ends a start that it believes to hang, or an engine whose watchdog it misses.
"""

import asyncio
import os
import socket
from collections.abc import Mapping

from riskengine.observe import get_logger
from riskengine.process.process import EngineProcess

LOOK_S = 0.25
EXTEND_US = 600_000_000
"""How much longer systemd waits for a start that still makes progress; the unit's TimeoutStartSec is for one that does not."""

STUCK_MS = 10_000
"""A writer that has published nothing for this long is stuck: the watchdog hears nothing more."""

log = get_logger("riskengine.supervisor")


class Supervisor:
    """The socket of the process's supervisor, if it has one. On the event loop; a call takes 10 us and never waits."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self.address = environment.get("NOTIFY_SOCKET", "")
        self.watchdog_s = _watchdog_s(environment)
        """The interval in which the supervisor expects a sign of life, seconds; None if it expects none."""
        self._failed = False

    def tell(self, *lines: str) -> None:
        """Send one message, lines such as `READY=1`."""
        if not self.address:
            return
        # A name that begins with @ is one without a file, whose first byte is a NUL.
        address = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.setblocking(False)
                sender.sendto("\n".join(lines).encode(), address)
        except OSError as error:
            if not self._failed:
                log.warning("supervisor_not_told", socket=self.address, reason=str(error))
            self._failed = True


def _watchdog_s(environment: Mapping[str, str]) -> float | None:
    """WATCHDOG_USEC, where it is meant for this process."""
    interval, pid = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    if not interval.isdecimal() or int(interval) == 0 or pid not in ("", str(os.getpid())):
        return None
    return int(interval) / 1e6


async def report(process: EngineProcess, supervisor: Supervisor) -> None:
    """Tell the supervisor of every change, until cancelled. Returns at once where there is no supervisor."""
    if not supervisor.address:
        return
    loop = asyncio.get_running_loop()
    told, ready, alive_at, progress = "", False, -1e9, -1.0
    look_s = LOOK_S if supervisor.watchdog_s is None else min(LOOK_S, supervisor.watchdog_s / 4)
    while True:
        lines = []
        if (text := status_text(process)) != told:
            lines.append(f"STATUS={text}")
            told = text
        if process.is_live and not ready:
            lines.insert(0, "READY=1")
            ready = True
        elif not ready and process.progress > progress:
            lines.append(f"EXTEND_TIMEOUT_USEC={EXTEND_US}")
            progress = process.progress
        if supervisor.watchdog_s is not None and loop.time() >= alive_at + supervisor.watchdog_s / 2 and is_well(process):
            lines.append("WATCHDOG=1")
            alive_at = loop.time()
        if lines:
            supervisor.tell(*lines)
        await asyncio.sleep(look_s)


def is_well(process: EngineProcess) -> bool:
    """Whether a restart would help nothing: the loop runs, and the writer, once there is one, publishes."""
    age_ms = process.publish_age_ms
    return age_ms is None or age_ms < STUCK_MS


def status_text(process: EngineProcess) -> str:
    """The line of `systemctl status`: `loading 73 %, replay`, or `live, 2 warnings: breaks, gone`."""
    if not process.is_live:
        view = process.starting()
        phase = f", {view['phase']}" if view["phase"] else ""
        return (
            f"{process.state} {view['progress'] * 100:.0f} %{phase}"
            if process.state in ("starting", "loading")
            else process.state
        )
    kinds = list(process.warnings)
    return process.state + (f", {len(kinds)} warning{'s' * (len(kinds) > 1)}: {', '.join(kinds)}" if kinds else "")
