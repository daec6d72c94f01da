"""What the code that saves and reads records needs of a database: named queries, run inside a transaction of its caller's."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

Values = Sequence[Any] | Mapping[str, Any]


class Session(Protocol):
    """One connection inside one transaction. Raises what its driver raises; the store says that in our words."""

    def rows(self, query: str, values: Values = (), where: Sequence[str] = ()) -> list[tuple[Any, ...]]:
        """All rows of the query called `query`, its conditions called `where`."""
        ...

    def run(self, query: str, values: Iterable[Sequence[Any]]) -> None:
        """The query called `query` once for each of `values`."""
        ...

    def array(self, values: Sequence[str] | Sequence[int]) -> Any:
        """A list as one bound value."""
        ...
