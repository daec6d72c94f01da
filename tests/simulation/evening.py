"""The evening: faults have stopped, and everything must come to what the oracle says, and stay so over a restart."""

from fractions import Fraction
from typing import TYPE_CHECKING, Any

from tests.simulation import oracle
from tests.simulation.closes import closes
from tests.simulation.fibers import MICROS
from tests.simulation.house import LATER_DESK, PARENTS, TERMS
from tests.simulation.oracle import Held, Row, near

if TYPE_CHECKING:
    from tests.simulation.world import World

CONVERGE_US = 240 * MICROS
"""Within this time after the last fault everything is as the oracle says: the longest delay of a message is 90 s."""
STEP_S = 2.0
NOT_YET = "not yet: "


def converge(world: "World") -> None:
    """Wait until everything is right; fail if it is not in time."""
    scheduler = world.scheduler
    end = scheduler.now + CONVERGE_US
    world.add("calm")
    world.prices.is_on = False
    problem = ""
    while scheduler.now < end:
        world.live_for(STEP_S)
        if problem := settled(world):
            continue
        world.prices.send(list(TERMS))
        world.live_for(1.0 + 2.0 * world.knobs.beat_ms / 1_000)
        world.prices.send(list(TERMS), step=False)
        world.live_for(1.0 + 2.0 * world.knobs.beat_ms / 1_000)
        world.prices.send(list(TERMS), step=False)
        world.prices.send_old()
        world.live_for(1.0 + 2.0 * world.knobs.beat_ms / 1_000)
        if not (problem := check(world)):
            world.count("evenings")
            world.count("converged_us", scheduler.now - (end - CONVERGE_US))
            return
    name, _, text = problem.partition(": ")
    world.fail(name, f"{text} (still so {CONVERGE_US // MICROS} s after the last fault)")
    raise world.scheduler.errors[0]


def settled(world: "World") -> str:
    """What has not come to rest yet: the engine, or what is on its way to it."""
    machine = world.machine
    if machine is None or machine.state != "live" or machine.process is None or machine.process.state != "live":
        return f"live: the engine is {machine.state if machine else 'not there'}"
    if world.operators.went_back_lately or world.expect_refusal:
        return "went_back: the older store is not accepted yet"
    waiting = [each for source in world.sources for each in source.unacknowledged.values()]
    if waiting:
        return f"acknowledged: {len(waiting)} trades are not acknowledged, first {waiting[0].key}"
    if len(world.machines) > 1 and sum(not each.is_over for each in world.machines) > 1:
        return "lease: two engines run"
    return ""


def check(world: "World") -> str:
    """What is wrong, as `check: text`; empty if nothing is."""
    rows, verdicts = stored(world)
    if problem := truth(world, rows):
        return problem
    if world.edited:
        for _ in range(2):
            answer = world.ask_now("POST", "/v1/reconcile", b'{"repair": true}')
            world.add(f"evening repair {None if answer is None else (answer.status, len(answer.values.get('breaks', ())))}")
    day = engine_day(world)
    accepted = accepted_by(verdicts)
    desks = world.desks
    effective = oracle.effective(rows, accepted, desks, day)
    for part in (marks, positions, totals):
        if problem := part(world, effective):
            return problem
    if problem := screens(world, effective):
        return problem
    if problem := closes(world, rows, verdicts):
        return problem
    return reconciled(world)


def accepted_by(verdicts: dict[str, tuple[str, int]]) -> Any:
    def accepted(row: Row) -> bool:
        return verdicts.get(row.exception, ("", 0))[0] == "accept"

    return accepted


def stored(world: "World") -> tuple[list[Row], dict[str, tuple[str, int]]]:
    """What is committed: the rows of trades, and the verdicts by exception."""
    rows = [Row._make(row) for row in world.look(oracle.READ_TRADES)]
    verdicts = {row[0]: (row[1], row[2]) for row in world.look("SELECT id, verdict, ts FROM verdicts")}
    return rows, verdicts


def engine_day(world: "World") -> str:
    """The trading day that has begun: the one after the newest boundary."""
    return (world.date if world.wall_us() < world.boundary(world.date) else world.next_day()).isoformat()


# -- the store against the truth ---------------------------------------------------------------------------------


def truth(world: "World", rows: list[Row]) -> str:
    """Every true trade is there, once, as somebody sent it, and nothing else is."""
    found = {(*row.identity, row.version): row for row in rows if row.source != "odd"}
    for key, records in world.records.items():
        row = found.pop(key, None)
        if row is None:
            if known := [each for each in records if each.is_promised]:
                return f"lost: {key} was acknowledged ({known[0].outcome}) and is not stored"
            continue
        if not any(_is(row, each.payload) for each in records):
            return f"stored: row {row} is no record that anybody sent"
        stands = world.stands.get(key)
        if stands is not None and key not in world.contested and not _is(row, stands):
            return f"stands: row {row} is stored, and {stands} was said to stand"
    if found:
        return f"invented: {next(iter(found))} is stored, and nobody sent it"
    return ""


def _is(row: Row, payload: dict[str, Any]) -> bool:
    """Whether a stored row says what a record says."""
    if row.action != payload.get("action", "new"):
        return False
    if row.action == "cancel":
        return True
    return (
        row.ts == payload["ts"]
        and (row.instrument, row.desk, row.dealer, row.side)
        == (payload["instrument"], payload["desk"], payload.get("dealer", ""), payload["side"])
        and Fraction(row.quantity or 0) == Fraction(str(payload["quantity"]))
        and Fraction(row.price or 0) == Fraction(str(payload["price"]))
        and Fraction(row.fees or 0) == Fraction(str(payload.get("fees") or 0))
        and row.value_date == (payload.get("value_date") or "")
    )


# -- the engine against the oracle -------------------------------------------------------------------------------


def marks(world: "World", effective: list[Row]) -> str:
    """Each mark is the newest tick, and says so; none is shown as fresh that is not."""
    answer = world.ask_now("GET", "/v1/marks")
    if answer is None or answer.status != 200:
        return f"answer: GET /v1/marks: {answer}"
    as_of = answer.values["as_of"]
    for row in answer.values["rows"]:
        last = world.prices.last.get(row["instrument"])
        if "@" in row["instrument"] or last is None:
            continue
        if (row["ts"], row["price"]) != last:
            return f"mark: {row['instrument']} shows {row['price']} of {row['ts']}, the newest tick is {last}"
        if row["stale"] != (as_of - row["ts"] > 60 * MICROS):
            return f"stale: {row['instrument']} is {row['age_ms']} ms old and says stale={row['stale']}"
    return ""


def positions(world: "World", effective: list[Row]) -> str:
    """Quantities, cash, averages, counts and amounts of every position, in both roll-ups."""
    current = {name: price for name, (_, price) in world.prices.last.items()}
    nodes = {**dict.fromkeys(world.desks, "")}
    for by, owners in (("desk", nodes), ("dealer", dict.fromkeys(sorted({row.dealer for row in effective}), ""))):
        wanted = oracle.positions(effective, by)
        shown: dict[tuple[str, str], dict[str, Any]] = {}
        if by == "desk":
            answer = world.ask_now("GET", "/v1/positions", exact="true", limit=10_000)
            answers = [answer]
        else:
            answers = [world.ask_now("GET", "/v1/positions", dealer=name, exact="true", limit=10_000) for name in owners]
        for answer in answers:
            if answer is None or answer.status != 200:
                return f"answer: GET /v1/positions: {answer}"
            for row in answer.values["rows"]:
                shown[row["node" if by == "desk" else "dealer"], row["instrument"]] = row
        for key in sorted(wanted.keys() | shown.keys()):
            held, row = wanted.get(key), shown.get(key)
            if held is None and row is not None and not row["trade_count"]:
                continue  # it was held at the last close: listed to the end of the day
            if held is None or row is None:
                return f"position: {by} {key} is {'missing' if row is None else 'shown, and should not be'}"
            if problem := _differs(key[1], held, row, current):
                return f"position: {by} {key}: {problem}"
    return ""


def _differs(symbol: str, held: Held, row: dict[str, Any], current: dict[str, float]) -> str:
    if Fraction(row["quantity"] or 0) != held.quantity or Fraction(row["net_cash"] or 0) != held.cash:
        return f"quantity {row['quantity']}, cash {row['net_cash']}; should be {float(held.quantity)}, {float(held.cash)}"
    if row["quarantined"]:
        return "it is set aside"
    if row["trade_count"] != held.trades:
        return f"{row['trade_count']} trades; should be {held.trades}"
    if not near(row["average_price"], held.average, abs(held.average or 1.0)):
        return f"average {row['average_price']}; should be {held.average}"
    worth = oracle.worth(symbol, held, current)
    for name, amount in (("total_pnl", worth.total), ("unrealised_pnl", worth.unrealised), ("fees", worth.fees)):
        if "@" in symbol and name != "fees" and not held.quantity:
            continue
        if not near(row[name], amount, worth.scale):
            return f"{name} {row[name]}; should be {amount}"
    return ""


def totals(world: "World", effective: list[Row]) -> str:
    """The sums of the tree."""
    answer = world.ask_now("GET", "/v1/nodes", exact="true")
    if answer is None or answer.status != 200:
        return f"answer: GET /v1/nodes: {answer}"
    current = {name: price for name, (_, price) in world.prices.last.items()}
    sums = node_sums(world, effective, current)
    for row in answer.values["rows"]:
        total, scale, trades, unpriced = sums.get(row["node"], (0.0, 1.0, 0, 0))
        if not near(row["total_pnl"], total, scale):
            return f"total: node {row['node']} shows {row['total_pnl']}; should be {total}"
        if row["trade_count"] != trades:
            return f"total: node {row['node']} counts {row['trade_count']} trades; should be {trades}"
        if row["unpriced_count"] != unpriced:
            return f"total: node {row['node']} counts {row['unpriced_count']} unpriced; should be {unpriced}"
    return ""


def node_sums(world: "World", effective: list[Row], current: dict[str, float]) -> dict[str, tuple[float | None, float, int, int]]:
    """Total, scale, trades and unpriced positions of every node. The total is unknown where nothing is priced."""
    parents = PARENTS | {LATER_DESK: "G10"}
    sums: dict[str, tuple[float | None, float, int, int]] = {}
    for (desk, symbol), held in oracle.positions(effective, "desk").items():
        worth = oracle.worth(symbol, held, current)
        node = desk
        while node:
            total, scale, trades, unpriced = sums.get(node, (None, 1.0, 0, 0))
            missing = int(worth.total is None and (held.quantity != 0 or ("@" in symbol and held.cash != 0)))
            known = total if worth.total is None else (total or 0.0) + worth.total
            sums[node] = known, scale + worth.scale, trades + held.trades, unpriced + missing
            node = parents[node]
    return sums


def screens(world: "World", effective: list[Row]) -> str:
    """The copies of the clients, each patched from its stream alone."""
    wanted = oracle.positions(effective, "desk")
    current = {name: price for name, (_, price) in world.prices.last.items()}
    sums = node_sums(world, effective, current)
    for screen in world.screens:
        if screen.machine is not world.machine or screen.machine is None or screen.epoch != screen.machine.process._epoch:  # type: ignore[union-attr]
            return f"screen: client {screen.number} is not connected"
        for name in screen.names:
            if name == "nodes":
                for row in screen.rows[name].values():
                    total, scale, trades, _ = sums.get(row["node"], (0.0, 1.0, 0, 0))
                    if not near(row["total_pnl"], total, scale) or row["trade_count"] != trades:
                        return f"screen: client {screen.number}: {row['node']} {row['total_pnl']}; should be {total}"
            elif name in ("fx1", "fx2", "eq1"):
                desk = name.upper()
                rows = {row["instrument"]: row for row in screen.rows[name].values()}
                for (owner, symbol), held in wanted.items():
                    if owner == desk and (symbol not in rows or abs(rows[symbol]["quantity"] - float(held.quantity)) > 1e-6):
                        return f"screen: client {screen.number}: {desk} {symbol} {rows.get(symbol)}; should be {held}"
    return ""


# -- the engine against the store -------------------------------------------------------------------------------


def reconciled(world: "World") -> str:
    """Engine and store say the same of themselves."""
    answer = world.ask_now("POST", "/v1/reconcile", b'{"repair": false}')
    if answer is None or answer.status != 200:
        return f"answer: POST /v1/reconcile: {answer}"
    if answer.values["breaks"]:
        return f"break: {answer.values['breaks'][0]}"
    return ""


# -- the restart -------------------------------------------------------------------------------------------------


def restart(world: "World") -> None:
    """Stop or kill the engine, start it again, and hold it to the same digest and positions."""
    before = world.ask_now("GET", "/v1/digest")
    machine = world.machine
    if machine is None or before is None or before.status != 200:
        world.fail("answer", f"GET /v1/digest: {before}")
        raise world.scheduler.errors[0]
    world.holds_boot = True
    if world.random.random() < 0.5:
        world.note("evening_stop")
        machine.ask_to_stop()
        world.scheduler.run(world.scheduler.now + 30 * MICROS, lambda: machine.is_over)
        if not machine.is_over:
            world.fail("stop", "the engine does not stop within 30 s")
            raise world.scheduler.errors[0]
    else:
        world.note("evening_kill")
        machine.die("crash_now")
    world.holds_boot = False
    world.scheduler.run(
        world.scheduler.now + 30 * MICROS,
        lambda: world.machine is not machine and world.machine is not None and world.machine.state == "live",
    )
    after = world.ask_now("GET", "/v1/digest")
    if after is None or after.status != 200 or after.values["digest"] != before.values["digest"]:
        world.fail("digest", f"{before.values} before the restart, {after.values if after else None} after it")
    rows, verdicts = stored(world)
    effective = oracle.effective(rows, accepted_by(verdicts), world.desks, engine_day(world))
    if problem := positions(world, effective):
        name, _, text = problem.partition(": ")
        world.fail(name, f"after the restart: {text}")
    world.add(f"digest {before.values['digest']}")
    if world.scheduler.errors:
        raise world.scheduler.errors[0]
