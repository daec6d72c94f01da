"""Summarises the runs of the fan-out bench in a table: median, lowest and highest of each figure, and its target."""

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

Run = Mapping[str, Any]


class Row(NamedTuple):
    """One figure over all runs. `asked` is its upper limit (lower limit if `least`), None if it has no target."""

    what: str
    values: Sequence[float]
    unit: str
    asked: float | None = None
    least: bool = False

    @property
    def median(self) -> float:
        return float(statistics.median(self.values))

    @property
    def met(self) -> bool:
        if self.asked is None:
            return True
        return self.median >= self.asked if self.least else self.median <= self.asked


def process(run: Run, role: str) -> Mapping[str, Any]:
    """The report of the worst process of a role."""
    found = [report for report in run["processes"] if report["role"] == role]
    return max(found, key=lambda report: report.get("as_of_to_received_ms", {}).get("p99", 0.0)) if found else {}


def _time_of(role: str, name: str, share: str) -> Callable[[Run], float]:
    """A function that reads a time of one role from a run."""
    return lambda run: float(process(run, role)[name][share])


def _cpu_of(role: str) -> Callable[[Run], float]:
    return lambda run: float(process(run, role)["instrument"]["cpu_percent"])


def _timer_lateness(run: Run) -> float:
    return float(process(run, "probe")["instrument"]["timer_late_ms"]["p99"])


def _server_figure(name: str) -> Callable[[Run], float]:
    return lambda run: float(run["server"][name])


def load_rows(runs: Sequence[Run], title: str, asked: bool) -> list[Row]:
    figures: list[tuple[str, str, Callable[[Run], float], float | None]] = [
        ("trade posted to patch, p50", "ms", _time_of("probe", "posted_to_patch_ms", "p50"), 8.0),
        ("trade posted to patch, p99", "ms", _time_of("probe", "posted_to_patch_ms", "p99"), 25.0),
        ("trade applied to patch, p50", "ms", _time_of("probe", "applied_to_patch_ms", "p50"), 1.0),
        ("trade applied to patch, p99", "ms", _time_of("probe", "applied_to_patch_ms", "p99"), 10.0),
        ("HTTP page of a ladder, p99", "ms", _time_of("probe", "ladder_page_ms", "p99"), 10.0),
        ("HTTP /healthz, p99", "ms", _time_of("probe", "healthz_ms", "p99"), None),
        ("trade posted to answer, p50", "ms", _time_of("probe", "posted_to_answer_ms", "p50"), None),
        ("price update, snapshot to received, p99", "ms", _time_of("screens", "as_of_to_received_ms", "p99"), None),
        ("updates to screens", "/s", lambda run: total(run, "updates_per_s"), None),
        ("bytes to screens", "MB/s", lambda run: total(run, "mb_per_s"), None),
        ("ticks taken", "/s", _server_figure("ticks_per_s"), None),
        ("trades applied", "/s", _server_figure("trades_per_s"), None),
        ("server's processor", "%", _server_figure("cpu_percent"), None),
        ("of that its event loop", "%", _server_figure("loop_cpu_percent"), None),
        ("server resident", "MB", _server_figure("resident_mb"), None),
        ("screens' processor (the measuring process)", "%", _cpu_of("screens"), None),
        ("the probe's timer late, p99", "ms", _timer_lateness, None),
    ]
    return [
        Row(f"{title}: {what}", [read(run) for run in runs], unit, limit if asked else None)
        for what, unit, read, limit in figures
    ]


def total(run: Run, name: str) -> float:
    return float(sum(said.get(name, 0) for said in run["processes"] if said["role"] == "screens"))


def broadcast_rows(runs: Sequence[Run]) -> list[Row]:
    rows = [Row("broadcast: bytes of a patch", [run["bytes"] for run in runs], "B")]
    for kind in ("engine", "picows", "uvicorn"):
        for name in ("p50", "p99"):
            values = [process(run[kind], "screens")["as_of_to_received_ms"][name] for run in runs]
            limit = 35.0 if (kind, name) == ("engine", "p99") else None
            rows.append(Row(f"broadcast, {kind}: to received, {name}", values, "ms", limit))
        rows.append(Row(f"broadcast, {kind}: updates", [total(run[kind], "updates_per_s") for run in runs], "/s"))
        rows.append(Row(f"broadcast, {kind}: server's processor", [run[kind]["server"]["cpu_percent"] for run in runs], "%"))
        taken = [process(run[kind], "screens")["instrument"]["cpu_percent"] for run in runs]
        rows.append(Row(f"broadcast, {kind}: clients' processor", taken, "%"))
    rows.append(Row("broadcast: engine / picows, p99", [run["ratio_p99"] for run in runs], "x", 1.3))
    return rows


def idle_rows(runs: Sequence[Run]) -> list[Row]:
    rows = []
    for kind in ("connected", "subscribed"):
        rows.append(Row(f"idle, {kind}: each", [run[kind]["kib_each"] for run in runs], "KiB", 40.0))
        rows.append(Row(f"idle, {kind}: server's processor", [run[kind]["server"]["cpu_percent"] for run in runs], "%"))
        rows.append(Row(f"idle, {kind}: connections lost", [run[kind]["lost"] for run in runs], "", 0.0))
    return rows


def rows_of(runs: Sequence[Run]) -> list[Row]:
    """All figures of these runs."""
    rows: list[Row] = []
    for scenario in ("load", "broadcast", "idle"):
        found = [run for run in runs if run["scenario"] == scenario]
        if found:
            make = {"load": lambda f: load_rows(f, "load", True), "broadcast": broadcast_rows, "idle": idle_rows}[scenario]
            rows += make(found)
    grown: dict[tuple[str, int], list[Run]] = {}
    for run in runs:
        if run["scenario"] == "growth":
            grown.setdefault((run["grows"], run[run["grows"]]), []).append(run)
    for (what, number), found in grown.items():
        rows += load_rows(found, f"{number:,} {what}", False)
    return rows


def table(runs: Sequence[Run], machine: Mapping[str, Any]) -> str:
    """The table of all figures, as Markdown."""
    facts = ", ".join(f"{name} {value}" for name, value in machine.items())
    lines = [f"{facts}", "", "| what | median | lowest | highest | asked | |", "|---|---|---|---|---|---|"]
    lines += map(_line, rows_of(runs))
    reports = ((run["scenario"], report) for run in runs for report in _reports(run))
    saturated = sorted({f"{scenario}: {report['role']}" for scenario, report in reports if report["instrument"]["saturated"]})
    lines += ["", "Saturated client processes: " + (", ".join(saturated) or "none") + "."]
    return "\n".join(lines)


def _line(row: Row) -> str:
    asked = "" if row.asked is None else f"{row.asked:g} {row.unit}".strip()
    verdict = "" if row.asked is None else "met" if row.met else "not met"
    lowest, highest = _format(min(row.values)), _format(max(row.values))
    return f"| {row.what} | {_format(row.median)} {row.unit} | {lowest} | {highest} | {asked} | {verdict} |"


def _format(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _reports(run: Run) -> Iterable[Mapping[str, Any]]:
    yield from run.get("processes", ())
    for kind in ("engine", "picows", "uvicorn"):
        yield from run.get(kind, {}).get("processes", ())
