"""A drill: a store is lost and comes back from a backup, at the start and under a running engine.

    python replay/restore_drill.py --trades 2000

Deals into a real engine, copies its store meanwhile (`riskengine backup`), deals on, then loses the store. The copy comes back:
the start must refuse it, and say how service resumes. Both ways are gone: the newer store is found again, and nothing is missing;
or the older one is accepted, every screen says so, and the senders send everything again. Then the copy comes back under a
running engine, as another file and into the same file: within two seconds no trade may be taken, and every screen must say why.
Prints each step; exit status 0 if every check passed. It reads what messages mean, not their words.
"""

import argparse
import json
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.running import ROOT, Server, begin, command, running

NODES = "node,level,parent\nALL,total,\nFX1,desk,ALL\nFX2,desk,ALL\n"
INSTRUMENTS = "instrument,kind,base_currency,quote_currency\nEURUSD,fx,EUR,USD\nGBPUSD,fx,GBP,USD\n"

WENT_BACK = re.compile(r"older|restored|behind|back", re.IGNORECASE)
"""How a message may say that the store is not what it was."""

SAID_WITHIN_S = 2.0
WITNESSED_WITHIN_S = 12.0
SOONER = "from riskengine.process import store_watch\nstore_watch.NOTE_EVERY_S = {}\n"
"""Has an engine write its witness more often than every ten seconds: a test has no time for a drill in full length."""
REASON = "drill: the newer store is lost"

_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Drill:
    """One store, the trades that were acknowledged, and the number of failed checks."""

    def __init__(self, folder: Path, witness_every_s: float | None = None) -> None:
        self.folder = folder
        self._environment: dict[str, str] = {}
        if witness_every_s is not None:
            (folder / "sooner").mkdir()
            (folder / "sooner" / "sitecustomize.py").write_text(SOONER.format(witness_every_s))
            self._environment = {"PYTHONPATH": f"{folder}/sooner:{ROOT}"}
        self.path = folder / "desk.db"
        self.store = f"sqlite:///{self.path}"
        self.copy = folder / "backup" / "desk.db"
        self.log = folder / "log"
        self.acknowledged: dict[str, dict[str, Any]] = {}
        self.slowest_s = 0.0
        self.failed: list[str] = []

    def step(self, text: str) -> None:
        print(f"\n== {text}")

    def check(self, holds: object, text: str) -> None:
        print(f"   {'ok    ' if holds else 'FAILED'} {text}")
        if not holds:
            self.failed.append(text)

    def command(self, *words: str | Path, expected: int = 0) -> str:
        """Run a command, print what it says, check its exit status; returns stdout."""
        done = command(*words, timeout=600)
        print(f"   $ riskengine {' '.join(map(str, words)).replace(str(self.folder), '.')}")
        said = (done.stdout + done.stderr).replace(str(self.folder), ".").splitlines()
        print("".join(f"     {line[:170]}\n" for line in said[:8]), end="")
        self.check(done.returncode == expected, f"exit status {done.returncode}, expected {expected}")
        return done.stdout

    # -- the engine and its senders --------------------------------------------------------------------------------

    @contextmanager
    def engine(self, *more: str) -> Iterator[Server]:
        """A live engine on the store; it is stopped in order if it still runs at the end."""
        with running("serve", "--port", "0", "--store", self.store, *more, log=self.log, environment=self._environment) as server:
            yield server
            if server.process.poll() is None:
                server.stop()

    def deal(self, server: Server, first: int, count: int) -> None:
        """Send trades one by one; remember those that were acknowledged."""
        now = int(time.time() * 1e6)
        for number in range(first, first + count):
            sent = {
                "source": "drill",
                "trade_id": f"D{number}",
                "ts": now - 1_000_000 + number,
                "instrument": "EURUSD" if number % 2 else "GBPUSD",
                "desk": "FX1" if number % 3 else "FX2",
                "dealer": f"dealer{number % 5}",
                "side": "buy" if number % 7 else "sell",
                "quantity": str(1_000 + number),
                "price": "1.1",
            }
            asked = time.perf_counter()
            [result] = server.post("/v1/trades", sent)["results"]
            self.slowest_s = max(self.slowest_s, time.perf_counter() - asked)
            if result["status"] == "applied":
                self.acknowledged[f"D{number}"] = sent

    def send_again(self, server: Server) -> dict[str, int]:
        """Send every acknowledged trade once more, as senders do who do not know what the store still has."""
        counts: dict[str, int] = {}
        trades = list(self.acknowledged.values())
        for at in range(0, len(trades), 500):
            for status, count in server.post("/v1/trades", trades[at : at + 500])["counts"].items():
                counts[status] = counts.get(status, 0) + count
        return {status: count for status, count in counts.items() if count}

    # -- the store -------------------------------------------------------------------------------------------------

    def stored(self, path: Path | None = None) -> int:
        """How many trades lie in the store (or in another one)."""
        with closing(sqlite3.connect(path or self.path, timeout=10)) as connection:
            return int(connection.execute("SELECT count(*) FROM trades").fetchone()[0])

    def put_away(self, name: str) -> Path:
        """Move the files of the store, not its witness, into a folder; returns it."""
        away = self.folder / name
        shutil.rmtree(away, ignore_errors=True)
        away.mkdir()
        for suffix in ("", "-wal", "-shm"):
            if (part := Path(f"{self.path}{suffix}")).exists():
                part.rename(away / part.name)
        return away

    def bring_back(self, kept: Path) -> None:
        """Put files that were put away back in the place of the store."""
        self.put_away("replaced")
        for part in kept.iterdir():
            shutil.copyfile(part, self.folder / part.name)

    def witnessed(self) -> int:
        """The highest number that the witness saw."""
        return int(json.loads(Path(f"{self.path}.witness").read_bytes())["watermark"])

    def wait_for_witness(self) -> int:
        """Wait until the witness has seen the newest trade; returns its number."""
        newest, began = self.stored(), time.monotonic()
        while self.witnessed() < newest and time.monotonic() < began + WITNESSED_WITHIN_S:
            time.sleep(0.05)
        self.check(self.witnessed() >= newest, f"the witness knows trade {newest:,} after {time.monotonic() - began:.1f} s")
        return newest


def rows_that_say_it(rows: list[dict[str, Any]]) -> list[str]:
    """The warnings that tell of a store that went back."""
    return [row["text"] for row in rows if WENT_BACK.search(row["text"])]


def accept_words() -> list[str]:
    """How `riskengine serve` is told to accept an older store, with a reason where it takes one."""
    offered = command("serve", "--help").stdout
    if re.search(r"--accept-mismatch [A-Z]", offered):
        return ["--accept-mismatch", REASON]
    return ["--accept-mismatch", *(["--reason", REASON] if "--reason" in offered else [])]


# -- the steps -----------------------------------------------------------------------------------------------------


def back_up_while_dealing(drill: Drill, trades: int) -> str:
    """Deal, copy meanwhile, deal on; returns the digest at the end."""
    drill.step("The desk deals; the store is copied meanwhile")
    for kind, content in (("nodes", NODES), ("instruments", INSTRUMENTS)):
        (drill.folder / f"{kind}.csv").write_text(content)
        drill.command("load", kind, drill.folder / f"{kind}.csv", "--store", drill.store)
    drill.copy.parent.mkdir()
    with drill.engine() as server:
        drill.deal(server, 0, trades)
        before, quiet_s, drill.slowest_s = len(drill.acknowledged), drill.slowest_s, 0.0
        dealing = threading.Thread(target=drill.deal, args=(server, trades, trades))
        dealing.start()
        told = json.loads(drill.command("backup", drill.copy, "--store", drill.store, "--json"))
        dealing.join()
        print(f"   slowest answer without the copy {quiet_s * 1e3:.0f} ms, with it {drill.slowest_s * 1e3:.0f} ms")
        drill.check(len(drill.acknowledged) == 2 * trades, "every trade that was sent meanwhile was applied")
        drill.check(before <= told["trades"], f"the copy holds {told['trades']:,}, all {before:,} from before it began")
        drill.check(drill.stored(drill.copy) == told["trades"], "and as many trades as it says")
        drill.check(not Path(f"{drill.copy}.witness").exists(), "it has no witness")
        drill.deal(server, 2 * trades, 10)
        digest = str(server.get("/v1/digest")["digest"])
        drill.wait_for_witness()
        drill.step("kill -9; the disk is lost, and the newest copy comes back")
        server.kill()
    drill.put_away("lost")
    shutil.copyfile(drill.copy, drill.path)
    return digest


def is_refused(drill: Drill) -> None:
    """Twice: a supervisor that tries again and again must not wear the refusal out."""
    held = drill.stored()
    for _ in range(2):
        at = drill.log.stat().st_size
        process = begin("serve", "--port", "0", "--store", drill.store, log=drill.log)
        try:
            process.communicate(timeout=60)
        except subprocess.TimeoutExpired:  # it serves
            process.kill()
            process.communicate()
        said = drill.log.read_text()[at:]
        print(f"     {said.strip().splitlines()[-1][:300].replace(str(drill.folder), '.')}")
        drill.check(process.returncode == 1, "the start is refused")
        drill.check(WENT_BACK.search(said), "it says that the store went back")
        drill.check("--accept-mismatch" in said, "it says how service resumes")
    drill.check(drill.stored() == held, "the refused starts changed nothing")


def newer_store_is_found(drill: Drill, digest: str) -> None:
    """The first way: nothing is lost."""
    drill.step("First way: the newer store is found again and put in its place")
    drill.bring_back(drill.folder / "lost")
    with drill.engine() as server:
        drill.check(server.get("/v1/digest")["digest"] == digest, "the digest is that of before")
        drill.check(not rows_that_say_it(server.get("/v1/status")["warnings"]), "no screen speaks of it")
        drill.check(drill.send_again(server) == {"duplicate": len(drill.acknowledged)}, "every acknowledged trade is there")


def older_store_is_accepted(drill: Drill, digest: str) -> None:
    """The second way: what is missing is said, and comes back from the senders."""
    drill.step("Second way: the newer store is gone for good, a person accepts the older one")
    drill.put_away("found")
    shutil.copyfile(drill.copy, drill.path)
    held = drill.stored()
    missing = len(drill.acknowledged) - held
    with drill.engine(*accept_words()) as server:
        for route in ("/v1/status", "/readyz"):
            drill.check(rows_that_say_it(server.get(route)["warnings"]), f"{route} says it")
        shown = drill.command("watch", "--url", server.url, "--tree", "--once")
        drill.check("accepted" in shown or WENT_BACK.search(shown), "the terminal says it")
        trail = drill.command("audit", "show", "--kind", "mismatch_accepted", "--store", drill.store)
        drill.check(WENT_BACK.search(trail), "the audit trail says it")
        if REASON in accept_words():
            drill.check(REASON in trail, "with the reason")
        text = " ".join(rows_that_say_it(server.get("/v1/status")["warnings"]))
        numbers = {int(each.replace(",", "")) for each in re.findall(r"\d[\d,]*\d|\d", text)}
        newest = len(drill.acknowledged)
        drill.check({held, newest} <= numbers, f"it ends at {held:,} and was at {newest:,}: {missing:,} trades are missing")
        drill.step("The senders send everything again")
        counts = drill.send_again(server)
        drill.check(counts == {"applied": missing, "duplicate": held}, f"taken: {counts}")
        drill.check(server.get("/v1/digest")["digest"] == digest, "the digest is that of before")
        drill.command("reconcile", "--engine", server.url, "--store", drill.store)
    with drill.engine() as server:
        drill.check(server.get("/v1/status")["warnings"] == [], "the next start has nothing to say")
    drill.command("rebuild", "--full", "--store", drill.store)


def replace_file(drill: Drill) -> None:
    """As `mv` does, with the store's log out of the way: SQLite would play it into the copy."""
    drill.put_away("moved")
    shutil.copyfile(drill.copy, drill.folder / "staged")
    (drill.folder / "staged").rename(drill.path)


def write_into_file(drill: Drill) -> None:
    """As `sqlite3 desk.db '.restore backup.db'` does."""
    with closing(sqlite3.connect(drill.copy)) as source, closing(sqlite3.connect(drill.path, timeout=10)) as target:
        source.backup(target)


def comes_back_under_a_live_engine(drill: Drill, how: Callable[[Drill], None], what: str) -> None:
    """Nothing may be taken, everything must be said, reads go on, and the next start is refused."""
    drill.step(f"The copy comes back under a running engine: {what}")
    with drill.engine() as server:
        drill.deal(server, 10 * len(drill.acknowledged), 3)
        newest = drill.wait_for_witness()
        keep_whole(drill)
        digest = server.get("/v1/digest")["digest"]
        how(drill)
        began = time.monotonic()
        while not says_it(server) and time.monotonic() < began + 15:
            time.sleep(0.05)
        took_s = time.monotonic() - began
        drill.check(took_s <= SAID_WITHIN_S, f"/v1/status says it after {took_s:.1f} s")
        held = drill.stored()
        refused = post_status(server, drill)
        drill.check(refused == 503, f"a trade is answered {refused}, expected 503")
        drill.check(drill.stored() == held, "and is not stored")
        drill.check(still_shown(server) in (digest, None), "reads go on, from what the engine knows, or the engine has ended")
        drill.check(drill.witnessed() >= newest, "the witness did not go down")
    drill.check(drill.witnessed() >= newest, "nor at the end")
    is_refused(drill)
    drill.bring_back(drill.folder / "whole")


def keep_whole(drill: Drill) -> None:
    """Keep the store as it is now, for the next step."""
    shutil.rmtree(drill.folder / "whole", ignore_errors=True)
    (drill.folder / "whole").mkdir()
    with closing(sqlite3.connect(drill.path)) as source, closing(sqlite3.connect(drill.folder / "whole" / "desk.db")) as target:
        source.backup(target)


def says_it(server: Server) -> bool:
    """Whether the status tells of the store: in a warning, or as what is wrong with it."""
    status = server.get("/v1/status")
    texts = [row["text"] for row in status["warnings"]] + [status.get("store_error") or ""]
    return any(WENT_BACK.search(text) or "replaced" in text for text in texts)


def still_shown(server: Server) -> str | None:
    """The digest that the engine shows, None once it has ended: a store with an older epoch has no room for it."""
    try:
        return str(server.get("/v1/digest")["digest"])
    except (AssertionError, OSError):
        try:
            server.process.wait(30)
        except subprocess.TimeoutExpired:
            return "no answer of a process that has not ended"
        return None


def post_status(server: Server, drill: Drill) -> int:
    """The HTTP status of one more trade."""
    trade = dict(next(iter(drill.acknowledged.values())), trade_id="AFTER")
    request = urllib.request.Request(
        server.url + "/v1/trades", data=json.dumps(trade).encode(), headers={"Content-Type": "application/json"}
    )
    try:
        with _opener.open(request, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


LIVE = {"file": (replace_file, "another file takes its place"), "in-place": (write_into_file, "it is written into the same file")}


def run(trades: int, parts: Sequence[str] = ("start", *LIVE), witness_every_s: float | None = None) -> list[str]:
    """The drill, or parts of it; returns the checks that failed. The witness is written as often as it is, or as it says here."""
    with tempfile.TemporaryDirectory() as folder:
        drill = Drill(Path(folder), witness_every_s)
        digest = back_up_while_dealing(drill, trades)
        if "start" in parts:
            is_refused(drill)
            newer_store_is_found(drill, digest)
            older_store_is_accepted(drill, digest)
        else:
            drill.bring_back(drill.folder / "lost")
        for name in LIVE:
            if name in parts:
                comes_back_under_a_live_engine(drill, *LIVE[name])
        return drill.failed


def main() -> int:
    """Run the drill; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trades", type=int, default=2_000, help="trades before the copy, and as many during it")
    failed = run(parser.parse_args().trades)
    print(f"\n{len(failed)} checks failed" if failed else "\nevery check passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
