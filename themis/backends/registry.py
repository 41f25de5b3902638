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
from themis.backends.uris import meaning_of
from themis.core.directories import profiles_path
from themis.core.errors import MissingExtra, StoreReadonly, ThemisError, UnknownName, UsageError, described
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
    "postgres": BuiltIn("themis.backends.storage.postgres:PostgresStorageBackend", "postgres"),
}
EXECUTION: dict[str, BuiltIn] = {
    "async": BuiltIn("themis.backends.execution.coroutines:AsyncExecutionBackend"),
    "sequential": BuiltIn("themis.backends.execution.sequential:SequentialExecutionBackend"),
    "threads": BuiltIn("themis.backends.execution.threads:ThreadExecutionBackend"),
}

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
    meaning = meaning_of(name)
    if meaning is not None:
        return Named(*meaning)
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


def check_profile(profile: StorageProfile | ExecutorProfile) -> None:
    """Raise :class:`UsageError` where a backend does not take the options of a profile.

    It is made for that, if none of them is a secret; what it cannot reach then is no fault of the profile.
    """
    from themis.core.schema import options_of

    is_storage = profile.place.startswith("storage.")
    cls: Any = storage_class(profile.type) if is_storage else executor_class(profile.type)
    known = options_of(cls)
    if any(name in known and known[name].secret for name in profile.options):
        return
    try:
        _made(
            cls,
            Named(profile.type, profile.options, profile),
            "storage backend" if is_storage else "execution backend",
        )
    except UsageError:
        raise
    except Exception:  # its server may be away now
        return


def check_storage_writable(name: str | None, doing: str) -> None:
    """Raise :class:`StoreReadonly` where a profile forbids ``doing``, "evaluating" for one; opens nothing.

    Also by another name of the place that the profile leads to, see :mod:`themis.backends.marks`.
    """
    if not os.path.lexists(profiles_path()):
        return
    from themis.backends.marks import marks_of

    name = name or default_storage()
    marks = marks_of(storage_named(name))
    if marks.readonly:
        raise StoreReadonly(
            f"The store {redacted(name)} is readonly {marks.said_of(name)}, so {doing} is refused. Take "
            "readonly out of its profile, or use another store."
        )


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
        quotes_secret = masked(f"{exc} {exc!r}") != f"{exc} {exc!r}"
        if not quotes_secret and (isinstance(exc, ThemisError) or not _is_refusal(exc)):
            if named.profile is not None and not isinstance(exc, ThemisError):
                exc.add_note(f"It was raised by the {what} when it was opened.")
            raise
        kind = type(exc) if isinstance(exc, ThemisError) else UsageError
        refused = kind(f"The {what} cannot be made: {described(exc)}.{_mend(named)}")
        if not quotes_secret:
            raise refused from exc
        # A driver quotes what it was given. Neither the text nor the values on its way leave here.
    raise refused


def _is_refusal(exc: Exception) -> bool:
    """Whether a constructor does not take what it was given, rather than found a server away."""
    return type(exc).__module__ == "builtins" and not isinstance(exc, OSError)


def _mend(named: Named) -> str:
    profile: Any = named.profile
    return "" if profile is None else f" Change the profile: themis profiles edit {profile.place}"


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
            raise UnknownName(_unknown(name, built_in, group, noun))
        return _of_package(point, name, group, noun)
    module, _, attribute = known.place.partition(":")
    try:
        return getattr(import_module(module), attribute)
    except ImportError as exc:
        if known.extra is None:
            raise
        raise MissingExtra(
            f"The {noun} {name!r} needs {exc.name}. Install it: pip install 'themis-tui[{known.extra}]'"
        ) from exc


def _unknown(name: str, built_in: dict[str, BuiltIn], group: str, noun: str) -> str:
    """What a person is told who named a backend that there is not, or mistyped a profile."""
    kind = "storage" if group == STORAGE_GROUP else "executor"
    backends = sorted({*built_in, *(each.name for each in entry_points(group=group))})
    own, of_this_type = _own_names(kind, name)
    from difflib import get_close_matches

    near = get_close_matches(name, [*own, *backends], 1)
    said = f"There is no {noun} {redacted(name)!r}" + (", nor a profile of that name." if own else ".")
    said += f" Perhaps {near[0]!r} was meant." if near else ""
    said += f" There are: {', '.join(backends)}"
    said += f"; of your profiles: {', '.join(own)}." if own else "."
    if of_this_type:
        return f"{said} It is the type of your profile {', '.join(of_this_type)}."
    shown = redacted(name)
    hint = f" For a folder, write ./{shown}." if kind == "storage" and shown.isprintable() else ""
    return f"{said}{hint}{_as_default(name, kind)}"


def _own_names(kind: str, type_: str) -> tuple[list[str], list[str]]:
    """The user's profiles of a kind, those that are broken too, and which of them have a type."""
    profiles = _profiles()
    if profiles is None:
        return [], []
    found: dict[str, Any] = profiles.of_kind(kind)
    broken = [place.partition(".")[2] for place in profiles.problems if place.startswith(f"{kind}.")]
    return [*found, *broken], [name for name, each in found.items() if each.type == type_]


def _of_package(point: Any, name: str, group: str, noun: str) -> Any:
    """What an entry point leads to. Raises :class:`UsageError` where its package is broken."""
    try:
        return point.load()
    except ThemisError:
        raise
    except Exception as exc:
        package = getattr(getattr(point, "dist", None), "name", None)
        where = f"which the package {package} brings, " if package else ""
        users = _own_names("storage" if group == STORAGE_GROUP else "executor", name)[1]
        used = f" It is the type of your profile {', '.join(users)}." if users else ""
        raise UsageError(
            f"The {noun} {name!r}, {where}cannot be loaded: {described(exc)}. Mend or remove that "
            f"package.{used}"
        ) from exc


def _as_default(name: str, kind: str) -> str:
    """What to add for a name that a person did not type."""
    profiles = _profiles()
    if profiles is None or profiles.defaults.get(kind) != name:
        return ""
    unset = f"themis profiles default --unset {kind}"
    return f" It is the default {kind} in {profiles_path()}; to have none: {unset}."


def entry_points(**wanted: str) -> Iterable[Any]:
    """The installed entry points of a group, and perhaps a name."""
    # Reading them takes longer than starting the rest of the program, so it waits until it must.
    from importlib.metadata import entry_points as installed

    return installed(**wanted)


def _entry_point(name: str, group: str) -> Any:
    return next(iter(entry_points(group=group, name=name)), None)
