"""Starting a run in a process of its own, and knowing that it started."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from themis.core.directories import make_private, state_dir
from themis.core.errors import LaunchFailed
from themis.core.options import split_query
from themis.core.run_ids import make_run_id
from themis.profiles import load_profiles
from themis.profiles.secrets import gathered
from themis.runs.exit_codes import error_of
from themis.runs.places import log_path
from themis.runs.spec import RunSpec

ANSWER_WITHIN_S = 60.0
END_WITHIN_S = 5.0
"""Seconds that a runner has to end by itself when nothing came of it, before it is killed."""
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

    Raises what :func:`themis.evaluate` would raise for what cannot be run; :class:`LaunchFailed` with the
    runner's reason where that is no error of ours. Then nothing is left running.
    """
    ready = spec.detachable()
    handed_over = gathered(ready.references())
    ready = replace(ready, run_id=ready.run_id or _made_run_id(ready))
    order = json.dumps({"spec": ready.to_json(), "folder": _folder()}).encode("ascii")
    launched = time.strftime("%Y%m%d-%H%M%S", time.gmtime()) + "-" + secrets.token_hex(3)
    try:
        order_path = state_dir() / "launches" / f"{launched}.json"
        log = log_path(str(ready.run_id), launched)
        for folder in (order_path.parent, log.parent):
            make_private(folder)
        _write_private(order_path, order)
        _write_private(log, b"")
    except OSError as exc:
        raise LaunchFailed(
            f"The state directory cannot be written to: {exc}. THEMIS_STATE_DIR names another one."
        ) from exc
    answer = order_path.with_suffix(".answer")
    try:
        process = _start(order_path, log, handed_over)
        try:
            launched_run = _answered(process, answer, log, launched, within_s)
        except BaseException:
            _end(process)
            raise
    finally:
        order_path.unlink(missing_ok=True)
        for left in order_path.parent.glob(f"*{answer.name}*"):
            left.unlink(missing_ok=True)
    # Unless somebody waits for it, a process that ended would still be listed as one that lives.
    threading.Thread(target=process.wait, name=f"themis-runner-{process.pid}", daemon=True).start()
    return launched_run


def _made_run_id(spec: RunSpec) -> str:
    kind, _, rest = split_query(spec.model)[0].partition(":")
    model = rest.rpartition(":")[2] if kind == "python" else rest or kind
    endpoint = None if rest else load_profiles().endpoints.get(kind)
    if endpoint is not None and endpoint.model:
        model = endpoint.model  # as a run in the foreground is called
    return make_run_id(Path(spec.benchmark).stem, model)


def _folder() -> str | None:
    # Where the launcher stands, for python: models. Not on PYTHONPATH: a json.py in it must not stand in
    # for the runner's own.
    try:
        return os.getcwd()
    except FileNotFoundError:
        return None


def _start(order: Path, log: Path, handed_over: bytes) -> subprocess.Popen[bytes]:
    """The runner. ``handed_over``: secrets that it cannot read itself; they go through its standard input
    only."""
    output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    try:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "themis.runs.runner", str(order)],
            stdin=subprocess.PIPE if handed_over else subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            close_fds=True,
        )
    finally:
        os.close(output)
    if process.stdin is not None:
        # A runner that is gone already says why in its log.
        with suppress(BrokenPipeError), process.stdin as pipe:
            pipe.write(handed_over)
    return process


def _answered(
    process: subprocess.Popen[bytes], answer: Path, log: Path, launched: str, within_s: float
) -> Launched:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        said = _read(answer)
        ended = process.poll() is not None
        said = said or (_read(answer) if ended else None)
        if said is not None:
            if "error" in said:
                with suppress(subprocess.TimeoutExpired):
                    # It is still writing its log.
                    process.wait(END_WITHIN_S)
                raise error_of(str(said.get("kind")), str(said["error"]))
            run_id = str(said["run_id"])
            return Launched(run_id, int(said["pid"]), _of_store(log, run_id, launched, str(said["store"])))
        if ended:
            raise LaunchFailed(f"The runner ended before it answered. Its log, {log}, ends:\n{_tail(log)}")
        time.sleep(_LOOK_EVERY_S)
    _end(process)
    raise LaunchFailed(
        f"The runner did not answer within {within_s:g} s and was ended. Its log, {log}, ends:\n{_tail(log)}"
    )


def _of_store(log: Path, run_id: str, launched: str, store: str) -> Path:
    """The log under a name that tells of which store's run it is; the runner writes on to it."""
    named = log_path(run_id, launched, store)
    try:
        log.rename(named)
    except OSError:  # then it is known by the run's id alone
        return log
    return named


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(END_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


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
