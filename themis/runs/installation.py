"""What this installation, machine and terminal can do, and what stands in the way."""

from __future__ import annotations

import os
import platform
import shutil
import stat
import sys
import time
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from themis.core.directories import cache_dir, config_dir, data_dir, state_dir
from themis.core.errors import ThemisError, described
from themis.core.options import redacted
from themis.evaluation.host import boot_id, host_dir

if TYPE_CHECKING:
    from themis.runs.catalog import Store

DISTRIBUTION = "themis-tui"
OLD_S = 86_400.0
"""A launch that was not taken up for this long never will be."""


STORE_WITHIN_S = 30.0
"""Seconds that the stores have to answer, all together."""


class Check(NamedTuple):
    """One fact, and whether it is as it should be."""

    group: str
    """``versions``, ``extras``, ``paths``, ``terminal``, ``stores``, ``profiles``, ``leftovers``."""
    name: str
    ok: bool | None
    """``None`` for what is merely so."""
    said: str
    mend: str = ""


def examine(stores: list[str] | None = None) -> Iterator[Check]:
    """Look at everything; ``stores`` in place of the default and those of the profiles. Never raises."""
    parts: list[tuple[str, Callable[[], Iterator[Check]]]] = [
        ("versions", _versions),
        ("extras", _extras),
        ("paths", _paths),
        ("terminal", _terminal),
        ("profiles", _profiles),
        ("stores", lambda: _stores(stores)),
        ("leftovers", _leftovers),
    ]
    for group, part in parts:
        try:
            yield from part()
        except Exception as exc:  # a doctor says what it could not look at, and goes on
            yield Check(group, group, False, f"could not be looked at: {described(exc)}")


def _versions() -> Iterator[Check]:
    from themis import __version__

    supported = sys.version_info >= (3, 11)
    yield Check("versions", "themis", None, __version__)
    mend = "" if supported else "use Python 3.11 or later"
    yield Check("versions", "python", supported, f"{platform.python_version()} at {sys.executable}", mend)
    yield Check("versions", "system", None, f"{platform.system()} {platform.release()}")
    for package in ("textual", "rich", "msgspec"):
        yield _version_of(package)


def _version_of(package: str) -> Check:
    try:
        return Check("versions", package, True, version(package))
    except PackageNotFoundError:
        return Check("versions", package, False, "is not installed", f"pip install {package}")


def _extras() -> Iterator[Check]:
    for extra, packages in sorted(extras().items()):
        missing = [each for each in packages if not _is_installed(each)]
        if missing:
            command = f"pip install '{DISTRIBUTION}[{extra}]'"
            yield Check("extras", extra, None, f"not installed: {', '.join(missing)}", command)
        else:
            yield Check("extras", extra, True, ", ".join(f"{each} {version(each)}" for each in packages))


def extras() -> dict[str, list[str]]:
    """Extra of this distribution to the packages that it brings, but for those of developers."""
    found: dict[str, list[str]] = {}
    try:
        lines = requires(DISTRIBUTION) or []
    except PackageNotFoundError:
        return {}
    for line in lines:
        requirement, _, marker = line.partition(";")
        extra = marker.partition("extra ==")[2].strip().strip("'\"")
        name = requirement
        for sign in "[<>=!~ (":
            name = name.partition(sign)[0]
        if extra and extra not in ("test", "all", "dev") and name != DISTRIBUTION:
            found.setdefault(extra, []).append(name)
    return found


def _is_installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True


def _paths() -> Iterator[Check]:
    yield _path("config", config_dir(), private=False)
    yield _path("data", data_dir(), private=False)
    yield _path("state", state_dir(), private=True)
    yield _path("cache", cache_dir(), private=False)


def _path(name: str, path: Path, *, private: bool) -> Check:
    existing = path
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not os.access(existing, os.W_OK | os.X_OK):
        return Check(
            "paths",
            name,
            False,
            f"{path} cannot be written to",
            f"give yourself {existing}, or set THEMIS_{name.upper()}_DIR",
        )
    if existing != path:
        return Check("paths", name, True, f"{path}, made when first needed")
    mode = stat.S_IMODE(path.stat().st_mode)
    free = shutil.disk_usage(path).free
    said = f"{path}, {free / 1e9:.1f} GB free"
    if mode & 0o022:
        return Check("paths", name, False, f"{said}; others can write to it", f"chmod go-w '{path}'")
    if private and mode & 0o077:
        return Check("paths", name, None, f"{said}; others can look into it", f"chmod 700 '{path}'")
    return Check("paths", name, True, said)


def _terminal() -> Iterator[Check]:
    encoding = (sys.stdout.encoding or "").lower().replace("-", "")
    yield Check("terminal", "TERM", None, os.environ.get("TERM") or "not set")
    yield Check("terminal", "COLORTERM", None, os.environ.get("COLORTERM") or "not set")
    utf8 = encoding == "utf8"
    yield Check(
        "terminal", "UTF-8", utf8, sys.stdout.encoding or "unknown", "" if utf8 else "export LANG=C.UTF-8"
    )
    yield Check("terminal", "is a terminal", None, "yes" if sys.stdout.isatty() else "no")
    size = shutil.get_terminal_size(fallback=(0, 0))
    if size.columns:
        enough = size.columns >= 80 and size.lines >= 24
        mend = "" if enough else "the app wants 80×24"
        yield Check("terminal", "size", enough or None, f"{size.columns}×{size.lines}", mend)
    multiplexer = "tmux" if os.environ.get("TMUX") else "screen" if os.environ.get("STY") else "none"
    yield Check("terminal", "multiplexer", None, multiplexer)
    yield Check("terminal", "ssh", None, "yes" if os.environ.get("SSH_CONNECTION") else "no")


def _profiles() -> Iterator[Check]:
    from themis.profiles import load_profiles, profiles_path

    try:
        profiles = load_profiles()
    except (ThemisError, OSError) as exc:
        yield Check("profiles", str(profiles_path()), False, described(exc), "mend that file")
        return
    named = {name: getattr(profiles, name, None) or {} for name in ("storages", "executors", "endpoints")}
    counts = ", ".join(f"{len(each)} {name}" for name, each in named.items() if each)
    yield Check("profiles", str(profiles_path()), True, counts or "none")
    from themis.runs.profiles import problems_elsewhere

    for name, problem in {**profiles.problems, **problems_elsewhere(profiles)}.items():
        yield Check("profiles", str(name), False, redacted(str(problem)), f"mend it in {profiles_path()}")


def _stores(names: list[str] | None) -> Iterator[Check]:
    from themis.runs.stores import ask_stores

    # All at once, each for a time: one that hangs is a line of the report, and no end of it.
    for answer in ask_stores(names if names is not None else store_names(), _tried, within_s=STORE_WITHIN_S):
        shown = redacted(answer.name)
        if answer.error is None and answer.value is not None:
            ok, said = answer.value
        else:
            ok, said = False, answer.reason
        mend = "" if ok else f"themis backends check {shown}"
        yield Check("stores", shown, ok, redacted(said), mend)


def store_names() -> list[str]:
    """The default store and those of the user's profiles."""
    from themis.backends.registry import default_storage
    from themis.profiles import load_profiles

    try:
        profiled = getattr(load_profiles(), "storages", None) or {}
    except (ThemisError, OSError):  # told with the profiles
        profiled = {}
    return list(dict.fromkeys([default_storage(), *profiled]))


def _tried(store: Store) -> tuple[bool, str]:
    """Whether a store works, and how; it is closed then."""
    started = time.perf_counter()
    try:
        runs = len(store.backend.list_runs())
        # A store that must not be changed is only read.
        steps = [] if store.readonly else store.backend.check()
    finally:
        store.backend.close()
    failed = next((step for step in steps if not step.ok), None)
    if failed is not None:
        return False, f"{failed.name}: {failed.message}"
    kind = "readonly" if store.readonly else "protected" if store.protected else "works"
    took = (time.perf_counter() - started) * 1e3
    return True, f"{kind}, {runs:,} run{'' if runs == 1 else 's'}, looked through in {took:.0f} ms"


def _leftovers() -> Iterator[Check]:
    hosts = host_dir().parent
    old_boots = [each for each in _inside(hosts) if each.name != boot_id()]
    locks = [each for each in _inside(host_dir() / "locks") if not _is_locked(each)]
    now = time.time()
    launches = [each for each in _inside(state_dir() / "launches") if now - each.stat().st_mtime > OLD_S]
    parts = (
        ("earlier boots", old_boots, hosts, "nothing reads them"),
        ("locks", locks, host_dir() / "locks", "they exclude nobody"),
        ("launches", launches, state_dir() / "launches", "nobody will take them up"),
    )
    for name, found, where, why in parts:
        if found:
            said = f"{len(found)} left in {where}: {why}"
            yield Check("leftovers", name, None, said, "they may be removed")
        else:
            yield Check("leftovers", name, True, "none")


def _inside(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _is_locked(path: Path) -> bool:
    import fcntl

    try:
        with open(path, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:  # let go of meanwhile
        return True
    return False
