"""The process that executes a launched run: ``python -m themis.runs.runner ORDER``.

It has a session of its own, so that neither a closed terminal nor a lost connection ends it. SIGTERM and
SIGINT pause the run, SIGUSR1 cancels it; a second one no longer waits for answers in flight.
"""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import sys
import traceback
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

from themis.core.directories import make_private
from themis.core.errors import described
from themis.core.options import redacted
from themis.core.progress import ProgressSnapshot
from themis.core.safe_text import safe_text, storable
from themis.evaluation import Place, evaluate_as
from themis.evaluation.stop import INTERRUPTED, StopSignal, hearing
from themis.profiles.secrets import receive
from themis.runs import exit_codes
from themis.runs.control import CANCEL_SIGNAL
from themis.runs.places import progress_path
from themis.runs.spec import RunSpec


def main(arguments: list[str]) -> int:
    """Run one specification; the exit code says how it ended."""
    if len(arguments) != 1:
        print("usage: python -m themis.runs.runner ORDER", file=sys.stderr)
        return exit_codes.USAGE
    faulthandler.enable()
    # What the launcher hands over is all that ever comes in here.
    receive(sys.stdin.buffer.read())
    order = Path(arguments[0])
    spec = _read_order(order)
    publisher = Publisher(order.with_suffix(".answer"))
    stop = StopSignal()
    place = Place(detached=True, on_start=publisher.started)
    try:
        with _obeying(stop):
            report = evaluate_as(place, **spec.arguments(), cancel=stop, on_progress=publisher.publish)
    except KeyboardInterrupt:
        # How an interrupted evaluation ends in the main thread; the run is stored as paused.
        print(f"{spec.run_id}: paused", flush=True)
        return exit_codes.PAUSED
    except BaseException as exc:
        publisher.failed(exc)
        print(safe_text(redacted("".join(traceback.format_exception(exc)))), file=sys.stderr, flush=True)
        return exit_codes.code_of(exc)
    print(f"{report.run_id}: {report.status}", flush=True)
    return exit_codes.code_of_status(report.status)


def _read_order(path: Path) -> RunSpec:
    order = json.loads(path.read_bytes())
    path.unlink(missing_ok=True)
    if order["folder"] is not None:
        # Last, and after our own imports: python: models are found there, but nothing is replaced.
        sys.path.append(order["folder"])
    return RunSpec.from_json(order["spec"])


class Publisher:
    """Answers the launcher once, then keeps the progress file of the run."""

    def __init__(self, answer: Path) -> None:
        self._answer = answer
        self._progress: Path | None = None

    def started(self, metadata: dict[str, Any]) -> None:
        """The run exists in its store: tell the launcher."""
        self._progress = progress_path(metadata["where"]["storage"], metadata["run_id"])
        make_private(self._progress.parent)
        said = {"run_id": metadata["run_id"], "store": metadata["where"]["storage"], "pid": os.getpid()}
        replace_file(self._answer, said)

    def failed(self, exc: BaseException) -> None:
        """The run did not come up, or ended badly: tell the launcher, if it still waits."""
        if self._progress is None:
            told = {"error": storable(described(exc)), "kind": exit_codes.kind_of(exc)}
            replace_file(self._answer, told)

    def publish(self, snapshot: ProgressSnapshot) -> None:
        """Replace the progress file. A full disk here must not end the run."""
        if self._progress is not None:
            with suppress(OSError):
                replace_file(self._progress, snapshot.__dict__)


def replace_file(path: Path, document: dict[str, Any]) -> None:
    """Put a JSON document in place at once; a reader sees the old or the new."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_bytes(json.dumps(document).encode("ascii"))
    os.replace(temporary, path)


def _obeying(stop: StopSignal) -> AbstractContextManager[None]:
    def obey(number: signal.Signals) -> None:
        if number == CANCEL_SIGNAL:
            stop.cancel("cancelled by a person")
        else:
            stop.pause(INTERRUPTED)

    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    return hearing((signal.SIGTERM, signal.SIGINT, CANCEL_SIGNAL), obey)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
