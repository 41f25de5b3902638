"""``themis profiles``: the user's storages, executors and endpoints, and whether they work."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from themis.backends.settings import settings_of, types_of
from themis.cli import output
from themis.cli.backends import tell_steps
from themis.core.check_step import CheckStep
from themis.core.errors import UnknownName, UsageError
from themis.core.options import redacted
from themis.core.schema import Option
from themis.profiles import load_profiles, profiles_path
from themis.runs import exit_codes, profiles
from themis.runs.profiles import ProfileRow

_NONE_YET = """\
No profiles yet. They lie in {path}:

    themis profiles add storage team --type local --set root=/data/team
    themis profiles add endpoint lab --set base_url=https://models.example.org/v1 --set key=env:LAB_KEY"""

_MOST_HELP = 1_000


def list_profiles(given: argparse.Namespace) -> int:
    """Print every profile, and what is wrong with the file."""
    said = load_profiles()
    rows = profiles.list_profiles(said)
    if given.json:
        output.say_json([_as_object(row) for row in rows])
    elif rows:
        header = ("KIND", "NAME", "TYPE", "DEFAULT", "SETTINGS")
        output.say(output.table(header, [_cells(row) for row in rows], most=120))
    elif not said.problems:
        output.say(_NONE_YET.format(path=profiles_path()))
    for name, first in profiles.doubles(said).items():
        output.note(f"storage.{name} is the same place as storage.{first}; lists show its runs once.")
    problems = {**said.problems, **profiles.problems_elsewhere(said)}
    for problem in problems.values():
        output.note(f"themis: {output.cut(redacted(problem), 2_000)}")
    return exit_codes.USAGE if problems else exit_codes.DONE


def show_profile(given: argparse.Namespace) -> int:
    """Print one profile."""
    _say_row(profiles.find_profile(given.name), as_json=given.json)
    return exit_codes.DONE


def list_fields(given: argparse.Namespace) -> int:
    """Print what a profile of a kind and type may hold."""
    if given.kind != "endpoint" and given.type is None:
        raise UsageError(f"Name the type: {', '.join(types_of(given.kind))}.")
    fields = settings_of(given.kind, given.type).values()
    if given.json:
        output.say_json([_field_as_object(each) for each in fields])
    else:
        rows = [
            (
                *(output.cut(cell, 100) for cell in (each.name, _field_kind(each), _default_of(each))),
                each.help,
            )
            for each in fields
        ]
        output.say(output.table(("FIELD", "TAKES", "DEFAULT", ""), rows, most=_MOST_HELP))
    return exit_codes.DONE


def add_profile(given: argparse.Namespace) -> int:
    """Write a new profile."""
    row = _changed(lambda: profiles.add(given.kind, given.name, given.type, _pairs(given.set)))
    if given.default:
        profiles.set_default(row.kind, row.name)
        row = profiles.find_profile(row.place)
    _say_row(row, as_json=given.json)
    return exit_codes.DONE


def edit_profile(given: argparse.Namespace) -> int:
    """Change fields of a profile."""
    row = profiles.find_profile(given.name)
    changes = {**_pairs(given.set), **dict.fromkeys(given.unset)}
    if not changes:
        raise UsageError("Say what to change: --set FIELD=VALUE or --unset FIELD.")
    _say_row(_changed(lambda: profiles.edit(row.kind, row.name, changes)), as_json=given.json)
    return exit_codes.DONE


def duplicate_profile(given: argparse.Namespace) -> int:
    """Write a profile under another name."""
    row = profiles.find_profile(given.name)
    _say_row(profiles.duplicate(row.kind, row.name, given.new_name), as_json=given.json)
    return exit_codes.DONE


def remove_profile(given: argparse.Namespace) -> int:
    """Take a profile out of the file."""
    row = profiles.find_profile(given.name)
    profiles.remove(row.kind, row.name)
    if given.json:
        output.say_json({"removed": row.place})
    else:
        output.say(f"removed {row.place}; what it leads to is as it was")
    return exit_codes.DONE


def set_default(given: argparse.Namespace) -> int:
    """Set or show the names that are meant where none is given."""
    if given.unset is not None:
        if given.name is not None:
            raise UsageError("Give a name or --unset KIND, not both.")
        profiles.set_default(given.unset, None)
    elif given.name is not None and given.kind is not None:
        profiles.set_default(given.kind, given.name)
    elif given.name is not None:
        row = profiles.find_profile(given.name)
        profiles.set_default(row.kind, row.name)
    said = load_profiles()
    defaults = said.defaults
    for place, problem in profiles.problems_elsewhere(said).items():
        if place.startswith("default."):
            output.note(f"themis: {output.cut(redacted(problem), 2_000)}")
    if given.json:
        output.say_json(defaults)
    else:
        rows = [(kind, name) for kind, name in defaults.items()]
        output.say(output.table(("KIND", "DEFAULT"), rows, most=120) if rows else "No defaults of your own.")
    return exit_codes.DONE


def check_profile(given: argparse.Namespace) -> int:
    """Try a profile, or any other model, step by step; of a model the last step asks one short question."""
    return tell_steps(given.name, _steps(given.name), as_json=given.json)


def _steps(name: str) -> Iterable[CheckStep]:
    try:
        row = profiles.find_profile(name)
    except UnknownName:
        if name.startswith(("storage.", "executor.", "endpoint.", "storage:", "executor:", "endpoint:")):
            raise
        return profiles.steps("endpoint", name)
    if row.problem is not None:
        raise UsageError(row.problem)
    return profiles.steps(row.kind, row.name)


def _pairs(given: list[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not equals or not name:
            # Not quoted whole: it may be a password.
            raise UsageError("--set takes FIELD=VALUE.")
        if name in pairs:
            raise UsageError(f"--set gives {name!r:.60} twice.")
        pairs[name] = value
    return pairs


def _changed(change: Any) -> ProfileRow:
    try:
        row: ProfileRow = change()
    except profiles.WrongSettings as exc:
        raise output.Problems({f"--set {name}": message for name, message in exc.problems.items()}) from None
    return row


def _say_row(row: ProfileRow, *, as_json: bool) -> None:
    if as_json:
        output.say_json(_as_object(row))
        return
    lines = [("profile", row.place), ("type", row.type), ("default", "yes" if row.default else "")]
    lines += [(name, "yes") for name in ("readonly", "protected") if getattr(row, name)]
    lines += [(name, _text(value)) for name, value in row.settings.items()]
    lines += [("colour", row.colour or ""), ("problem", row.problem or "")]
    wide = max(len(name) for name, value in lines if value)
    for name, value in lines:
        if value:
            output.say(f"{output.cut(name, 60):<{wide}}  {output.cut(redacted(value), 2_000)}")


def _cells(row: ProfileRow) -> tuple[str, ...]:
    if row.problem is not None:
        return row.kind, row.name, "", "default" if row.default else "", f"broken: {redacted(row.problem)}"
    words = [word for word in ("readonly", "protected") if getattr(row, word)]
    words += [f"{name}={_text(value)}" for name, value in row.settings.items()]
    return row.kind, row.name, row.type, "default" if row.default else "", redacted(" ".join(words))


def _as_object(row: ProfileRow) -> dict[str, Any]:
    shown = {
        name: redacted(value) if isinstance(value, str) else value for name, value in row.settings.items()
    }
    problem = None if row.problem is None else redacted(row.problem)
    return {**asdict(row), "settings": shown, "problem": problem}


def _field_as_object(field: Option) -> dict[str, Any]:
    said = {name: getattr(field, name) for name in ("name", "kind", "required", "help", "secret", "choices")}
    default = field.default
    return {**said, "default": default if isinstance(default, (str, int, float, bool)) else None}


def _field_kind(field: Option) -> str:
    kind = " or ".join(field.choices) if field.choices else field.kind
    return "reference to a secret" if field.secret else kind


def _default_of(field: Option) -> str:
    if field.required:
        return "needed"
    return "" if field.default is None else _text(field.default)


def _text(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)
