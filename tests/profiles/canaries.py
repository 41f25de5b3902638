"""A store that gives away what it was given wherever it can."""

from __future__ import annotations

from typing import Any

from themis.backends import LocalStorageBackend


class Chatterbox(LocalStorageBackend):
    """A local store that quotes its password in its repr and in its errors."""

    thread_safe = True
    secret_options = ("pin",)

    def __init__(
        self, root: str, password: str, connection_string: str = "", pin: str = "", fails: str = ""
    ) -> None:
        """
        root: The folder.
        fails: ``at once`` or ``in use``.
        """
        super().__init__(root)
        self.said = f"{password} {connection_string} {pin}"
        self.fails = fails
        if fails == "at once":
            raise ValueError(f"invalid dsn: {self.said}")

    def save_generation_record(self, run_id: str, record: Any) -> None:
        if self.fails == "in use":
            raise ConnectionError(f"no route for {self.said}")
        super().save_generation_record(run_id, record)

    def list_runs(self) -> list[str]:
        if self.fails == "in use":
            raise ConnectionError(f"no route for {self.said}")
        return super().list_runs()

    def __repr__(self) -> str:
        return f"Chatterbox({str(self.root)!r}, {self.said!r})"
