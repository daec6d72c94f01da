"""What an operator installs (`config/operations/`) fits the engine: unit, container, alert rules, dashboard, and their manual."""

import importlib.metadata
import inspect
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import tomllib
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml  # type: ignore[import-untyped]
from prometheus_client.parser import text_string_to_metric_families

from riskengine.intake.store_thread import StoreThread
from riskengine.observe import Metrics
from riskengine.process.store_watch import LAST_NOTE_S
from riskengine.process.supervisor import STUCK_MS
from riskengine.serve.routes.exceptions import KINDS as EXCEPTION_KINDS
from riskengine.serve.stream.uvicorn_server import GRACEFUL_SHUTDOWN_S
from riskengine.store.open_store import open_store
from tests.conftest import ROOT
from tests.running import ENVIRONMENT, Server, command, running
from tests.world import instruments, nodes

OPERATIONS = ROOT / "config" / "operations"
MANUAL = ROOT / "riskengine" / "manual" / "operations.md"
ALERTS = OPERATIONS / "alerts.yaml"
OF_PROMETHEUS = {"up"}
LABELS_OF_PROMETHEUS = {"job", "instance", "le"}

WITHOUT_ALERT: dict[str, str] = {}
"""Kinds of warning without a rule of their own, and why."""

UNWATCHED: dict[str, str] = {}
"""Metrics that neither a rule nor the dashboard uses, and why."""


# -- what the files say ----------------------------------------------------------------------------------------------


def read_yaml(name: str) -> Any:
    return yaml.safe_load((OPERATIONS / name).read_text(encoding="utf-8"))


def rules() -> list[dict[str, Any]]:
    return [rule for group in read_yaml("alerts.yaml")["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    shown: list[dict[str, Any]] = json.loads((OPERATIONS / "dashboard.json").read_text(encoding="utf-8"))["panels"]
    return shown


def dashboard_queries() -> list[str]:
    return [target["expr"] for panel in panels() for target in panel.get("targets", ())]


class Selector(NamedTuple):
    """One metric in a query, with the matchers of its labels: (label, operator, value)."""

    name: str
    matchers: tuple[tuple[str, str, str], ...]


def selectors(query: str) -> list[Selector]:
    """Every metric that a query reads."""
    found = re.findall(r"\b(riskengine_\w+|up)\b(?:\{([^}]*)\})?", re.sub(r"\b(?:by|on) \([^)]*\)", "", query))
    return [Selector(name, tuple(re.findall(r'(\w+)(=~|!~|!=|=)"([^"]*)"', matchers))) for name, matchers in found]


def grouped(query: str) -> set[str]:
    """The labels by which a query groups and joins."""
    return {label for labels in re.findall(r"\b(?:by|on) \(([^)]*)\)", query) for label in re.findall(r"\w+", labels)}


def table(heading: str) -> list[list[str]]:
    """The rows of the table below a heading of the manual's page."""
    body = MANUAL.read_text(encoding="utf-8").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in body.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def promtool(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run promtool in the folder of the files, or skip."""
    if shutil.which("promtool") is None:
        pytest.skip("the alert rules are NOT checked by promtool: it is not here (Debian's package prometheus has it)")
    return subprocess.run(["promtool", *words], cwd=OPERATIONS, capture_output=True, text=True, timeout=180, check=False)


# -- against the metrics of a running engine -------------------------------------------------------------------------

Scraped = Mapping[str, Mapping[str, set[str]]]
"""The labels of every series by its name, with their values."""

TRADE = {
    "source": "desk",
    "trade_id": "T1",
    "instrument": "EURUSD",
    "desk": "FX1",
    "side": "buy",
    "quantity": "5",
    "price": "1.1",
}


def scrape(server: Server) -> Scraped:
    """What `/metrics` has; a name without series has no labels."""
    found: dict[str, dict[str, set[str]]] = {}
    for family in text_string_to_metric_families(server.get("/metrics", raw=True).decode()):
        found.setdefault(family.name, {})
        for sample in family.samples:
            labels = found.setdefault(sample.name, {})
            for label, value in sample.labels.items():
                labels.setdefault(label, set()).add(value)
    return found


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scraped]:
    """An engine that has warned (its store was empty), and then taken a trade of a source."""
    folder = tmp_path_factory.mktemp("operations")
    url = f"sqlite:///{folder}/desk.db"
    open_store(url).close()
    with running("serve", "--port", "0", "--store", url, log=folder / "log") as server:
        deadline = time.monotonic() + 30
        while not scrape(server)["riskengine_warnings"] and time.monotonic() < deadline:
            time.sleep(0.1)
        store = open_store(url)
        store.save_nodes(nodes())
        store.save_instruments(instruments())
        store.close()
        while server.get("/v1/status")["instrument_count"] == 0 and time.monotonic() < deadline:
            time.sleep(0.1)
        server.post("/v1/trades", TRADE | {"ts": int(time.time() * 1e6) - 1_000_000})
        yield scrape(server)


def problems_of(query: str, scraped: Scraped) -> Iterator[str]:
    """What a query names that `/metrics` does not have."""
    values = {"riskengine_warnings": set(warning_kinds()), "riskengine_exceptions": set(EXCEPTION_KINDS)}
    known = set(LABELS_OF_PROMETHEUS)
    for name, matchers in selectors(query):
        if name in OF_PROMETHEUS:
            continue
        if name not in scraped:
            yield f"{query}: there is no {name}"
            continue
        known |= scraped[name].keys()
        for label, operator, value in matchers:
            if label not in scraped[name].keys() | LABELS_OF_PROMETHEUS:
                yield f"{query}: {name} has no label {label}"
            elif label not in LABELS_OF_PROMETHEUS and operator in ("=", "=~"):
                there = values.get(name, scraped[name].get(label, set()))
                yield from (f"{query}: no {label} of {name} is {each}" for each in value.split("|") if each not in there)
    yield from (f"{query}: no series has a label {label}" for label in grouped(query) - known)


def warning_kinds() -> list[str]:
    """Every kind of warning: `tests/test_manual.py` holds the manual's table to the code."""
    return [kind for row in table("Warnings") for kind in re.findall(r"`(\w+)`", row[0])]


def test_every_query_of_the_dashboard_reads_what_a_running_engine_offers(scraped: Scraped) -> None:
    queries = dashboard_queries()
    assert len(queries) > 30
    assert [problem for query in queries for problem in problems_of(query, scraped)] == []


def test_every_alert_rule_reads_what_a_running_engine_offers(scraped: Scraped) -> None:
    assert [problem for rule in rules() for problem in problems_of(rule["expr"], scraped)] == []


@pytest.mark.parametrize(
    "wrong",
    [
        "riskengine_brakes_open > 0",
        'riskengine_trades_total{result="applied"}',
        'riskengine_trades_total{outcome="aplied"}',
        'riskengine_warnings{kind="brakes"} == 1',
        "sum by (reason) (rate(riskengine_trades_total[5m]))",
    ],
)
def test_a_query_that_asks_for_what_is_not_there_is_found(scraped: Scraped, wrong: str) -> None:
    assert len([*problems_of(wrong, scraped)]) == 1


def test_every_metric_is_watched_or_it_is_said_why_not() -> None:
    queries = [*dashboard_queries(), *(rule["expr"] for rule in rules())]
    read = {re.sub(r"_(?:total|bucket)$", "", selector.name) for query in queries for selector in selectors(query)}
    there = {family.name for family in Metrics().registry.collect()}
    assert sorted(there - read - UNWATCHED.keys()) == [], "neither in an alert rule nor on the dashboard"
    assert sorted(UNWATCHED.keys() - there) == []


# -- alert rules -----------------------------------------------------------------------------------------------------


def warned_about(rule: Mapping[str, Any]) -> list[str]:
    """The kinds of warning that a rule is for."""
    return [
        value
        for selector in selectors(rule["expr"])
        if selector.name == "riskengine_warnings"
        for label, operator, value in selector.matchers
        if (label, operator) == ("kind", "=")
    ]


def test_every_kind_of_warning_has_a_rule_or_a_reason_why_not() -> None:
    kinds = [kind for rule in rules() for kind in warned_about(rule)]
    assert sorted(kinds) == sorted({*kinds}), "two rules for one kind"
    assert sorted({*warning_kinds()} - {*kinds} - WITHOUT_ALERT.keys()) == [], "add a rule to alerts.yaml"
    assert sorted({*kinds} | WITHOUT_ALERT.keys()) == sorted(warning_kinds()), "a rule for a warning that no code sets"


def test_a_kind_that_the_rules_do_not_know_alarms_all_the_same() -> None:
    [other] = [rule for rule in rules() if rule["alert"] == "RiskengineOtherWarning"]
    [[(label, operator, value)]] = [selector.matchers for selector in selectors(other["expr"])]
    assert (label, operator) == ("kind", "!~")
    assert sorted(value.split("|")) == sorted(kind for rule in rules() for kind in warned_about(rule))


def test_every_rule_says_what_it_means_and_what_to_do_as_the_manual_does() -> None:
    for rule in rules():
        assert rule["labels"].keys() == {"severity"} and rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"].keys() == {"summary", "action"} and all(rule["annotations"].values())
    written = [[cell.replace("`", "").replace("\\|", "|") for cell in row] for row in table("Alarms")]
    assert written == [
        [f"{rule['alert']} ({rule['labels']['severity']})", rule["annotations"]["summary"], rule["annotations"]["action"]]
        for rule in rules()
    ]


def test_every_rule_has_a_unit_test_in_which_it_is_quiet_and_one_in_which_it_fires() -> None:
    seen: dict[str, set[float]] = {}
    for group in read_yaml("alerts_test.yaml")["tests"]:
        for check in group["promql_expr_test"]:
            [name] = re.findall(r'alertname="(\w+)"', check["expr"])
            assert name == group["name"] and 'alertstate="firing"' in check["expr"]
            seen.setdefault(name, set()).update(sample["value"] for sample in check["exp_samples"])
    assert seen == {rule["alert"]: {0, 1} for rule in rules()}


def test_promtool_finds_the_rules_right_and_their_unit_tests_pass() -> None:
    for words in (("check", "rules", ALERTS.name), ("test", "rules", "alerts_test.yaml")):
        done = promtool(*words)
        assert done.returncode == 0, done.stdout + done.stderr
    assert promtool("check", "config", "--syntax-only", "prometheus.yaml").returncode == 0
    assert read_yaml("prometheus.yaml")["rule_files"] == [ALERTS.name]


def test_promtool_can_read_every_query_of_the_dashboard(tmp_path: Path) -> None:
    queries = [query.replace("$__rate_interval", "1m") for query in dashboard_queries()]
    written = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(queries)]
    (tmp_path / "queries.yaml").write_text(json.dumps({"groups": [{"name": "dashboard", "rules": written}]}))
    done = promtool("check", "rules", tmp_path / "queries.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_panels_of_the_dashboard_lie_side_by_side_and_ask_the_chosen_prometheus_and_engine() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & taken and max(x for x, _ in cells) < 24, panel["title"]
        taken |= cells
        for target in panel.get("targets", ()):
            assert target["datasource"]["uid"] == "${datasource}"
            assert all(("instance", "=~", "$instance") in selector.matchers for selector in selectors(target["expr"]))
    numbers = [panel["id"] for panel in panels()]
    assert len(numbers) == len(set(numbers))


# -- systemd ---------------------------------------------------------------------------------------------------------


def unit() -> dict[str, list[str]]:
    """The settings of the unit, each with all its values."""
    found: dict[str, list[str]] = {}
    for line in (OPERATIONS / "riskengine.service").read_text(encoding="utf-8").splitlines():
        if line and line[0] not in "#[":
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def test_systemd_finds_the_unit_right(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("the unit is NOT verified: there is no systemd-analyze here")
    text = (OPERATIONS / "riskengine.service").read_text(encoding="utf-8")
    placed = tmp_path / "riskengine.service"
    placed.write_text(text.replace("/opt/riskengine/bin/riskengine", shutil.which("true") or "/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", placed], capture_output=True, text=True, timeout=60, check=False)
    about_it = [line for line in (done.stdout + done.stderr).splitlines() if "riskengine" in line]
    assert (done.returncode, about_it) == (0, [])
    exposure = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--no-pager", placed],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if found := re.search(r"exposure level for \S+: ([\d.]+)", exposure.stdout):
        assert float(found[1]) <= 2.0, "less hardened than it was"


def test_the_unit_starts_after_the_database_and_leaves_the_engine_time_to_stop() -> None:
    settings = unit()
    assert "postgresql.service" in settings["After"][0] and not {"Requires", "BindsTo", "PartOf"} & settings.keys()
    assert (settings["Type"], settings["KillSignal"], settings["Restart"]) == (["notify"], ["SIGTERM"], ["on-failure"])
    waits = [inspect.signature(each).parameters["timeout_s"].default for each in (StoreThread.drain, StoreThread.stop)]
    assert float(settings["TimeoutStopSec"][0]) > sum(waits) + GRACEFUL_SHUTDOWN_S + LAST_NOTE_S
    assert float(settings["WatchdogSec"][0]) > STUCK_MS / 1_000
    words = shlex.split(settings["ExecStart"][0])[1:]
    assert words[0] == "serve" and set(words[1::2]) <= {"--config"}


def test_the_engine_stops_within_the_limit_of_its_unit_with_a_client_that_stays(house_url: str, tmp_path: Path) -> None:
    with running("serve", "--port", "0", "--store", house_url, log=tmp_path / "log") as server:
        watching = subprocess.Popen(
            [sys.executable, "-m", "riskengine.cli", "watch", "--url", server.url], stdout=subprocess.DEVNULL, env=ENVIRONMENT
        )
        try:
            deadline = time.monotonic() + 30
            while server.get("/v1/status")["clients"] == 0 and time.monotonic() < deadline:
                time.sleep(0.05)
            began = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(float(unit()["TimeoutStopSec"][0])) == 0
            assert time.monotonic() - began < float(unit()["TimeoutStopSec"][0])
        finally:
            watching.kill()
            watching.wait(10)


# -- the container ---------------------------------------------------------------------------------------------------


def instructions() -> list[tuple[str, str]]:
    """The instructions of the Containerfile, continued lines joined."""
    text = (OPERATIONS / "Containerfile").read_text(encoding="utf-8")
    joined = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE))
    return [(line.partition(" ")[0], line.partition(" ")[2].strip()) for line in joined.splitlines() if line.strip()]


def last_stage() -> list[tuple[str, str]]:
    found = instructions()
    start = max(place for place, (name, _) in enumerate(found) if name == "FROM")
    return found[start:]


def test_the_container_is_not_root_and_writes_only_into_its_volume() -> None:
    stage = dict(last_stage())
    user, _, group = stage["USER"].partition(":")
    assert user.isdecimal() and group.isdecimal() and int(user) >= 1_000
    names = [name for name, _ in last_stage()]
    assert names.index("USER") > max(place for place, name in enumerate(names) if name in ("RUN", "COPY"))
    assert stage["VOLUME"] == stage["WORKDIR"] == "/var/lib/riskengine"
    assert "XDG_STATE_HOME=/var/lib/riskengine" in stage["ENV"] and "PYTHONDONTWRITEBYTECODE=1" in stage["ENV"]
    assert "--read-only" in (OPERATIONS / "Containerfile").read_text(encoding="utf-8")
    assert stage["STOPSIGNAL"] == "SIGTERM" and json.loads(stage["ENTRYPOINT"]) and json.loads(stage["CMD"])[0] == "serve"


def test_the_container_is_built_from_what_is_here_and_from_locked_packages() -> None:
    for name, text in instructions():
        assert name != "ADD" and "curl" not in text and "://" not in re.sub(r"http://127\.0\.0\.1:8321/readyz", "", text)
        if name == "COPY" and not text.startswith("--from"):
            assert [path for path in text.split()[:-1] if not (ROOT / path).exists()] == []
        for install in re.findall(r"pip install ([^&]*)", text) if name == "RUN" else ():
            assert "--require-hashes" in install or "--no-deps /wheels/" in install, install
    [program] = re.findall(r"awk '([^']*)' requirements-dev.txt", (OPERATIONS / "Containerfile").read_text(encoding="utf-8"))
    awk = ["awk", program, "requirements-dev.txt"]
    lines = subprocess.run(awk, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert set(re.findall(r"^([\w.-]+)==", lines, re.MULTILINE)) == closure("hatchling"), "what builds the wheel"


def closure(name: str) -> set[str]:
    """A package and all that it needs here."""
    found, waiting = set[str](), [name]
    while waiting:
        name = waiting.pop()
        found.add(name)
        for needed in importlib.metadata.requires(name) or ():
            if ";" not in needed and (other := re.split(r"[^\w.-]", needed)[0].lower()) not in found:
                waiting.append(other)
    return found


def test_the_health_check_of_the_container_passes_when_numbers_may_be_shown_and_fails_else(
    house_url: str, tmp_path: Path
) -> None:
    options, _, words = dict(last_stage())["HEALTHCHECK"].partition(" CMD ")
    program = json.loads(words)
    assert "--start-period" in options and program[1] == "-c"
    with running("serve", "--port", "0", "--store", house_url, log=tmp_path / "log") as server:
        asked = [sys.executable, *program[1:]]
        environment = os.environ | {"RISKENGINE_READY": f"{server.url}/readyz"}
        assert subprocess.run(asked, env=environment, timeout=30, check=False).returncode == 0
        server.stop()
        gone = subprocess.run(asked, env=environment, timeout=30, check=False, capture_output=True)
        assert gone.returncode != 0


# -- where it lies ---------------------------------------------------------------------------------------------------


def test_the_files_travel_with_the_wheel_and_with_the_source(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "hatch_build.py", "LICENSE", "README.md", "riskengine", "config"):
        (source / name).symlink_to(ROOT / name)
    script = "import sys; from hatchling.build import build_wheel; print(build_wheel(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], cwd=source, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    names = zipfile.ZipFile(tmp_path / done.stdout.splitlines()[-1]).namelist()
    there = {name.rpartition("/")[2] for name in names if "/share/riskengine/operations/" in name}
    assert there == {path.name for path in OPERATIONS.iterdir()}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "/config" in project["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]


def test_every_piece_has_its_paragraph_in_the_manual() -> None:
    page = MANUAL.read_text(encoding="utf-8")
    assert [path.name for path in OPERATIONS.iterdir() if f"`{path.name}`" not in page] == []


def test_the_options_that_the_unit_and_the_container_give_exist() -> None:
    offered = command("serve", "--help").stdout
    words = [*shlex.split(unit()["ExecStart"][0]), *json.loads(dict(last_stage())["CMD"])]
    assert [word for word in words if word.startswith("--") and word not in offered] == []
