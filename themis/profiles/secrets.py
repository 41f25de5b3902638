"""Secrets are referred to, never written down.

``env:NAME``
    a variable of the environment.
``file:PATH``
    a file that nobody else can read.
``command:COMMAND``
    the first line that a command prints, ``command:pass show lab``. It is split as a shell splits words, and
    run without one; nothing of what else it says is shown.
``keyring:SERVICE/NAME``
    an entry of the desktop's keyring; needs the extra ``keyring``.

The last two may ask a person. They are read once in a process, and a process that launches another reads them
for it (:func:`gathered`, :func:`receive`). What was read is masked in what Themis says
(:mod:`themis.core.masking`).
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from themis.core.errors import MissingExtra, SecretUnavailable, UsageError
from themis.core.masking import SHORTEST, keep_secret

if TYPE_CHECKING:
    import subprocess

KINDS = ("env", "file", "command", "keyring")
ASKS_A_PERSON = ("command", "keyring")
WITHIN_S = 60.0
"""Seconds that a command or a keyring may take: a person may have to type a passphrase."""
MOST_BYTES = 16_384
_LOOK_EVERY_S = 0.1

_read_once: dict[str, str] = {}
_reading = threading.Lock()


def is_reference(text: str) -> bool:
    """Whether a text begins as a reference does."""
    return text.partition(":")[0] in KINDS and ":" in text


def check_reference(reference: str) -> str:
    """``reference``, if it is one. Raises :class:`UsageError` that does not quote it: it may be a secret."""
    kind, _, place = reference.partition(":")
    if not is_reference(reference) or not place.strip():
        raise UsageError(
            "A key is given by reference, env:NAME, file:PATH, command:COMMAND or keyring:SERVICE/NAME, "
            "never the key itself."
        )
    if kind == "command":
        _words(place)
    if kind == "keyring" and not all(place.rpartition("/")[::2]):
        raise UsageError("A reference to a keyring is keyring:SERVICE/NAME.")
    return reference


def resolved(reference: str) -> str:
    """The secret that a reference means, without white space around it.

    Raises :class:`SecretUnavailable` where there is none, where others can read it, and for what is not one
    line of plain characters; :class:`MissingExtra` for a keyring without its package. The secret itself
    stands in no error.
    """
    if check_reference(reference).partition(":")[0] not in ASKS_A_PERSON:
        return _checked(reference)
    if reference in _read_once:
        return _read_once[reference]
    # One at a time: a person is not asked twice, by two threads, for the same.
    with _reading:
        found = _read_once.get(reference)
        if found is None:
            found = _read_once[reference] = _checked(reference)
        return found


def asks_a_person(reference: Any) -> bool:
    """Whether reading what a value refers to may need somebody at this terminal."""
    return isinstance(reference, str) and is_reference(reference) and reference.startswith(ASKS_A_PERSON)


def gathered(references: Iterable[str]) -> bytes:
    """What those of ``references`` that may ask a person mean, to be handed to a process over a pipe."""
    secrets = {each: resolved(each) for each in dict.fromkeys(references) if asks_a_person(each)}
    return json.dumps(secrets).encode("ascii") if secrets else b""


def receive(data: bytes) -> None:
    """Take over what :func:`gathered` made in the process that launched this one."""
    for reference, secret in json.loads(data or b"{}").items():
        keep_secret(secret)
        with _reading:
            _read_once[reference] = secret


def forget() -> None:
    """Read everything anew from now on, as after a password was changed."""
    with _reading:
        _read_once.clear()


def _checked(reference: str) -> str:
    kind, _, place = reference.partition(":")
    secret = _READERS[kind](place).strip()
    if not secret or not secret.isascii() or not secret.isprintable():
        # Said here, without the secret: what refuses it further down would quote it.
        raise SecretUnavailable(
            f"What {reference} holds cannot be a key: it has to be one line of plain characters."
        )
    if len(secret) < SHORTEST:
        raise SecretUnavailable(
            f"What {reference} holds is too short for a key: under {SHORTEST} characters it cannot be kept "
            "out of what Themis says."
        )
    keep_secret(secret)
    return secret


def _from_environment(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise SecretUnavailable(f"The environment has no {name}, from which a secret is to be read.")
    return value


def _from_file(place: str) -> str:
    try:
        path = Path(place).expanduser()
        # What is looked at is what is read: a path could lead elsewhere a moment later.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(fd, "rb") as file:
            if os.fstat(fd).st_mode & 0o077:
                raise SecretUnavailable(f"{path} can be read by others; chmod 600 it.")
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise SecretUnavailable(f"{path} holds more than a key.")
        return data.decode("utf-8", errors="replace")
    except (OSError, RuntimeError, ValueError) as exc:
        reason = getattr(exc, "strerror", None) or type(exc).__name__
        raise SecretUnavailable(f"The key cannot be read from {place}: {reason}") from None


def _words(command: str) -> list[str]:
    import shlex

    try:
        words = shlex.split(command)
    except ValueError as exc:
        raise UsageError(f"The command of a command: reference cannot be split into words: {exc}.") from None
    if not words:
        raise UsageError("A command: reference needs a command, such as command:pass show lab.")
    return words


def _from_command(command: str) -> str:
    import subprocess  # whoever has no command: reference need not load it

    words = _words(command)
    words[0] = os.path.expanduser(words[0])
    try:
        # Its own complaints may hold the secret, and would be drawn across a screen.
        process = subprocess.Popen(
            words, bufsize=0, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
    except (OSError, ValueError) as exc:
        reason = getattr(exc, "strerror", None) or type(exc).__name__
        raise SecretUnavailable(f"The command {words[0]!r} cannot be started: {reason}.") from None
    try:
        return _printed(process, words[0])
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _printed(process: subprocess.Popen[bytes], name: str) -> str:
    import selectors

    assert process.stdout is not None
    deadline, printed = time.monotonic() + WITHIN_S, b""
    with selectors.DefaultSelector() as ready:
        ready.register(process.stdout, selectors.EVENT_READ)
        while len(printed) < MOST_BYTES:
            if time.monotonic() > deadline:
                raise SecretUnavailable(f"The command {name!r} did not end within {WITHIN_S:g} s.")
            ended = process.poll() is not None
            if ready.select(_LOOK_EVERY_S):
                chunk = os.read(process.stdout.fileno(), MOST_BYTES)
                if not chunk:
                    break
                printed += chunk
            elif ended:
                break  # a child that it left behind keeps the pipe, as an agent does
    if len(printed) >= MOST_BYTES:
        raise SecretUnavailable(f"The command {name!r} prints more than a key.")
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    if process.returncode != 0:
        how = "was still at work" if process.returncode is None else f"ended with code {process.returncode}"
        raise SecretUnavailable(
            f"The command {name!r}, which prints the key, {how}. Run it by hand to see why."
        )
    return next(iter(printed.decode("utf-8", errors="replace").splitlines()), "")


def _from_keyring(place: str) -> str:
    service, _, name = place.rpartition("/")
    try:
        import keyring
        import keyring.errors
    except ImportError as exc:
        raise MissingExtra(
            f"keyring: references need {exc.name}. Install it: pip install 'themis-tui[keyring]'"
        ) from exc

    def ask() -> str | None:
        try:
            return keyring.get_password(service, name)
        except keyring.errors.NoKeyringError:
            raise SecretUnavailable(
                "This machine has no keyring that could be opened (over SSH there often is none). Use "
                "env:NAME, file:PATH or command:COMMAND for the key."
            ) from None
        except keyring.errors.KeyringError as exc:
            raise SecretUnavailable(f"The keyring gave no key for {place}: {type(exc).__name__}.") from None

    secret = _within(WITHIN_S, ask, "The keyring")
    if secret is None:
        raise SecretUnavailable(f"The keyring has no entry {name!r} of the service {service!r}.")
    return str(secret)


def _within(seconds: float, call: Callable[[], Any], what: str) -> Any:
    """What ``call`` returns or raises, if it does in time; else it is left behind in its thread."""
    came: list[tuple[Any, BaseException | None]] = []

    def run() -> None:
        try:
            came.append((call(), None))
        except BaseException as exc:  # raised where it is waited for
            came.append((None, exc))

    thread = threading.Thread(target=run, name="themis-secret", daemon=True)
    thread.start()
    thread.join(seconds)
    if not came:
        raise SecretUnavailable(f"{what} gave no key within {seconds:g} s.")
    value, error = came[0]
    if error is not None:
        raise error
    return value


_READERS: dict[str, Callable[[str], str]] = {
    "env": _from_environment,
    "file": _from_file,
    "command": _from_command,
    "keyring": _from_keyring,
}
