"""Vols, rates and Greeks over HTTP, and from publishers: checked one by one, in force with the next beat."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple, TypeVar

from starlette.responses import Response

from riskengine.errors import EngineNotLive
from riskengine.nearest import nearest
from riskengine.records.decode import open_items
from riskengine.records.fields import Rejected
from riskengine.records.option_input_checks import GreeksInput, OptionInputCheck, RateInput, SentInput, VolInput
from riskengine.records.option_inputs import OptionInput
from riskengine.records.types import Refusal
from riskengine.serve.answers.answers import Question, error_rows, json_answer
from riskengine.serve.answers.turns import decode_items, map_in_turns
from riskengine.serve.gateway import Gateway
from riskengine.serve.routes.trades import read_body

MAX_NEAR = 10
"""Unknown names of one batch for which the near one is looked for: it costs a comparison with every known name."""

_Sent = TypeVar("_Sent", bound=SentInput)


class InputsTaken(NamedTuple):
    """What became of a batch: `accepted` are in force with the next beat, `older` have no effect, the rest was refused."""

    accepted: int
    older: int
    refusals: Sequence[Refusal]


async def take_vols(question: Question) -> Response:
    """Take vols of options and surfaces. Raises HttpProblem, InputError, EngineNotLive."""
    return await _answer(question, VolInput)


async def take_rates(question: Question) -> Response:
    """Take rates, discount factors, yields and forward points. Raises as `take_vols`."""
    return await _answer(question, RateInput)


async def take_greeks(question: Question) -> Response:
    """Take value and Greeks of options that outside models value. Raises as `take_vols`."""
    return await _answer(question, GreeksInput)


async def _answer(question: Question, into: type[_Sent]) -> Response:
    gateway, principal = question.gateway, question.principal
    if not gateway.is_live:
        raise EngineNotLive(f"the engine is {gateway.state}")
    items = await decode_items(open_items(await read_body(question), into))
    taken = await take_inputs(gateway, items)
    said = {"accepted": taken.accepted, "refused": len(taken.refusals), "older": taken.older}
    if "feed" not in principal.roles:  # a person's; what feeds send is on the rows themselves
        gateway.note("option_inputs", question.request.scope["path"], said, principal.name)
    return json_answer(said | {"errors": error_rows(taken.refusals)})


async def take_inputs(gateway: Gateway, items: Sequence[_Sent | Refusal]) -> InputsTaken:
    """Check decoded items and take the good ones, in order. Raises EngineNotLive. 6 us an item, in turns."""
    check = gateway.option_input_check()
    checked = await map_in_turns(partial(_checked, check=check, now=gateway.clock.now()), enumerate(items))
    rows = [each for each in checked if not isinstance(each, Refusal | _Unknown)]
    refusals = [each for each in checked if isinstance(each, Refusal)]
    unknown = [each for each in checked if isinstance(each, _Unknown)]
    refusals += [each.refusal(check, looks=place < MAX_NEAR) for place, each in enumerate(unknown)]
    refusals.sort(key=lambda refusal: refusal.index)
    older = gateway.offer_option_inputs(rows) if rows else ()
    gateway.metrics.option_inputs["refused"].inc(len(refusals))
    return InputsTaken(len(rows) - len(older), len(older), refusals)


class _Unknown(NamedTuple):
    """An item whose subject nobody knows."""

    place: int
    error: Rejected

    def refusal(self, check: OptionInputCheck, *, looks: bool) -> Refusal:
        """Its refusal, with the known name that comes near."""
        near = nearest(self.error.unknown, check.names_of(self.error.field)) if looks else None
        hint = "" if near is None else f": did you mean {near}?"
        return Refusal(self.place, self.error.field, f"{self.error.reason}{hint}")


def _checked(numbered: tuple[int, SentInput | Refusal], check: OptionInputCheck, now: int) -> OptionInput | Refusal | _Unknown:
    index, sent = numbered
    if isinstance(sent, Refusal):
        return sent
    try:
        return check(sent, now)
    except Rejected as error:
        return _Unknown(index, error) if error.unknown else Refusal(index, error.field, error.reason)
