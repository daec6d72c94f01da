"""Every exception of riskengine, by who must act.

RiskEngineError
 +-- ConfigError            the person who edits the configuration
 +-- ReferenceDataError     the person who keeps nodes and instruments
 +-- InputError             whoever sent this file or message
 +-- StoreError             the person who runs the database
 |    +-- StoreUnavailable  may pass by itself: wait and try again
 |    +-- StoreCorrupt      restore from a backup
 |    +-- StoreNewer        install the newer program
 +-- LeaseHeld              another engine is the writer of this store
 +-- InboxFull              the sender: wait and send again, nothing was stored
 +-- EngineNotLive          wait: the engine is starting or stopping
 +-- StartRefused           the person who starts the engine: find out why, or accept it
 +-- EngineUnreachable      the person who runs the engine that a command talks to
 +-- ComparisonFailed       try again: engine and store could not be compared
 +-- client.ClientError     whoever uses the Python client (riskengine/client/errors.py)

A mistake of the world is one of these, with a message that names what and where, or a `Refusal` record
where a batch goes on without the bad item. A mistake of ours is an AssertionError and is not caught.
"""

from collections.abc import Iterable


class RiskEngineError(Exception):
    """Base of all errors that a user can meet; `str()` is one clear line."""


class ConfigError(RiskEngineError):
    """The configuration or a command-line option is wrong; the message names the setting."""


class ReferenceDataError(RiskEngineError):
    """Nodes or instruments that cannot form a tree or a book; the message names the record."""


class InputError(RiskEngineError):
    """A whole file or message that cannot be read; the message names the place."""


class StoreError(RiskEngineError):
    """The store answered with an error; the message names the store without its password."""


class StoreUnavailable(StoreError):
    """The store cannot be reached or written now; the same call may succeed later."""


class StoreCorrupt(StoreError):
    """The store's file is not a store or is damaged."""


class StoreNewer(StoreError):
    """The store's schema was written by a newer version of this program."""


class LeaseHeld(StoreError):
    """Another process is the writer of this store; the message names the holder."""


class InboxFull(RiskEngineError):
    """No room for more trades; nothing of the batch was stored."""


class EngineNotLive(RiskEngineError):
    """The engine is starting, stopping or could not start."""


class StartRefused(RiskEngineError):
    """The engine and its store contradict each other, and nobody said to go on. `reasons` are (kind, line)."""

    def __init__(self, reasons: Iterable[tuple[str, str]]) -> None:
        self.reasons = tuple(reasons)
        super().__init__("; ".join(line for _, line in self.reasons) + " (--accept-mismatch goes live with it)")


class Frozen(RiskEngineError):
    """What was asked for needs trades that the engine holds no more: those of `keys`, (roll-up, owner, instrument)."""

    def __init__(self, keys: Iterable[tuple[str, str, str]]) -> None:
        self.keys = tuple(keys)
        super().__init__(f"positions whose trades are to be read from the store again: {len(self.keys):,}")


class EngineUnreachable(RiskEngineError):
    """A command could not talk to the engine at the given URL."""


class ComparisonFailed(RiskEngineError):
    """Engine and store could not be compared; nothing is known to be wrong with either."""
