"""From a name to one opened backend; nothing is imported until it is asked for.

A name means, in this order: a path, if it holds ``/`` or starts with ``.`` or ``~`` (storage only); a
URI; a built-in or entry-point name, with options in query form, such as ``local?root=…``. Entry points
are read only for names that are not built in: ``themis.storage_backends``, ``themis.execution_backends``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from importlib import import_module
from typing import Any, NamedTuple

from themis.backends.execution.base import ExecutionBackend
from themis.backends.storage.base import StorageBackend
from themis.core.errors import MissingExtra, UnknownName, UsageError
from themis.core.options import build, split_query


class BuiltIn(NamedTuple):
    """Where a built-in backend is, and the extra of ``themis-tui`` that it needs."""

    place: str
    extra: str | None = None


STORAGE: dict[str, BuiltIn] = {
    "local": BuiltIn("themis.backends.storage.local:LocalStorageBackend"),
    "memory": BuiltIn("themis.backends.storage.memory:MemoryStorageBackend"),
}
EXECUTION: dict[str, BuiltIn] = {
    "async": BuiltIn("themis.backends.execution.coroutines:AsyncExecutionBackend"),
    "sequential": BuiltIn("themis.backends.execution.sequential:SequentialExecutionBackend"),
    "threads": BuiltIn("themis.backends.execution.threads:ThreadExecutionBackend"),
}
SCHEMES: dict[str, str] = {}
"""URI scheme to built-in storage name."""

STORAGE_GROUP = "themis.storage_backends"
EXECUTION_GROUP = "themis.execution_backends"
STORAGE_VARIABLE = "THEMIS_STORAGE"


def default_storage() -> str:
    """The storage meant when none is named: ``THEMIS_STORAGE``, else ``local`` in the data directory."""
    return os.environ.get(STORAGE_VARIABLE) or "local"


def open_storage(name_or_uri: str | None = None) -> StorageBackend:
    """The storage backend that a name, path or URI means; the default one for ``None``.

    Raises :class:`UnknownName` with the names there are, :class:`MissingExtra` with the command that
    installs what is missing, :class:`UsageError` for options that the backend does not have.
    """
    name = name_or_uri or default_storage()
    if is_path(name):
        base, options = "local", {"root": name}
    else:
        base, options = split_query(name)
    storage: StorageBackend = _opened(
        base, options, STORAGE, STORAGE_GROUP, StorageBackend, "storage backend"
    )
    return storage


def open_executor(name_or_uri: str | None = None) -> ExecutionBackend:
    """The execution backend that a name means; ``threads`` for ``None``. Raises as ``open_storage``."""
    base, options = split_query(name_or_uri or "threads")
    executor: ExecutionBackend = _opened(
        base, options, EXECUTION, EXECUTION_GROUP, ExecutionBackend, "execution backend"
    )
    return executor


def storage_names() -> list[str]:
    """Every storage name, built in or by entry point; imports none of them."""
    return sorted({*STORAGE, *(point.name for point in entry_points(group=STORAGE_GROUP))})


def executor_names() -> list[str]:
    """Every executor name, built in or by entry point; imports none of them."""
    return sorted({*EXECUTION, *(point.name for point in entry_points(group=EXECUTION_GROUP))})


def is_path(name: str) -> bool:
    """Whether a storage name is a path: it holds ``/`` outside its options, or starts with ``.`` or ``~``."""
    return name.startswith((".", "~")) or ("/" in name.partition("?")[0] and "://" not in name)


def _opened(
    name: str, options: dict[str, Any], built_in: dict[str, BuiltIn], group: str, kind: type, noun: str
) -> Any:
    cls = _loaded(name, built_in, group, noun)
    if not (isinstance(cls, type) and issubclass(cls, kind)):
        raise UsageError(f"The {noun} {name!r} is {cls!r}, which is not a {kind.__name__}.")
    return build(cls, options, f"{noun} {name!r}")


def _loaded(name: str, built_in: dict[str, BuiltIn], group: str, noun: str) -> Any:
    known = built_in.get(name)
    if known is None:
        point = _entry_point(name, group)
        if point is None:
            names = sorted({*built_in, *(each.name for each in entry_points(group=group))})
            hint = f" For a folder, write ./{name}." if group == STORAGE_GROUP and name.isprintable() else ""
            raise UnknownName(f"There is no {noun} {name!r}. There are: {', '.join(names)}.{hint}")
        return point.load()
    module, _, attribute = known.place.partition(":")
    try:
        return getattr(import_module(module), attribute)
    except ImportError as exc:
        if known.extra is None:
            raise
        raise MissingExtra(
            f"The {noun} {name!r} needs {exc.name}. Install it: pip install 'themis-tui[{known.extra}]'"
        ) from exc


def entry_points(**wanted: str) -> Iterable[Any]:
    """The installed entry points of a group, and perhaps a name."""
    # Reading them takes longer than starting the rest of the program, so it waits until it must.
    from importlib.metadata import entry_points as installed

    return installed(**wanted)


def _entry_point(name: str, group: str) -> Any:
    return next(iter(entry_points(group=group, name=name)), None)
