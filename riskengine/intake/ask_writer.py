"""Asking the writer for something that may need trades which the engine has frozen: they are recalled, and it is asked again."""

from collections.abc import Callable
from typing import Any

from riskengine.engine.engine import Engine
from riskengine.engine.inbox import Inbox
from riskengine.errors import Frozen, RiskEngineError, StoreError
from riskengine.intake.store_thread import StoreThread
from riskengine.loop import Answer
from riskengine.snapshot.snapshot import UnknownName


def ask_writer(
    action: Callable[[Engine], Any], answer: Answer, inbox: Inbox, committer: StoreThread, *, again: bool = True
) -> None:
    """Have `action` done on the writer thread; `answer` gets what it returned or raised once a snapshot shows what it did.

    Where it raises Frozen, the store thread has the writer take back those positions first, once. Any thread.
    """

    def recalled(_: Any, error: StoreError | None) -> None:
        if error is None:
            ask_writer(action, answer, inbox, committer, again=False)
        else:
            answer(None, error)

    def act(engine: Engine) -> Callable[[], None] | None:
        result: Any = None
        error: Exception | None = None
        try:
            result = action(engine)
        except (RiskEngineError, UnknownName) as failure:
            error = failure
        if isinstance(error, Frozen) and again:
            keys = error.keys
            committer.write(lambda store: committer.recall_keys(keys), recalled)
            return None
        return lambda: answer(result, error)

    inbox.put_call(act)
