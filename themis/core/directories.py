"""Where Themis keeps its things on this machine. Names only, until :func:`make_private` is asked to make one.

``THEMIS_CONFIG_DIR``, ``THEMIS_DATA_DIR`` and ``THEMIS_STATE_DIR`` go before the platform's own places.
"""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

_APP = "themis"


def config_dir() -> Path:
    """Profiles and preferences."""
    return _chosen("THEMIS_CONFIG_DIR") or platformdirs.user_config_path(_APP, appauthor=False)


def profiles_path() -> Path:
    """The user's profiles, whether or not there is such a file. See :mod:`themis.profiles`."""
    return config_dir() / "profiles.toml"


def data_dir() -> Path:
    """The default local store."""
    return _chosen("THEMIS_DATA_DIR") or platformdirs.user_data_path(_APP, appauthor=False)


def state_dir() -> Path:
    """Runners, logs, locks and journals of this machine."""
    return _chosen("THEMIS_STATE_DIR") or platformdirs.user_state_path(_APP, appauthor=False)


def cache_dir() -> Path:
    """What can be made again: indexes of stores."""
    return platformdirs.user_cache_path(_APP, appauthor=False)


def make_private(folder: Path) -> None:
    """Make a folder, and those above it that are missing, for this user only (0700, as the XDG base directory
    specification wants it); one that is there stays as it is. Raises ``OSError``.
    """
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        if not folder.is_dir():
            raise
    except FileNotFoundError:
        make_private(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def make_private_file(path: Path) -> None:
    """Make an empty file that only this user can read, or take one that is there from others.

    It is not opened where it is there: to close a database that another thread uses would drop its locks.
    Raises ``OSError``.
    """
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)


def _chosen(variable: str) -> Path | None:
    value = os.environ.get(variable)
    return Path(value).expanduser().absolute() if value else None
