"""What the code that saves and reads records needs of a database: named queries, run inside a transaction of its caller's."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from riskengine.adapters.audit_chain import AuditEntry

Values = Sequence[Any] | Mapping[str, Any]


class Session(Protocol):
    """One connection inside one transaction. Raises what its driver raises; the store says that in our words."""

    def rows(self, query: str, values: Values = (), where: Sequence[str] = ()) -> list[tuple[Any, ...]]:
        """All rows of the query called `query`, its conditions called `where`."""
        ...

    def raw_row(self, query: str, values: Values = ()) -> tuple[Any, ...]:
        """The one row of the query called `query`, its texts as bytes, whatever they hold."""
        ...

    def run(self, query: str, values: Iterable[Sequence[Any]]) -> None:
        """The query called `query` once for each of `values`."""
        ...

    def array(self, values: Sequence[str] | Sequence[int]) -> Any:
        """A list as one bound value."""
        ...

    def save_entries(self, entries: Sequence[AuditEntry], head: str, cursors: Mapping[str, int], ts: int) -> None:
        """Append to the audit trail, note its `head` in `meta`, and move the feeds' cursors on."""
        ...
