"""Every exception of riskengine, sorted by who must act.

RiskEngineError
 +-- ConfigError            the person who edits the configuration
 +-- ReferenceDataError     the person who keeps nodes and instruments
 +-- InputError             the sender of the file or message
 +-- StoreError             the person who runs the database
 |    +-- StoreUnavailable  nobody yet: wait and try again
 |    |    +-- StoreWentBack the same person: put the newer store back, or accept the older one
 |    +-- StoreCorrupt      the same person: restore a backup
 |    +-- StoreNewer        the same person: install the newer program
 |    +-- LeaseHeld         the same person: another engine is the writer of this store
 +-- InboxFull              the sender: wait and send again; nothing was stored
 +-- TooBusy                the person who asked: wait and ask again
 +-- BeforeTheStore         the person who asked: the store does not reach so far back
 +-- EngineNotLive          wait: the engine is starting or stopping
 +-- StartRefused           the person who starts the engine: find the cause, or accept it
 +-- EngineUnreachable      the person who runs the engine that a command talks to
 +-- Frozen                 the engine: read these positions from the store again, then repeat
 +-- ComparisonFailed       the person who asked: try again
 +-- client.ClientError     the user of the Python client (riskengine/client/errors.py)

A mistake of the world raises one of these, with a message that names what and where, or becomes a `Refusal` record
where the batch goes on without the bad item. A mistake of ours is an AssertionError, which nothing catches.
"""

from collections.abc import Iterable


class RiskEngineError(Exception):
    """Base of all errors that a user can meet. `str()` gives one clear line."""


class ConfigError(RiskEngineError):
    """The configuration or a command-line option is wrong; the message names the setting."""


class ReferenceDataError(RiskEngineError):
    """Nodes or instruments do not form a tree or a book; the message names the record."""


class InputError(RiskEngineError):
    """A whole file or message is unreadable; the message names the place."""


class StoreError(RiskEngineError):
    """The store reported an error; the message names the store without its password."""


class StoreUnavailable(StoreError):
    """The store is unreachable or cannot be written now; the same call may succeed later."""


class StoreWentBack(StoreUnavailable):
    """The store is behind what this program acknowledged, or another file: nothing may be written to it until a restart."""


class StoreCorrupt(StoreError):
    """The store's file is not a store or is damaged."""


class StoreNewer(StoreError):
    """A newer version of this program wrote the store's schema."""


class LeaseHeld(StoreError):
    """Another process is the writer of this store; the message names the holder."""


class InboxFull(RiskEngineError):
    """The inbox has no room for the batch; none of it was stored."""


class TooBusy(RiskEngineError):
    """Too many questions of one kind wait already; this one was not taken."""


class BeforeTheStore(RiskEngineError):
    """The moment that was asked for lies before everything that the store holds."""


class EngineNotLive(RiskEngineError):
    """The engine is starting, is stopping, or failed to start."""


class StartRefused(RiskEngineError):
    """Engine and store disagree, and nobody has accepted that. `reasons` are (kind, line)."""

    def __init__(self, reasons: Iterable[tuple[str, str]]) -> None:
        self.reasons = tuple(reasons)
        super().__init__("; ".join(line for _, line in self.reasons) + " (--accept-mismatch goes live with it)")


class Frozen(RiskEngineError):
    """The call needs trades that the engine no longer holds in memory: those of `keys`, (roll-up, owner, instrument)."""

    def __init__(self, keys: Iterable[tuple[str, str, str]]) -> None:
        self.keys = tuple(keys)
        super().__init__(f"{len(self.keys):,} positions need their trades read from the store again")


class EngineUnreachable(RiskEngineError):
    """A command got no usable answer from the engine at the given URL."""


class ComparisonFailed(RiskEngineError):
    """The comparison of engine and store did not finish; neither is known to be wrong."""
