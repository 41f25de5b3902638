"""Which run of each benchmark the others are held against, as this user has settled it.

A file ``baselines.json`` in the configuration folder: benchmark to the address of a run. It is the user's and
not the store's, so that it works with every store, also one that nobody may write to.
"""

from __future__ import annotations

import json
import os
import secrets
from contextlib import suppress
from pathlib import Path

from themis.core.directories import config_dir, make_private
from themis.core.errors import UsageError


def baselines_path() -> Path:
    """The file, whether or not it is there."""
    return config_dir() / "baselines.json"


def baselines() -> dict[str, str]:
    """Benchmark to address. Raises :class:`UsageError` for a file that cannot be read."""
    path = baselines_path()
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as exc:
        raise UsageError(f"{path} cannot be read: {exc}. Mend it, or delete it to start anew.") from exc
    if not isinstance(found, dict):
        raise UsageError(f"{path} is not one JSON object. Mend it, or delete it to start anew.")
    return {str(name): address for name, address in found.items() if isinstance(address, str)}


def remember(benchmark: str, address: str) -> None:
    """Make a run the baseline of a benchmark from now on, wherever it is asked for.

    Raises :class:`UsageError` for an address that cannot be written down, ``OSError``.
    """
    store, _, run_id = address.rpartition(":")
    if "***" in store:
        raise UsageError(
            f"{address} holds a password, which is not remembered. Make the store a profile and name that."
        )
    if store.startswith((".", "~")):  # it depends on where it is asked for
        address = f"{Path(store).expanduser().absolute()}:{run_id}"
    path = baselines_path()
    make_private(path.parent)
    text = json.dumps({**baselines(), benchmark: address}, indent=2, sort_keys=True) + "\n"
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with open(
            os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8"
        ) as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
