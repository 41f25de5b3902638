"""The user's profiles, as commands and screens list, change and try them.

Whoever wants a form asks :func:`themis.backends.settings.settings_of`. All of this reads and writes
files, and :func:`steps` opens stores and asks models: never on an event loop.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any

from themis.backends.execution.base import ExecutionBackend
from themis.backends.marks import Place, marks_of, place_of
from themis.backends.registry import (
    Named,
    check_profile,
    executor_class,
    executor_named,
    is_path,
    open_executor,
    open_storage,
    storage_class,
    storage_named,
)
from themis.backends.settings import checked_settings, missing_settings, types_of
from themis.backends.storage.foreign import check_steps, whole
from themis.core.check_step import CheckStep
from themis.core.errors import UnknownName, UsageError, described
from themis.core.options import redacted, split_query
from themis.core.safe_text import storable
from themis.models import open_model
from themis.profiles import (
    KINDS,
    Endpoint,
    ExecutorProfile,
    Profile,
    Profiles,
    StorageProfile,
    load_profiles,
    profiles_path,
)
from themis.profiles import editor as file
from themis.profiles.endpoint import RESERVED
from themis.profiles.secrets import forget

_ITEMS = range(8)


class WrongSettings(UsageError):
    """Fields of a profile that cannot be meant: field to what is wrong with it, in ``problems``."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__("\n".join(f"{name}: {message}" for name, message in problems.items()))
        self.problems = dict(problems)


@dataclass(frozen=True)
class ProfileRow:
    """One line of the list of profiles."""

    kind: str
    name: str
    type: str
    """The backend; ``openai`` for endpoints."""
    default: bool
    """Whether it is meant where none of its kind is named."""
    readonly: bool
    protected: bool
    colour: str | None
    settings: dict[str, Any]
    """The other keys: secrets are references, as the file has them."""
    problem: str | None = None
    """Why it cannot be used."""

    @property
    def place(self) -> str:
        """``KIND.NAME``, as commands take it."""
        return f"{self.kind}.{self.name}"


def list_profiles(profiles: Profiles | None = None) -> list[ProfileRow]:
    """Every profile by kind and in the order of the file, those that are broken last in their kind."""
    said = profiles or load_profiles()
    rows = []
    for kind in KINDS:
        default = said.defaults.get(kind)
        for name, profile in said.of_kind(kind).items():
            rows.append(_row(kind, profile, default=name == default))
        for place, problem in said.problems.items():
            if place.startswith(f"{kind}."):
                name = place.partition(".")[2]
                rows.append(ProfileRow(kind, name, "", name == default, False, False, None, {}, problem))
    return rows


def problems_elsewhere(profiles: Profiles | None = None) -> dict[str, str]:
    """What is wrong with the file beside its profiles; ``""``: the file as a whole.

    Also a default that names nothing there is, as after its profile was taken out by hand.
    """
    said = profiles or load_profiles()
    beside = {
        place: problem
        for place, problem in said.problems.items()
        if not place.startswith(tuple(f"{kind}." for kind in KINDS))
    }
    lost = {kind: name for kind, name in said.defaults.items() if not _is_something(said, kind, name)}
    for kind, name in lost.items():
        beside[f"default.{kind}"] = (
            f"{profiles_path()}, [default]: {kind} is {redacted(name)!r:.100}, which names nothing there is. "
            f"Add that profile, or take the default out: themis profiles default --unset {kind}."
        )
    return beside


def doubles(profiles: Profiles | None = None) -> dict[str, str]:
    """Storage profiles that lead where an earlier one does: name to the earlier one's. Lists show it once."""
    said = profiles or load_profiles()
    first: dict[Place, str] = {}
    found = {}
    for name, profile in said.storages.items():
        with suppress(Exception):  # using it says what is wrong
            place = place_of(Named(profile.type, profile.options, profile))
            if place[1] and first.setdefault(place, name) != name:
                found[name] = first[place]
    return found


def _is_something(said: Profiles, kind: str, name: str) -> bool:
    """Whether a default may mean something, as far as names tell."""
    if name in said.of_kind(kind) or f"{kind}.{name}" in said.problems or "://" in name:
        return True
    if kind == "storage" and is_path(name):
        return True
    base = split_query(name)[0] if kind != "endpoint" else name.partition("?")[0].partition(":")[0]
    return base in ((*said.endpoints, *RESERVED) if kind == "endpoint" else types_of(kind))


def names_of(kind: str) -> list[str]:
    """What a form offers for a kind: the user's profiles first, then the backends that can be named."""
    own = list(load_profiles().of_kind(kind))
    return [*own, *(name for name in types_of(kind) if name not in own)]


def find_profile(name: str) -> ProfileRow:
    """The profile of a name, ``KIND.NAME`` or ``KIND:NAME``; the name alone where only one kind has it.

    Raises :class:`UnknownName` with the ones there are, :class:`UsageError` where several kinds have it, or
    the file cannot be read.
    """
    said = load_profiles()
    if "" in said.problems:
        raise UsageError(said.problems[""])
    rows = list_profiles(said)
    whole_name = [row for row in rows if name in (row.place, f"{row.kind}:{row.name}")]
    found = whole_name or [row for row in rows if row.name == name]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"{name!r:.100} is the name of several: {', '.join(row.place for row in found)}.")
    there = ", ".join(row.place for row in rows) or "none yet; themis profiles add makes one"
    raise UnknownName(f"There is no profile {name!r:.100}. There are: {there}.")


def add(kind: str, name: str, type_: str | None, settings: Mapping[str, Any]) -> ProfileRow:
    """Write a new profile. ``settings`` are texts, or values as the file has them.

    Raises :class:`WrongSettings` with what is wrong with each, :class:`UsageError` for the rest.
    """
    file.check_kind(kind)
    table, wrong = checked_settings(kind, type_, settings)
    wrong = {**missing_settings(kind, type_, settings), **wrong}
    if wrong:
        raise WrongSettings(wrong)
    _check_can_be_made(kind, name, type_, table)
    head = {} if kind == "endpoint" else {"type": type_}
    file.add_profile(kind, name, {**head, **table})
    return find_profile(f"{kind}.{name}")


def edit(kind: str, name: str, changes: Mapping[str, Any]) -> ProfileRow:
    """Set fields of a profile, and take out those that are ``None``. ``type`` is a field too. Raises as
    :func:`add`."""
    said = load_profiles()
    was = said.of_kind(kind).get(name) if kind in KINDS else None
    type_ = changes.get("type") or getattr(was, "type", None)
    if was is None and f"{kind}.{name}" in said.problems and kind != "endpoint" and not type_:
        raise UsageError(f"{said.problems[f'{kind}.{name}']} Give its type too, or mend it by hand.")
    if was is None and f"{kind}.{name}" not in said.problems:
        find_profile(f"{kind}.{name}")
    kept = {} if was is None else _settings(was)
    given = {key: value for key, value in changes.items() if value is not None and key != "type"}
    table, wrong = checked_settings(kind, type_, given)
    gone = {key for key, value in changes.items() if value is None}
    if was is not None:
        left = {key: value for key, value in kept.items() if key not in gone}
        if type_ != getattr(was, "type", None):
            # What the other backend had may mean nothing to this one.
            wrong = {**checked_settings(kind, type_, {**left, **given})[1], **wrong}
        wrong = {**missing_settings(kind, type_, {**left, **given}), **wrong}
    if wrong:
        raise WrongSettings(wrong)
    stays = {} if was is None else {key: value for key, value in kept.items() if key not in gone}
    _check_can_be_made(kind, name, type_, {**stays, **table})
    head = {"type": changes["type"]} if changes.get("type") and kind != "endpoint" else {}
    file.edit_profile(kind, name, {**head, **table, **dict.fromkeys(gone)})
    return find_profile(f"{kind}.{name}")


def _check_can_be_made(kind: str, name: str, type_: str | None, table: Mapping[str, Any]) -> None:
    """Raise :class:`UsageError` where a backend does not take what a profile would say."""
    if kind == "storage":
        check_profile(StorageProfile.of_table(name, {"type": type_, **table}))
    elif kind == "executor":
        check_profile(ExecutorProfile.of_table(name, {"type": type_, **table}))


def remove(kind: str, name: str) -> None:
    """Take a profile out of the file; what is stored where it leads stays. Raises :class:`UsageError`."""
    file.remove_profile(kind, name)


def duplicate(kind: str, name: str, new_name: str) -> ProfileRow:
    """Write a profile once more under another name. Raises :class:`UsageError`."""
    file.duplicate_profile(kind, name, new_name)
    return find_profile(f"{kind}.{new_name}")


def set_default(kind: str, name: str | None) -> None:
    """Make a name the one meant where none of its kind is given; ``None``: none of the user's.

    It may be a profile, or what ``--storage``, ``--executor`` or ``--model`` takes. Raises
    :class:`UsageError`, :class:`UnknownName`.
    """
    file.check_kind(kind)
    if name is not None:
        if kind == "storage":
            storage_class(storage_named(name).base)
        elif kind == "executor":
            executor_class(executor_named(name).base)
        else:
            _check_endpoint(name)
    file.set_default(kind, name)


def _check_endpoint(name: str) -> None:
    with closing(open_model(name)):
        pass


def _row(kind: str, profile: Profile, *, default: bool) -> ProfileRow:
    settings = _settings(profile)
    return ProfileRow(
        kind=kind,
        name=profile.name,
        type=getattr(profile, "type", "openai"),
        default=default,
        readonly=bool(settings.pop("readonly", False)),
        protected=bool(settings.pop("protected", False)),
        colour=settings.pop("colour", None),
        settings=settings,
    )


def _settings(profile: Profile) -> dict[str, Any]:
    """All but name and type, without what is as it is by default."""
    fields = dict(profile.__dict__)
    options = fields.pop("options", {})
    beside = {"name", "type"}
    if isinstance(profile, Endpoint):
        unsaid = {"api": "chat"}
        return {k: v for k, v in fields.items() if k not in beside and v is not None and unsaid.get(k) != v}
    return {**options, **{key: value for key, value in fields.items() if key not in beside and value}}


# Trying


def steps(kind: str, name: str) -> Iterator[CheckStep]:
    """Try what a name of a kind means, step by step, each as it is done; ends at the first that fails.

    A storage, by profile, path or URI: resolve its name and secrets, open it, and what
    :meth:`StorageBackend.check` does, which writes, reads, lists and deletes a run of its own; of a readonly
    one only its runs are listed. An executor: resolve, open, a few items, shut down. An endpoint: what
    :meth:`themis.models.Model.check` does.
    """
    forget()  # a password that was changed since is what is to be tried
    tried = {"storage": _storage_steps, "executor": _executor_steps}.get(kind, _endpoint_steps)(name)
    for step in tried:
        yield step._replace(message=redacted(storable(step.message)))
        if not step.ok:
            return


def _storage_steps(name: str) -> Iterator[CheckStep]:
    step, named = _tried("resolve", lambda: _resolved(storage_named(name), storage_class), _canonical)
    yield step
    step, storage = _tried("open", lambda: whole(open_storage(name)), repr)
    yield step
    try:
        readonly = marks_of(named).readonly
        more = "; readonly, so nothing is written" if readonly else ""
        yield _tried("connect", storage.list_runs, lambda runs: f"{len(runs):,} runs{more}")[0]
        if not readonly:
            yield from check_steps(storage)
    finally:
        storage.close()


def _executor_steps(name: str) -> Iterator[CheckStep]:
    yield _tried("resolve", lambda: _resolved(executor_named(name), executor_class), _canonical)[0]
    step, executor = _tried("open", lambda: open_executor(name), repr)
    yield step
    yield _tried("map", lambda: _mapped(executor), lambda count: f"{count} items")[0]
    yield _tried("shut down", executor.shutdown, lambda _: "")[0]


def _mapped(executor: ExecutionBackend) -> int:
    try:
        results = sorted(executor.map(abs, _ITEMS))
        if results != list(_ITEMS):
            raise ValueError(f"gave {results}, not {list(_ITEMS)}")
    except BaseException:
        executor.shutdown()
        raise
    return len(results)


def _endpoint_steps(name: str) -> Iterator[CheckStep]:
    with closing(open_model(name)) as model:
        yield from model.check()


def _resolved(named: Named, loaded: Callable[[str], Any]) -> Named:
    loaded(named.base)
    return named


def _canonical(named: Named) -> str:
    return named.canonical


def _tried(name: str, work: Callable[[], Any], told: Callable[[Any], str]) -> tuple[CheckStep, Any]:
    """One thing done and timed, and what came of it: ``None`` if it raised, which is told."""
    started = time.perf_counter()
    try:
        value = work()
    except Exception as exc:  # a check reports whatever is raised
        return CheckStep(name, False, time.perf_counter() - started, described(exc)), None
    return CheckStep(name, True, time.perf_counter() - started, told(value)), value
