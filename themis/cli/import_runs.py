"""``themis import``: logs of other tools as runs of ours."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from themis.cli import output
from themis.core.errors import UsageError
from themis.imports.entry import Imported, import_file
from themis.runs import exit_codes
from themis.runs.catalog import Store, open_store


def import_runs(given: argparse.Namespace) -> int:
    """Import every file named; the first that cannot be is an error, and those before it are in the store."""
    files = [Path(name).expanduser() for name in given.file]
    missing = next((each for each in files if not each.is_file()), None)
    if missing is not None:
        raise UsageError(f"There is no file {str(missing)!r:.200}.")
    store = open_store(given.storage)
    store.check_writable("importing runs")
    made: list[Imported] = []
    for each in files:
        for imported in import_file(store.backend, each):
            # The results and the samples of lm-eval name the same run.
            if imported.run_id in {one.run_id for one in made}:
                continue
            made.append(imported)
            if not given.json:
                _say(store, imported)
    if given.json:
        output.say_json(
            [{"address": output.address(store.name, each.run_id), **asdict(each)} for each in made]
        )
    return exit_codes.DONE


def _say(store: Store, imported: Imported) -> None:
    already = "  (there already)" if imported.already else ""
    output.say(f"{output.address(store.name, imported.run_id)}{already}")
    version = f" {output.cut(imported.tool_version, 30)}" if imported.tool_version else ""
    errors = f", {output.plural(imported.errors, 'error')}" if imported.errors else ""
    output.say(f"  {imported.tool}{version}: {output.plural(imported.samples, 'answer')}{errors}")
    for name, mean in imported.metrics.items():
        theirs = imported.reported.get(name)
        said = f"  ({imported.tool} reports {output.number(theirs)})" if theirs is not None else ""
        output.say(f"  {output.cut(name, 40)}  {output.number(mean)}{said}")
