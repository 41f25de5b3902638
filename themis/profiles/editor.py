"""Changing ``profiles.toml`` in place: comments, order and symbolic links stay, and nobody's edit is lost.

Every change is made on the file as it is at that moment, under a lock beside it that all processes of Themis
take, and put in place by one rename. A person's editor takes no lock: a file that it saved meanwhile is read
again and the change is made on that. The result is read back before it is put in place; what would come out
as something else than was meant, or would break a profile, is refused and changes nothing.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from themis.core.directories import make_private, profiles_path
from themis.core.errors import UsageError
from themis.profiles.document import KINDS, Profiles, read_profiles
from themis.profiles.table import checked_option

LOCK_WITHIN_S = 10.0
_TRY_EVERY_S = 0.002
_TRIES = 20
"""How often a file that somebody else keeps saving meanwhile is read again."""

_CANNOT_LOCK = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)

Document = dict[str, Any]


def add_profile(kind: str, name: str, table: Mapping[str, Any]) -> None:
    """Write a new profile at the end of the file. Raises :class:`UsageError` where there is one of that
    name."""
    check_kind(kind)
    for key, value in table.items():
        # Before it is anywhere near the file: what is refused as a secret must not be written to be read
        # back.
        checked_option(key, value)

    def added(text: str, document: Document) -> str:
        if name in _tables(document, kind):
            raise UsageError(f"There is a profile {kind}.{name} already; edit it, or choose another name.")
        space = "" if not text or text.endswith("\n\n") else "\n" if text.endswith("\n") else "\n\n"
        return text + space + _written(kind, name, table)

    def wanted(document: Document) -> None:
        document.setdefault(kind, {})[name] = dict(table)

    _change(added, wanted, f"{kind}.{name}")


def edit_profile(kind: str, name: str, changes: Mapping[str, Any]) -> None:
    """Set keys of a profile; ``None`` takes a key out. Raises :class:`UsageError` where there is none."""
    check_kind(kind)
    for key, value in changes.items():
        if value is not None:
            checked_option(key, value)

    def change(document: Document) -> None:
        table = _table(document, kind, name)
        for key, value in changes.items():
            if value is None:
                table.pop(key, None)
            elif table.get(key) != value or type(table.get(key)) is not type(value):
                table[key] = value

    _change(_by_tomlkit(change), change, f"{kind}.{name}")


def remove_profile(kind: str, name: str) -> None:
    """Take a profile out of the file. Raises :class:`UsageError` where there is none, and for a default."""
    check_kind(kind)

    def change(document: Document) -> None:
        if _table(document, "default").get(kind) == name:
            raise UsageError(
                f"{kind}.{name} is the default; make another the default first, or none: themis profiles "
                f"default --unset {kind}."
            )
        _table(document, kind, name)
        del document[kind][name]
        if not document[kind]:
            del document[kind]

    _change(_by_tomlkit(change), change, "")


def duplicate_profile(kind: str, name: str, new_name: str) -> None:
    """Write the profile ``name`` once more as ``new_name``; what holds no secret has none to give away."""
    check_kind(kind)
    _, data = _read(_target())
    document = _parsed(data, _target())
    add_profile(kind, new_name, _table(document, kind, name))


def set_default(kind: str, name: str | None) -> None:
    """Say which name is meant where none of a kind is given; ``None``: the built-in default again."""
    check_kind(kind)
    if name is not None:
        checked_option(kind, name)

    def change(document: Document) -> None:
        if name is not None:
            if "default" not in document:
                document["default"] = {}
            document["default"][kind] = name
        elif kind in _table(document, "default"):
            del document["default"][kind]

    _change(_by_tomlkit(change), change, f"default.{kind}")


def check_kind(kind: str) -> None:
    """Raise :class:`UsageError` for what is no kind of profile."""
    if kind not in KINDS:
        raise UsageError(f"{kind!r:.60} is no kind of profile; there are {', '.join(KINDS)}.")


def _tables(document: Document, kind: str) -> Document:
    tables = document.get(kind, {})
    return tables if hasattr(tables, "items") else {}


def _table(document: Document, kind: str, name: str | None = None) -> Document:
    tables = _tables(document, kind)
    if name is None:
        return tables
    if name not in tables or not hasattr(tables[name], "items"):
        raise UsageError(
            f"There is no profile {kind}.{name}. There are: {', '.join(tables) or 'none of that kind'}."
        )
    found: Document = tables[name]
    return found


# The file


def _change(rewrite: Callable[[str, Document], str], wanted: Callable[[Document], None], place: str) -> None:
    target = _target()
    with _locked(target):
        for _ in range(_TRIES):
            seen, data = _read(target)
            document = _parsed(data, target)
            text = data.decode("utf-8")
            made = _encoded(_with_line_ends_of(text, rewrite(text, document)), target)
            wanted(document)
            profiles = _checked(made, document, target)
            if place in profiles.problems:
                raise UsageError(profiles.problems[place])
            if made == data or _put(target, made, seen):
                return
    raise UsageError(f"{target} keeps being changed by somebody else; nothing was written. Try again.")


def _target() -> Path:
    """The file itself, wherever a symbolic link leads: it is what is replaced, and the link stays."""
    return Path(os.path.realpath(profiles_path()))


def _read(target: Path) -> tuple[bytes | None, bytes]:
    """What the file holds; first ``None`` if there is none."""
    try:
        data = target.read_bytes()
    except FileNotFoundError:
        return None, b""
    except OSError as exc:
        raise UsageError(f"{target} cannot be read: {exc.strerror or exc}.") from exc
    return data, data


def _parsed(data: bytes, target: Path) -> Document:
    import tomllib

    problem = read_profiles(data, target).problems.get("")
    if problem is not None:
        raise UsageError(f"{problem} Mend it by hand first; nothing was written.")
    return tomllib.loads(data.decode("utf-8"))


def _checked(made: bytes, wanted: Document, target: Path) -> Profiles:
    import tomllib

    try:
        came_out = tomllib.loads(made.decode("utf-8"))
    except ValueError:
        came_out = {}
    if _without_empty(came_out) != _without_empty(wanted):
        raise UsageError(
            f"{target} is written in a way that this change cannot be made in; nothing was written. Make it "
            "by hand."
        )
    return read_profiles(made, target)


def _without_empty(document: Document) -> Document:
    return {key: value for key, value in document.items() if value != {}}


@contextmanager
def _locked(target: Path) -> Iterator[None]:
    deadline = time.monotonic() + LOCK_WITHIN_S
    path = target.with_name(f".{target.name}.lock")
    try:
        make_private(path.parent)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise UsageError(f"{target} cannot be changed: {exc.strerror or exc} ({path.parent}).") from exc
    try:
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise UsageError(
                        f"{target} is being changed by another process for {LOCK_WITHIN_S:g} s now. Try "
                        "again."
                    ) from None
                time.sleep(_TRY_EVERY_S)
            except OSError as exc:
                if exc.errno not in _CANNOT_LOCK:
                    raise UsageError(f"{target} cannot be locked: {exc.strerror or exc}.") from exc
                break  # where the file system has no locks, what is read again before writing has to do
        for left in path.parent.glob(f".{target.name}.*.tmp"):  # by whoever was killed while writing
            left.unlink(missing_ok=True)
        # The file of the lock stays: whoever removed it would let two in.
        yield
    finally:
        os.close(fd)


def _put(target: Path, made: bytes, seen: bytes | None) -> bool:
    """Put the file in place if it still holds what was ``seen``; whether it was put there."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}-{os.urandom(4).hex()}.tmp")
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(made)
            file.flush()
            os.fsync(fd)
        if _read(target)[0] != seen:
            return False
        os.replace(temporary, target)
        _sync_folder(target.parent)
    except OSError as exc:
        raise UsageError(f"{target} cannot be written: {exc.strerror or exc}.") from exc
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()
    return True


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


# TOML


def _by_tomlkit(change: Callable[[Any], None]) -> Callable[[str, Document], str]:
    def rewrite(text: str, document: Document) -> str:
        import tomlkit  # only who writes needs it

        styled = tomlkit.parse(text)
        change(styled)
        return tomlkit.dumps(styled)

    return rewrite


def _encoded(text: str, target: Path) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        # What a terminal sent may be no text in its encoding.
        raise UsageError(f"{target} cannot hold what is no text; nothing was written.") from None


def _with_line_ends_of(text: str, made: str) -> str:
    return made.replace("\r\n", "\n").replace("\n", "\r\n") if "\r\n" in text else made


def _written(kind: str, name: str, table: Mapping[str, Any]) -> str:
    import tomlkit

    lines = [
        f"{tomlkit.key(key).as_string()} = {tomlkit.item(value).as_string()}" for key, value in table.items()
    ]
    return "\n".join([f"[{kind}.{tomlkit.key(name).as_string()}]", *lines, ""])
