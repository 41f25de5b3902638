"""Changing the file: what a person wrote in it stays, and nobody's edit is lost."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from themis.core.errors import UsageError
from themis.profiles import editor, load_profiles, profiles_path
from themis.profiles.editor import (
    add_profile,
    duplicate_profile,
    edit_profile,
    remove_profile,
    set_default,
)

LAB = """\
# Everything of the lab.

[endpoint.lab] # under the desk
base_url = "http://127.0.0.1:9/v1"   # the address
model = 'm'

[storage.team]   # all of us
# readable by the group
root = "/data/team"
type = "local"

[endpoint."other.one"]
base_url = "https://h/v1"
# the end
"""


def text() -> str:
    return profiles_path().read_text()


def test_the_first_profile_makes_the_file() -> None:
    before = os.umask(0)
    try:
        add_profile("storage", "team", {"type": "local", "root": '/data/é "x"', "readonly": True})
    finally:
        os.umask(before)
    assert load_profiles().storages["team"].options == {"root": '/data/é "x"'}
    assert stat.S_IMODE(profiles_path().stat().st_mode) == 0o600
    assert stat.S_IMODE(profiles_path().parent.stat().st_mode) == 0o700
    assert [each.name for each in profiles_path().parent.iterdir() if "tmp" in each.name] == []


def test_what_a_person_wrote_stays(write) -> None:
    write(LAB)
    add_profile("executor", "many", {"type": "threads", "max_workers": 8})
    assert text() == LAB + '\n[executor.many]\ntype = "threads"\nmax_workers = 8\n'
    edit_profile("storage", "team", {"root": "/data/new", "readonly": True})
    set_default("storage", "team")
    duplicate_profile("storage", "team", "copy")
    remove_profile("executor", "many")
    set_default("storage", None)
    remove_profile("storage", "copy")
    edit_profile("storage", "team", {"root": "/data/team", "readonly": None})
    edit_profile("endpoint", "lab", {"model": "n"})
    edit_profile("endpoint", "lab", {"model": "m"})
    for line in LAB.replace("'m'", '"m"').splitlines():
        assert line in text().splitlines()
    assert load_profiles().problems == {}


def test_an_edit_without_an_effect_writes_nothing(write) -> None:
    write(LAB)
    before = profiles_path().stat()
    edit_profile("storage", "team", {"root": "/data/team", "colour": None})
    after = profiles_path().stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_line_ends_stay_as_they_are(write) -> None:
    write(LAB.replace("\n", "\r\n"))
    add_profile("executor", "many", {"type": "threads"})
    edit_profile("storage", "team", {"colour": "red"})
    data = profiles_path().read_bytes()
    assert data.count(b"\n") == data.count(b"\r\n")


def test_a_symbolic_link_stays_one(write, tmp_path: Path) -> None:
    real = tmp_path / "dotfiles" / "themis.toml"
    real.parent.mkdir()
    real.write_text(LAB)
    profiles_path().parent.mkdir(parents=True)
    profiles_path().symlink_to(real)
    add_profile("executor", "many", {"type": "threads"})
    assert profiles_path().is_symlink()
    assert "[executor.many]" in real.read_text()
    assert stat.S_IMODE(real.stat().st_mode) == 0o600


def test_a_link_to_nothing_yet_makes_what_it_leads_to(tmp_path: Path) -> None:
    profiles_path().parent.mkdir(parents=True)
    profiles_path().symlink_to(tmp_path / "new" / "themis.toml")
    add_profile("executor", "many", {"type": "threads"})
    assert (tmp_path / "new" / "themis.toml").is_file()
    assert profiles_path().is_symlink()


@pytest.mark.parametrize(
    "style",
    [
        'storage = {team = {type = "local", root = "/x"}}\n',
        'storage.team.type = "local"\nstorage.team.root = "/x"\n',
        '[storage]\nteam = {type = "local", root = "/x"}\n',
        '[storage.team]\ntype = "local"\n[endpoint.l]\nbase_url = "https://h"\n[storage.b]\ntype = "local"\n',
    ],
)
def test_other_ways_of_writing_tables_are_edited_or_left_alone(write, style: str) -> None:
    write(style)
    for change in (
        lambda: edit_profile("storage", "team", {"root": "/y"}),
        lambda: add_profile("storage", "new", {"type": "memory"}),
        lambda: remove_profile("storage", "team"),
    ):
        before, said = text(), load_profiles()
        try:
            change()
        except UsageError as exc:
            assert "nothing was written" in str(exc)  # noqa: PT017 - either of two is right
            assert text() == before
        assert load_profiles().problems == said.problems == {}


def test_what_would_break_a_profile_is_refused(write) -> None:
    write(LAB)
    for change, says in (
        (lambda: add_profile("storage", "team", {"type": "local"}), "already"),
        (lambda: add_profile("storage", "a b", {"type": "local"}), "cannot name a storage"),
        (lambda: add_profile("storage", "x", {}), "it needs type"),
        (lambda: add_profile("storage", "x", {"type": "local", "password": "sk-canary"}), "secret itself"),
        (lambda: add_profile("disk", "x", {}), "no kind of profile"),
        (lambda: edit_profile("storage", "team", {"type": None}), "it needs type"),
        (lambda: edit_profile("storage", "none", {"root": "/x"}), "There are: team"),
        (lambda: edit_profile("storage", "team", {"readonly": "maybe"}), "true or false"),
        (lambda: remove_profile("executor", "x"), "none of that kind"),
        (lambda: duplicate_profile("storage", "team", "team"), "already"),
        (lambda: duplicate_profile("storage", "none", "x"), "no profile storage.none"),
        (lambda: set_default("storage", "postgresql://u:sk-canary@h/d"), "holds a password"),
    ):
        with pytest.raises(UsageError, match=says) as caught:
            change()
        assert "sk-canary" not in str(caught.value)
    assert text() == LAB


@pytest.mark.parametrize(("name", "root"), [("x", "/data/\udcff"), ("\udcff", "/data")])
def test_what_is_no_text_is_not_written(write, name: str, root: str) -> None:
    write(LAB)
    with pytest.raises(UsageError, match="no text"):
        add_profile("storage", name, {"type": "local", "root": root})
    assert text() == LAB


def test_a_file_system_without_locks_keeps_nobody_out(write, monkeypatch: pytest.MonkeyPatch) -> None:
    write(LAB)

    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(editor.fcntl, "flock", no_locks)
    add_profile("storage", "x", {"type": "local", "root": "/x"})
    assert "[storage.x]" in text()


def test_what_a_killed_editor_left_is_removed_by_the_next(write) -> None:
    write(LAB)
    left = profiles_path().with_name(f".{profiles_path().name}.12-abcd.tmp")
    left.write_text("[storage")
    set_default("storage", "team")
    assert not left.exists()


def test_a_default_is_not_removed_unnoticed(write) -> None:
    write(LAB)
    set_default("storage", "team")
    with pytest.raises(UsageError, match="is the default"):
        remove_profile("storage", "team")
    set_default("storage", None)
    remove_profile("storage", "team")
    assert load_profiles().storages == {}


def test_what_is_broken_is_not_made_worse_and_can_be_mended(write) -> None:
    write("[storage.x]\n[storage.y]\ntype = 'memory'\n")
    edit_profile("storage", "y", {"colour": "red"})
    edit_profile("storage", "x", {"type": "memory"})
    assert load_profiles().problems == {}
    write("[storage.")
    with pytest.raises(UsageError, match="Mend it by hand first"):
        add_profile("storage", "z", {"type": "memory"})
    assert text() == "[storage."


def test_a_file_saved_by_hand_meanwhile_is_not_overwritten(write, monkeypatch: pytest.MonkeyPatch) -> None:
    write(LAB)
    put = editor._put
    by_hand = iter(["# once\n", "# twice\n"])

    def put_after_somebody_else(target: Path, made: bytes, seen: bytes | None) -> bool:
        if (more := next(by_hand, None)) is not None:
            target.write_text(target.read_text() + more)
        return put(target, made, seen)

    monkeypatch.setattr(editor, "_put", put_after_somebody_else)
    edit_profile("storage", "team", {"colour": "red"})
    assert text().endswith("# once\n# twice\n")
    assert load_profiles().storages["team"].colour == "red"


def test_a_file_that_never_holds_still_is_left_to_its_writer(write, monkeypatch: pytest.MonkeyPatch) -> None:
    write(LAB)
    monkeypatch.setattr(editor, "_put", lambda target, made, seen: False)
    with pytest.raises(UsageError, match="keeps being changed"):
        edit_profile("storage", "team", {"colour": "red"})


def test_a_lock_that_is_never_let_go_is_told(write, monkeypatch: pytest.MonkeyPatch) -> None:
    write(LAB)
    monkeypatch.setattr(editor, "LOCK_WITHIN_S", 0.05)
    with editor._locked(editor._target()):
        with pytest.raises(UsageError, match="is being changed by another process"):
            edit_profile("storage", "team", {"colour": "red"})


EDITS = """
import sys
from themis.profiles.editor import add_profile, edit_profile, remove_profile
who, count = sys.argv[1], int(sys.argv[2])
add_profile("storage", who, {"type": "memory"})
for n in range(count):
    if n % 4 == 3:
        add_profile("executor", f"{who}-{n}", {"type": "threads", "max_workers": n + 1})
    else:
        edit_profile("storage", who, {f"n{n}": n})
"""


@pytest.mark.parametrize("edits", [40, pytest.param(200, marks=pytest.mark.long)])
def test_two_processes_lose_nothing(write, edits: int) -> None:
    write(LAB)
    workers = [subprocess.Popen([sys.executable, "-c", EDITS, who, str(edits)]) for who in ("ada", "bob")]
    torn = 0
    while any(worker.poll() is None for worker in workers):
        torn += bool(load_profiles().problems)
    assert [worker.returncode for worker in workers] == [0, 0]
    said = load_profiles()
    for who in ("ada", "bob"):
        assert said.storages[who].options == {f"n{n}": n for n in range(edits) if n % 4 != 3}
        for n in range(3, edits, 4):
            assert said.executors[f"{who}-{n}"].options == {"max_workers": n + 1}
    assert torn == 0
    for line in LAB.splitlines():
        assert line in text().splitlines()
