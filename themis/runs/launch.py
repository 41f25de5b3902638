"""Starting a run in a process of its own, and knowing that it started."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from themis.core.directories import state_dir
from themis.core.errors import LaunchFailed, UsageError
from themis.core.run_ids import make_run_id
from themis.runs.places import log_path
from themis.runs.spec import RunSpec

ANSWER_WITHIN_S = 60.0
_LOOK_EVERY_S = 0.02
_LOG_TAIL = 2_000


class Launched(NamedTuple):
    """A run that came up."""

    run_id: str
    pid: int
    log: Path
    """What the runner prints; only its owner may read it."""


def launch(spec: RunSpec, *, within_s: float = ANSWER_WITHIN_S) -> Launched:
    """Start a run in a session of its own; returns once it exists in its store.

    Raises :class:`UsageError` for what cannot be run, :class:`LaunchFailed` with the runner's reason: then
    nothing is left running.
    """
    ready = spec.detachable()
    launched = time.strftime("%Y%m%d-%H%M%S", time.gmtime()) + "-" + secrets.token_hex(3)
    folder = state_dir() / "launches"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    spec_path = folder / f"{launched}.json"
    _write_private(spec_path, ready.to_json().encode())
    log = log_path(
        spec.run_id or make_run_id(Path(spec.benchmark).stem, spec.model.partition("?")[0]), launched
    )
    log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    answer = spec_path.with_suffix(".answer")
    try:
        process = _start(spec_path, log)
        return _answered(process, answer, log, within_s)
    finally:
        spec_path.unlink(missing_ok=True)
        answer.unlink(missing_ok=True)


def _start(spec_path: Path, log: Path) -> subprocess.Popen[bytes]:
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "themis.runs.runner", str(spec_path)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            close_fds=True,
            env={**os.environ, "PYTHONPATH": _import_path()},
        )
    finally:
        os.close(output)


def _import_path() -> str:
    # The launcher's folder stays importable for python: models, as it would be without a runner.
    given = os.environ.get("PYTHONPATH")
    return os.pathsep.join(each for each in (given, os.getcwd()) if each)


def _answered(process: subprocess.Popen[bytes], answer: Path, log: Path, within_s: float) -> Launched:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        said = _read(answer)
        ended = process.poll() is not None
        said = said or (_read(answer) if ended else None)
        if said is not None:
            if "error" in said:
                process.wait()
                error = UsageError if said.get("kind") == "usage" else LaunchFailed
                raise error(str(said["error"]))
            return Launched(str(said["run_id"]), int(said["pid"]), log)
        if ended:
            raise LaunchFailed(f"The runner ended before it answered. Its log, {log}, ends:\n{_tail(log)}")
        time.sleep(_LOOK_EVERY_S)
    process.terminate()
    raise LaunchFailed(
        f"The runner did not answer within {within_s:g} s and was ended. Its log, {log}, ends:\n{_tail(log)}"
    )


def _read(answer: Path) -> dict[str, Any] | None:
    try:
        said: dict[str, Any] = json.loads(answer.read_bytes())
    except FileNotFoundError:
        return None
    return said


def _write_private(path: Path, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(data)


def _tail(log: Path) -> str:
    try:
        return log.read_bytes()[-_LOG_TAIL:].decode("utf-8", "replace").strip() or "(it is empty)"
    except OSError as exc:
        return f"(it cannot be read: {exc})"
