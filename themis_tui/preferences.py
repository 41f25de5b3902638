"""What a person chose in the app, kept for the next time."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from themis.core.directories import config_dir, make_private

THEMES = ("themis-dark", "themis-light", "ansi-dark", "ansi-light")
"""The ANSI ones take the terminal's own colours."""


@dataclass
class Preferences:
    """Choices; what is missing or unknown in the file has its default."""

    theme: str = THEMES[0]


def preferences_path() -> Path:
    """The file they are in."""
    return config_dir() / "app.json"


def load() -> Preferences:
    """The choices made before; defaults where the file is missing, damaged or of another version."""
    try:
        kept = json.loads(preferences_path().read_bytes())
    except (OSError, ValueError):
        return Preferences()
    theme = kept.get("theme") if isinstance(kept, dict) else None
    return Preferences(theme) if theme in THEMES else Preferences()


def save(preferences: Preferences) -> None:
    """Keep the choices. Another app at the same time may win; the file is always whole."""
    path = preferences_path()
    make_private(path.parent)
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        fresh.write_text(json.dumps(asdict(preferences)) + "\n", encoding="ascii")
        os.replace(fresh, path)
    finally:
        with suppress(FileNotFoundError):
            fresh.unlink()
