"""References to secrets, and what becomes of what they lead to."""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from pathlib import Path

import keyring
import pytest
from keyring.backends.fail import Keyring as NoKeyring

from themis.core.errors import MissingExtra, SecretUnavailable, UsageError, described
from themis.core.masking import keep_secret, masked
from themis.core.options import redacted
from themis.profiles import secrets
from themis.profiles.secrets import asks_a_person, check_reference, gathered, receive, resolved


def program(text: str) -> str:
    """A command: reference that runs a program of Python."""
    return f"command:{shlex.join([sys.executable, '-c', text])}"


def test_a_command_prints_the_secret_on_its_first_line(tmp_path: Path) -> None:
    assert resolved(program("print('sk-1234567'); print('url: https://h')")) == "sk-1234567"
    # Words are split as by a shell, and no shell runs them.
    assert resolved("command:printf '%s' '$HOME;ls'") == "$HOME;ls"


def test_a_command_is_run_once(tmp_path: Path) -> None:
    count = tmp_path / "count"
    reference = program(f"open({str(count)!r}, 'a').write('x'); print('sk-once')")
    assert [resolved(reference) for _ in range(3)] == ["sk-once"] * 3
    assert count.read_text() == "x"
    secrets.forget()
    resolved(reference)
    assert count.read_text() == "xx"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "import sys; print('sk-canary'); print('sk-canary', file=sys.stderr); sys.exit(3)",
            "ended with code 3",
        ),
        ("", "one line of plain characters"),
        ("print('sk-canäry')", "one line of plain characters"),
        ("import os; os.kill(os.getpid(), 9)", "ended with code -9"),
    ],
)
def test_what_a_command_says_is_not_shown(text: str, says: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SecretUnavailable, match=says) as caught:
        resolved(program(text))
    assert "sk-can" not in str(caught.value).replace(program(text), "")
    out, err = capfd.readouterr()
    assert out + err == ""


def test_commands_that_cannot_be_run() -> None:
    with pytest.raises(SecretUnavailable, match="'not-there-at-all' cannot be started"):
        resolved("command:not-there-at-all x")
    with pytest.raises(UsageError, match="cannot be split"):
        resolved("command:echo 'x")


def test_a_command_that_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "WITHIN_S", 0.3)
    began = time.monotonic()
    with pytest.raises(SecretUnavailable, match="did not end within"):
        resolved(program("import time; time.sleep(60)"))
    with pytest.raises(SecretUnavailable, match="prints more than a key"):
        resolved("command:yes " + "x" * 100)
    assert time.monotonic() - began < 10


def test_a_child_that_a_command_leaves_behind_is_not_waited_for() -> None:
    began = time.monotonic()
    assert resolved("command:sh -c 'echo sk-agent; sleep 20 & '") == "sk-agent"
    assert time.monotonic() - began < 10


def test_a_keyring_is_asked_by_service_and_name(drawer) -> None:
    assert resolved("keyring:https://h/v1/ada") == "sk-of-the-drawer"
    with pytest.raises(SecretUnavailable, match="no entry 'bob'"):
        resolved("keyring:https://h/v1/bob")


def test_a_machine_without_a_keyring_says_what_else_there_is() -> None:
    before = keyring.get_keyring()
    keyring.set_keyring(NoKeyring())
    try:
        with pytest.raises(SecretUnavailable, match="no keyring that could be opened"):
            resolved("keyring:lab/ada")
    finally:
        keyring.set_keyring(before)


def test_without_the_package_the_command_that_installs_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(MissingExtra, match=r"pip install 'themis-tui\[keyring\]'"):
        resolved("keyring:lab/ada")


@pytest.mark.parametrize(
    "reference",
    [
        "sk-canary",
        "",
        "env:",
        "env: ",
        "command:",
        "command:''x'",
        "keyring:lab",
        "keyring:/ada",
        "keyring:lab/",
        "\x00",
    ],
)
def test_what_is_no_reference_is_not_quoted(reference: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_reference(reference)
    assert "sk-canary" not in str(caught.value)


@pytest.mark.parametrize("place", ["\x00", "/", "~nobody-at-all/x", "/dev/zero/x"])
def test_files_that_are_none(place: str) -> None:
    with pytest.raises(SecretUnavailable):
        resolved(f"file:{place}")


def test_a_named_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(SecretUnavailable):
        resolved(f"file:{tmp_path}/pipe")


def test_only_what_needs_a_person_is_handed_over(monkeypatch: pytest.MonkeyPatch, drawer) -> None:
    monkeypatch.setenv("LAB_KEY", "sk-in-the-environment")
    command = program("print('sk-printed')")
    assert [asks_a_person(each) for each in ("env:X", "file:/x", command, "keyring:a/b", "x", 5, None)] == [
        False,
        False,
        True,
        True,
        False,
        False,
        False,
    ]
    handed = gathered(["env:LAB_KEY", command, "keyring:https://h/v1/ada", command])
    assert json.loads(handed) == {command: "sk-printed", "keyring:https://h/v1/ada": "sk-of-the-drawer"}
    assert gathered(["env:LAB_KEY"]) == b""
    secrets.forget()
    receive(b'{"command:false": "sk-received"}')
    assert resolved("command:false") == "sk-received"
    receive(b"")


def test_what_was_read_is_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_KEY", "sk-quoted'by a driver")
    secret = resolved("env:LAB_KEY")
    assert masked(f"a {secret} b {secret!r}") == 'a *** b "***"'
    assert described(ValueError(f"invalid dsn {secret}")) == "ValueError: invalid dsn ***"
    assert redacted(f"x?y={secret}") == "x?y=***"
    keep_secret("postgresql://ada:p%40ssword@h/d")
    assert masked("no role ada with p@ssword or p%40ssword") == "no role ada with *** or ***"


def test_what_is_too_short_or_too_long_for_a_key_is_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LAB_KEY", "ab")
    with pytest.raises(SecretUnavailable, match="too short for a key"):
        resolved("env:LAB_KEY")
    file = tmp_path / "key"
    file.touch(mode=0o600)
    file.write_text("x" * 20_000)
    with pytest.raises(SecretUnavailable, match="more than a key"):
        resolved(f"file:{file}")
