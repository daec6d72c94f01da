"""A token file that a test edits, and the texts of its tokens."""

import datetime as dt
from pathlib import Path
from typing import Any

from riskengine.config import AccessConfig
from riskengine.serve.access.tokens import StoredToken, editing, hash_of, new_token

EXPIRES = dt.datetime(2026, 3, 4, 13, tzinfo=dt.UTC)


class Keys:
    """A file of tokens, and their texts by name."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "tokens.toml"
        self.texts: dict[str, str] = {}
        self.put("ann", "dealer", nodes=("FX1",), expires=EXPIRES)
        self.put("boss", "ops")
        self.put("prices", "feed")

    def put(self, name: str, role: Any, **more: Any) -> None:
        text = self.texts.setdefault(name, new_token())
        with editing(self.file) as tokens:
            tokens[name] = StoredToken(name, role, hash_of(text), **more)

    def revoke(self, name: str) -> None:
        with editing(self.file) as tokens:
            del tokens[name]

    def access(self, **more: Any) -> AccessConfig:
        return AccessConfig(tokens_file=str(self.file), **more)

    def by(self, name: str) -> dict[str, Any]:
        return {"additional_headers": {"Authorization": f"Bearer {self.texts[name]}"}}
