"""The table `scenario_shifts`: what people load of scenarios. Inside the caller's transaction."""

from collections.abc import Sequence

from riskengine.records.scenario_shifts import ScenarioShift
from riskengine.store.audit_trail import Trail
from riskengine.store.queries import Transaction
from riskengine.store.results import Saved
from riskengine.store.tables.reference import SCENARIO_FIELDS, compare


def scenario_shifts(transaction: Transaction) -> list[ScenarioShift]:
    """All shifts, those taken out among them, in the order in which they were first loaded. 2 us each."""
    return [
        ScenarioShift(
            scenario=scenario,
            factor=factor,
            instrument=instrument,
            currency=currency,
            sector=sector,
            everything=bool(everything),
            relative=relative,
            absolute=absolute,
            comment=comment,
        )
        for scenario, factor, instrument, currency, sector, everything, relative, absolute, comment in transaction.rows(
            "scenario_shifts_in_order"
        )
    ]


def save_scenario_shifts(transaction: Transaction, records: Sequence[ScenarioShift], trail: Trail) -> Saved:
    """Insert or replace by scenario, factor and what is shifted, and record the changes in the trail."""
    stored = {shift.key: shift for shift in scenario_shifts(transaction)}
    saved, found = compare(records, stored, lambda shift: shift.key)
    changed = {shift.key: shift for shift in found}
    rows = [(*key[:5], int(key[5]), each.relative, each.absolute, each.comment) for key, each in changed.items()]
    transaction.run("scenario_shift_save", rows)
    trail.records("scenario_shifts", SCENARIO_FIELDS, rows)
    return saved
