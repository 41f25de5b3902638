"""Where things lie: our variables first, then the platform's, and nothing is made by asking."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from themis.core.directories import cache_dir, config_dir, data_dir, state_dir

OURS: list[tuple[str, Callable[[], Path]]] = [
    ("THEMIS_CONFIG_DIR", config_dir),
    ("THEMIS_DATA_DIR", data_dir),
    ("THEMIS_STATE_DIR", state_dir),
]
XDG: list[tuple[str, Callable[[], Path]]] = [
    ("XDG_CONFIG_HOME", config_dir),
    ("XDG_DATA_HOME", data_dir),
    ("XDG_STATE_HOME", state_dir),
    ("XDG_CACHE_HOME", cache_dir),
]


@pytest.mark.parametrize(("variable", "directory"), OURS)
def test_our_variable_goes_first(
    variable: str, directory: Callable[[], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    wanted = tmp_path / "not there yet"
    monkeypatch.setenv(variable, str(wanted))
    assert directory() == wanted
    assert not wanted.exists()
    monkeypatch.setenv(variable, "~/mine")
    assert directory() == Path.home() / "mine"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(variable, "here")
    assert directory() == tmp_path / "here"
    monkeypatch.setenv(variable, "")
    assert directory().is_absolute()


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has places of its own")
@pytest.mark.parametrize(("variable", "directory"), XDG)
def test_the_platform_says_where_without_it(
    variable: str, directory: Callable[[], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(variable, str(tmp_path / "xdg"))
    assert directory() == tmp_path / "xdg" / "themis"
    assert not (tmp_path / "xdg").exists()


def test_the_four_places_differ() -> None:
    assert len({config_dir(), data_dir(), state_dir(), cache_dir()}) == 4
