"""``themis runs copy``: runs from one store to another, verified."""

from __future__ import annotations

import argparse
from contextlib import closing
from typing import Any

from themis.cli import output
from themis.cli.ticker import Ticker
from themis.core.errors import ThemisError, UsageError
from themis.runs import exit_codes
from themis.runs.catalog import Store, find_run, open_store
from themis.runs.copy import Copied, CopyProgress, copy_run
from themis.runs.delete import refusal


def copy_runs(given: argparse.Namespace) -> int:
    """Copy runs one after another; one that is refused keeps no other from it."""
    if given.new_id is not None and len(given.run) > 1:
        raise UsageError("--as gives one id, so it takes one run.")
    found = [find_run(address, given.storage) for address in dict.fromkeys(given.run)]
    target = open_store(given.to)
    target.check_writable("copying runs into it")
    copied: list[Copied] = []
    refused: dict[str, ThemisError] = {}
    with closing(Ticker(as_json=given.progress == "json")) as ticker:

        def tell(at: CopyProgress) -> None:
            more = {"run_id": at.run_id, "step": at.step, "run": number, "runs": len(found)}
            ticker.tell(f"{at.run_id}: {at.step}", at.done, at.total, **more)

        torn: list[str] = []
        for number, (source, run_id) in enumerate(found, 1):
            ticker.tell("copying", number - 1, len(found), run=number, runs=len(found))
            try:
                copied.append(copy_run(source, run_id, target, new_id=given.new_id, progress=tell))
                torn += _torn(source, run_id)
            except Exception as exc:  # a stranger's store may raise anything
                if len(found) == 1:
                    raise
                refused[output.address(source.name, run_id)] = refusal(exc)
    _say(given, copied, refused)
    for each in torn:
        output.note(each)
    return max((exit_codes.code_of(exc) for exc in refused.values()), default=exit_codes.DONE)


def _torn(source: Store, run_id: str) -> list[str]:
    """What a person has to know of unfinished lines, which no reader sees and no copy has."""
    anatomy_of = getattr(source.backend, "anatomy_of", None)
    torn = {} if anatomy_of is None else anatomy_of(run_id).torn
    if not torn:
        return []
    address = output.cut(output.address(source.name, run_id), 120)
    return [
        f"{address}: {output.plural(len(torn), 'unfinished last line')}, {output.size(sum(torn.values()))}, "
        "left by a killed writer, could not be copied. What they were to hold is asked again by a resume."
    ]


def _say(given: argparse.Namespace, copied: list[Copied], refused: dict[str, ThemisError]) -> None:
    if given.json:
        said: dict[str, Any] = {"copied": [_as_object(each) for each in copied]}
        if refused:
            said["refused"] = {address: output.message_of(exc) for address, exc in refused.items()}
        output.say_json(said)
        return
    for each in copied:
        generations = output.plural(each.generations, "generation")
        records = f"{generations}, {output.plural(each.evaluations, 'evaluation')}"
        resumed = f" ({output.count(each.resumed)} were there already)" if each.resumed else ""
        address = output.cut(output.address(each.target, each.new_id), 120)
        output.say(f"copied  {address}: {records}{resumed}, read back and found the same")
    for failed, exc in refused.items():
        output.note(f"{output.cut(failed, 120)}: {output.cut(output.message_of(exc), 400)}")


def _as_object(each: Copied) -> dict[str, Any]:
    return {
        **each._asdict(),
        "source": output.address(each.source, each.run_id),
        "target": output.address(each.target, each.new_id),
    }
