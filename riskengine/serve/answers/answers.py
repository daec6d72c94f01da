"""A question and its answer: the snapshot that it is about, the header that says so, the rows as JSON or CSV.

Readers take the snapshot's reference and lock nobody.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

from msgspec import structs
from starlette.requests import Request
from starlette.responses import Response

from riskengine.config import Config, KindLimits
from riskengine.engine.moment import THEN, Known, Moment
from riskengine.errors import EngineNotLive
from riskengine.records.types import Refusal
from riskengine.serve.answers.coding import q_values
from riskengine.serve.answers.params import Sort
from riskengine.serve.answers.problems import bad_field
from riskengine.serve.answers.turns import SlicedResponse
from riskengine.serve.answers.wire import CSV, JSON, ROWS_PER_SLICE, csv_slices, encode, json_list, json_slices
from riskengine.serve.gateway import Gateway, principal_of
from riskengine.snapshot.rows import RowDict
from riskengine.snapshot.snapshot import Snapshot
from riskengine.views.grants import Grants, Principal

MAX_WHOLE_ROWS = 2_000
"""Rows of the longest answer that is built whole: 1.5 MB, 10 ms of work."""


class Question:
    """A request whose parameters have been read: `values` by name. Its whole answer comes from one `snapshot`."""

    __slots__ = ("_snapshot", "gateway", "moment", "request", "values")

    def __init__(self, gateway: Gateway, request: Request, values: dict[str, Any]) -> None:
        self.gateway = gateway
        self.request = request
        self.values = values
        self._snapshot: Snapshot | None = None
        self.moment: Moment | None = None
        """The moment of the past that the question is about; None: it is about a snapshot of now."""

    async def find_moment(self) -> None:
        """Find the moment of `as_of=`, where it is given. Raises HttpProblem, BeforeTheStore, TooBusy, StoreError."""
        asked: int | None = self.values.get("as_of")
        known: Known | None = self.values.get("known")
        if asked is None:
            if known is not None:
                raise bad_field("known", "goes with as_of: of which moment?")
            return
        if self.values.get("seq") is not None:
            raise bad_field("seq", "cannot be combined with as_of: both name a snapshot")
        if not self.gateway.is_live:
            raise EngineNotLive(f"the engine is {self.gateway.state}")
        if asked > (now := self.gateway.clock.now()):
            raise bad_field("as_of", f"is in the future: now is {now}")
        self.moment = await self.gateway.moment(asked, known or THEN)
        self._snapshot = self.moment.engine.snapshot

    @property
    def snapshot(self) -> Snapshot:
        """The newest, or that of `seq=` or of the moment. Raises EngineNotLive, SeqGone or SnapshotNotYet."""
        if self._snapshot is None:
            if not self.gateway.is_live:
                raise EngineNotLive(f"the engine is {self.gateway.state}")
            history = self.gateway.history
            seq: int | None = self.values.get("seq")
            self._snapshot = history.newest if seq is None else history.at(seq)
        return self._snapshot

    @property
    def principal(self) -> Principal:
        """Who asks."""
        return principal_of(self.request.scope)

    @property
    def grants(self) -> Grants:
        """Whose numbers the principal may see."""
        return self.principal.grants

    @property
    def exact(self) -> bool:
        """Whether numbers are to be decimal texts."""
        return bool(self.values.get("exact"))

    @property
    def sort(self) -> Sort | None:
        """The field to sort by."""
        return self.values.get("sort")

    @property
    def wants_csv(self) -> bool:
        """Whether `format=`, or else the Accept header, asks for CSV."""
        chosen = self.values.get("format")
        return prefers_csv(self.request.headers.get("accept", "")) if chosen is None else chosen == "csv"

    def header(self) -> RowDict:
        """The first fields of every answer about a snapshot."""
        return stamp(self.snapshot) | self._told()

    def valued_header(self) -> RowDict:
        """The header of answers with amounts: also the settings that decide them."""
        settings = policies(self.gateway.config)
        return self.header() | {"reporting_currency": settings["reporting_currency"], "policies": settings}

    def _told(self) -> RowDict:
        """What an answer about the past says beside its numbers."""
        return {} if self.moment is None else {"moment": told_of(self.moment)}


Handler = Callable[[Question], Awaitable[Response]]
"""Answers one operation."""


class ListAnswer(NamedTuple):
    """The rows of a list answer: `row_of` turns an item into a row. `total` counts the rows of the whole list; None is unknown.

    `items_are_rows`: only the encoding is left, 0.5 us a row as JSON.
    """

    header: RowDict
    fields: Sequence[str]
    items: Sequence[Any]
    row_of: Callable[[Any], RowDict]
    total: int | None
    items_are_rows: bool = False


def stamp(snapshot: Snapshot) -> RowDict:
    """Which snapshot an answer is about."""
    return {"epoch": snapshot.epoch, "seq": snapshot.seq, "as_of": snapshot.as_of}


def told_of(moment: Moment) -> RowDict:
    """What an answer says of the moment that it is about."""
    return {"asked": moment.asked, "exact_at": moment.exact_at, "known": moment.known, "unknown": list(moment.unknown)}


def policies(config: Config) -> RowDict:
    """The settings that decide visible numbers (`shapes.POLICIES`)."""
    engine, marks = config.engine, config.marks
    return {
        "reporting_currency": engine.reporting_currency,
        "day_boundary": engine.day_boundary,
        "day_zone": engine.day_zone,
        "tolerance_s": engine.tolerance_s,
        "future_limit_s": engine.future_limit_s,
        "beat_ms": engine.beat_ms,
        "stale_after_s": marks.stale_after_s,
        "max_cross_bp": marks.max_cross_bp,
        "max_move": limits_row(marks.max_move),
        "off_market": limits_row(config.trades.off_market),
        "suspect_release_s": marks.suspect_release_s,
        "price_units": config.price_units,
    }


def limits_row(limits: float | KindLimits) -> float | RowDict:
    """A limit on prices: one number for all kinds, or a number by kind."""
    return limits if isinstance(limits, int | float) else structs.asdict(limits)


def prefers_csv(accept: str) -> bool:
    """Whether an Accept header names CSV, and does not prefer JSON to it."""
    named = q_values(accept)
    csv = named.get("text/csv", 0.0)
    return csv > 0.0 and csv >= named.get("application/json", 0.0)


def json_answer(content: object) -> Response:
    """A small answer."""
    return Response(encode(content), media_type=JSON)


def error_rows(refusals: Iterable[Refusal]) -> list[RowDict]:
    """The `errors` of an answer to a batch: index, field and reason of each item that was refused."""
    return [{"index": refusal.index, "field": refusal.field, "reason": refusal.reason} for refusal in refusals]


def posted_answer(
    snapshot: Snapshot, outcomes: Iterable[str], results: Sequence[RowDict], refusals: Iterable[Refusal], seq: int | None = None
) -> Response:
    """The answer to posted items: the `results` in their order, and how many came to each of `outcomes`.

    `seq` is that of a snapshot which shows them; None: that of `snapshot`.
    """
    counts = dict.fromkeys(outcomes, 0)
    for result in results:
        counts[result["status"]] += 1
    shown = {"epoch": snapshot.epoch, "seq": snapshot.seq if seq is None else seq}
    return json_answer({**shown, "results": results, "counts": counts, "errors": error_rows(refusals)})


def _moment_headers(told: RowDict | None) -> dict[str, str]:
    """What an answer in CSV says of a moment: `unknown` as one line, sentences apart by semicolons."""
    if told is None:
        return {}
    said = {"asked": told["asked"], "exact-at": told["exact_at"], "known": told["known"], "unknown": "; ".join(told["unknown"])}
    return {f"riskengine-{name}": "" if value is None else str(value) for name, value in said.items()}


def list_answer(question: Question, answer: ListAnswer) -> Response:
    """Rows as JSON or CSV.

    A short list is made at once, one of up to MAX_WHOLE_ROWS in a thread, a longer one slice by slice while it is sent.
    """
    headers: dict[str, str] = {}
    slices: Callable[[], Iterator[bytes]]
    if question.wants_csv:
        seen = answer.header
        headers |= {f"riskengine-{name.replace('_', '-')}": str(seen[name]) for name in ("epoch", "seq", "as_of")}
        headers |= _moment_headers(seen.get("moment"))
        headers["riskengine-total"] = "" if answer.total is None else str(answer.total)
        slices, media_type = partial(csv_slices, answer.fields, answer.items, answer.row_of), CSV
    elif len(answer.items) <= (MAX_WHOLE_ROWS if answer.items_are_rows else ROWS_PER_SLICE):
        made = [answer.row_of(item) for item in answer.items]
        return Response(json_list(answer.header, made, answer.total), headers=headers, media_type=JSON)
    else:
        slices, media_type = partial(json_slices, answer.header, answer.items, answer.row_of, answer.total), JSON
    if len(answer.items) <= ROWS_PER_SLICE:
        return Response(b"".join(slices()), headers=headers, media_type=media_type)
    return SlicedResponse(slices, headers, media_type, fits=len(answer.items) <= MAX_WHOLE_ROWS)
