"""From a name to one opened backend; nothing is imported until it is asked for.

A name means, in this order: a path, if it holds ``/`` or starts with ``.`` or ``~`` (storage only); a
URI; a profile of the user's, if it stands alone; a built-in or entry-point name, with options in query form,
such as ``local?root=…``. So ``local`` is ``[storage.local]`` of the profiles where there is one, and
``local?root=…`` never is. Entry points are read only for names that are not built in:
``themis.storage_backends``, ``themis.execution_backends``.

Options that hold secrets (:mod:`themis.core.schema` says which) may be references,
``password=env:PG_PASSWORD``, read when the backend is opened; in a profile they have to be.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from themis.backends.execution.base import ExecutionBackend
from themis.backends.storage.base import StorageBackend
from themis.core.directories import profiles_path
from themis.core.errors import MissingExtra, ThemisError, UnknownName, UsageError, described
from themis.core.masking import holds_password, keep_secret, masked
from themis.core.options import build, join_query, redacted, split_query

if TYPE_CHECKING:
    from themis.core.schema import Option
    from themis.profiles import ExecutorProfile, Profiles, StorageProfile


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
    "batch": BuiltIn("themis.backends.execution.batches:BatchExecutionBackend"),
    "ray": BuiltIn("themis.backends.execution.ray_backend:RayExecutionBackend", "ray"),
    "sequential": BuiltIn("themis.backends.execution.sequential:SequentialExecutionBackend"),
    "threads": BuiltIn("themis.backends.execution.threads:ThreadExecutionBackend"),
}
SCHEMES: dict[str, str] = {}
"""URI scheme to built-in storage name."""

STORAGE_GROUP = "themis.storage_backends"
EXECUTION_GROUP = "themis.execution_backends"
STORAGE_VARIABLE = "THEMIS_STORAGE"


class Named(NamedTuple):
    """What a name means, before anything is loaded or opened."""

    base: str
    """A built-in or entry-point name."""
    options: dict[str, Any]
    profile: StorageProfile | ExecutorProfile | None = None
    """The user's own, if the name is one."""

    @property
    def canonical(self) -> str:
        """The same for a profile and for its type with the same options; holds no secret of a profile."""
        return join_query(self.base, dict(sorted(self.options.items())))

    @property
    def references(self) -> list[str]:
        """The references to secrets that may need a person, see :mod:`themis.profiles.secrets`."""
        from themis.profiles.secrets import asks_a_person

        return [value for value in self.options.values() if asks_a_person(value)]


def default_storage() -> str:
    """The storage meant when none is named.

    ``THEMIS_STORAGE``, else the default of the profiles, else ``local``. Raises :class:`UsageError` where the
    profiles cannot be read: records must not go elsewhere than the user said.
    """
    named = os.environ.get(STORAGE_VARIABLE)
    if not named and (profiles := _profiles()) is not None:
        named = profiles.default("storage")
    return named or "local"


def default_executor(otherwise: str | None = None) -> str:
    """The executor meant when none is named: that of the profiles, else ``otherwise``, else ``threads``."""
    profiles = _profiles()
    return (profiles and profiles.default("executor")) or otherwise or "threads"


def storage_named(name: str | None = None) -> Named:
    """What the name of a storage means; the default one for ``None``. Loads nothing.

    Raises :class:`UsageError` for a profile that is broken.
    """
    name = name or default_storage()
    if is_path(name):
        return Named("local", {"root": name})
    profiles = _profiles() if _may_be_profile(name) else None
    profile = None if profiles is None else profiles.storage(name)
    return Named(*split_query(name)) if profile is None else Named(profile.type, profile.options, profile)


def executor_named(name: str | None = None) -> Named:
    """As :func:`storage_named`, for an executor."""
    name = name or default_executor()
    profiles = _profiles() if _may_be_profile(name) else None
    profile = None if profiles is None else profiles.executor(name)
    return Named(*split_query(name)) if profile is None else Named(profile.type, profile.options, profile)


def open_storage(name_or_uri: str | None = None) -> StorageBackend:
    """The storage backend that a name, path or URI means; the default one for ``None``.

    Raises :class:`UnknownName` with the names there are, :class:`MissingExtra` with the command that
    installs what is missing, :class:`UsageError` for options that the backend does not have,
    :class:`SecretUnavailable` for a reference that leads to no secret.
    """
    named = storage_named(name_or_uri)
    storage: StorageBackend = _made(storage_class(named.base), named, "storage backend")
    return storage


def open_executor(name_or_uri: str | None = None) -> ExecutionBackend:
    """The execution backend that a name means; the default one for ``None``. Raises as ``open_storage``."""
    named = executor_named(name_or_uri)
    executor: ExecutionBackend = _made(executor_class(named.base), named, "execution backend")
    return executor


def check_storage(name: str | None = None) -> None:
    """Raise what :func:`open_storage` would, as far as that is known without asking a person for a secret."""
    named = storage_named(name)
    _check(storage_class(named.base), named, "storage backend")


def check_storage_writable(name: str | None, doing: str) -> None:
    """Raise :class:`StoreReadonly` where a profile forbids ``doing``, "evaluating" for one; opens nothing."""
    profile: Any = storage_named(name).profile
    if profile is not None:
        profile.check_writable(doing)


def check_executor(name: str | None) -> None:
    """As :func:`check_storage`, for an executor."""
    named = executor_named(name)
    _check(executor_class(named.base), named, "execution backend")


def storage_class(name: str) -> type[StorageBackend]:
    """The class of a storage backend, built in or by entry point. Raises as :func:`open_storage`."""
    found: type[StorageBackend] = _class(name, STORAGE, STORAGE_GROUP, StorageBackend, "storage backend")
    return found


def executor_class(name: str) -> type[ExecutionBackend]:
    """The class of an execution backend; as :func:`storage_class`."""
    found: type[ExecutionBackend] = _class(
        name, EXECUTION, EXECUTION_GROUP, ExecutionBackend, "execution backend"
    )
    return found


def storage_names() -> list[str]:
    """Every storage name, built in or by entry point; imports none of them."""
    return sorted({*STORAGE, *(point.name for point in entry_points(group=STORAGE_GROUP))})


def executor_names() -> list[str]:
    """Every executor name, built in or by entry point; imports none of them."""
    return sorted({*EXECUTION, *(point.name for point in entry_points(group=EXECUTION_GROUP))})


def is_path(name: str) -> bool:
    """Whether a storage name is a path: it holds ``/`` outside its options, or starts with ``.`` or ``~``."""
    return name.startswith((".", "~")) or ("/" in name.partition("?")[0] and "://" not in name)


def profiles_stamp() -> object:
    """Another value whenever the file of the profiles is another: cheap, to see whether to read it again."""
    try:
        stat = os.stat(profiles_path())
    except OSError as exc:
        return exc.errno
    return (stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


def _profiles() -> Profiles | None:
    """The user's profiles. Without a file, looking for it is all that this costs."""
    if not os.path.lexists(profiles_path()):
        return None
    from themis.profiles import load_profiles

    return load_profiles()


def _may_be_profile(name: str) -> bool:
    return "?" not in name and "://" not in name


def _class(name: str, built_in: dict[str, BuiltIn], group: str, kind: type, noun: str) -> Any:
    cls = _loaded(name, built_in, group, noun)
    if not (isinstance(cls, type) and issubclass(cls, kind)):
        raise UsageError(f"The {noun} {name!r} is {cls!r}, which is not a {kind.__name__}.")
    return cls


def _what(named: Named, noun: str) -> str:
    if named.profile is None:
        return f"{noun} {named.base!r}"
    return f"profile {named.profile.name!r}, whose {noun} is {named.base!r},"


def _check(cls: Any, named: Named, noun: str) -> None:
    if not named.references:
        _made(cls, named, noun)
        return
    from themis.core.schema import problems_of

    for option, wrong in problems_of(cls, named.options).items():
        raise UsageError(f"The {_what(named, noun)}, option {option}: {wrong}")


def _made(cls: Any, named: Named, noun: str) -> Any:
    what = _what(named, noun)
    options = _given(cls, named, what)
    try:
        return build(cls, options, what)
    except Exception as exc:
        if masked(f"{exc} {exc!r}") == f"{exc} {exc!r}":
            raise
        # A driver quotes what it was given. Neither the text nor the values on its way leave here.
        kind = type(exc) if isinstance(exc, ThemisError) else UsageError
        refused = kind(f"The {what} cannot be made: {described(exc)}")
    raise refused


def _given(cls: Any, named: Named, what: str) -> dict[str, Any]:
    """The options as the constructor takes them."""
    if not named.options:
        return {}
    from themis.core.schema import options_of

    known = options_of(cls)
    made = dict(named.options)
    for name, value in named.options.items():
        option = known.get(name)
        if option is not None and option.secret:
            made[name] = _secret(option, value, named, what)
        elif option is not None and named.profile is not None:
            made[name] = _of_profile(option, value, what)
    return made


def _secret(option: Option, value: Any, named: Named, what: str) -> Any:
    """A secret in place of its reference. One given itself, on a command line, is kept out of sight."""
    from themis.profiles.secrets import is_reference, resolved
    from themis.profiles.table import ADDRESSES, checked_option

    if named.profile is not None:
        try:
            checked_option(option.name, value, secret=True)
        except UsageError as exc:
            raise UsageError(f"The {what} cannot be opened: {exc}") from None
    if not isinstance(value, str):
        return value
    if is_reference(value):
        return option.value(resolved(value))
    if option.name not in ADDRESSES or holds_password(value):
        # An address without one is no secret, and tells one store from another.
        keep_secret(value)
    return value


def _of_profile(option: Option, value: Any, what: str) -> Any:
    made = option.value(value)
    if option.kind == "path" and not str(made).startswith(("/", "~")):
        raise UsageError(
            f"The {what} has the {option.name} {str(value)!r:.100}, which depends on where it is opened "
            "from. Write it from / or ~."
        )
    return made


def _loaded(name: str, built_in: dict[str, BuiltIn], group: str, noun: str) -> Any:
    known = built_in.get(name)
    if known is None:
        point = _entry_point(name, group)
        if point is None:
            names = sorted({*built_in, *(each.name for each in entry_points(group=group))})
            name = redacted(name)
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
