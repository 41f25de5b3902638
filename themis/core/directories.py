"""Where Themis keeps its things on this machine. Names only: nothing is made or read here.

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


def _chosen(variable: str) -> Path | None:
    value = os.environ.get(variable)
    return Path(value).expanduser().absolute() if value else None
