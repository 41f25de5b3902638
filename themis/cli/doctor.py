"""``themis doctor`` and ``themis runs doctor``: what is wrong, and what mends it."""

from __future__ import annotations

import argparse
from contextlib import closing
from typing import Any

from themis.cli import output
from themis.cli.ticker import Ticker
from themis.core.options import redacted
from themis.runs import exit_codes
from themis.runs.catalog import Store, find_run, open_store
from themis.runs.doctor import PROBLEM, Finding, RunHealth, StoreHealth, examine_run, examine_store, repair
from themis.runs.installation import Check, examine

_SIGNS = {True: "ok", False: "!!", None: "  "}
_MOST = 2_000
"""Cells of a message: the remedy stands at its end."""


def examine_installation(given: argparse.Namespace) -> int:
    """Print what this installation, machine and terminal can do; 1 if something is wrong."""
    checks: list[Check] = []
    for check in examine(None if given.storage is None else [given.storage]):
        if not given.json:
            if not checks or checks[-1].group != check.group:
                output.say(("" if not checks else "\n") + check.group)
            _say_check(check)
        checks.append(check)
    wrong = sum(check.ok is False for check in checks)
    if given.json:
        output.say_json({"ok": not wrong, "checks": [check._asdict() for check in checks]})
    else:
        output.say(f"\n{output.plural(wrong, 'thing')} to mend" if wrong else "\nAll is in order.")
    return exit_codes.FAILED if wrong else exit_codes.DONE


def _say_check(check: Check) -> None:
    name, said = output.cut(check.name, 60), output.cut(check.said, _MOST)
    output.say(f"  {_SIGNS[check.ok]} {name:<14} {said}")
    if check.mend:
        output.say(f"     {'':<14} → {output.cut(check.mend, _MOST)}")


def examine_runs(given: argparse.Namespace) -> int:
    """Look runs through, and a store as a whole where none is named; mend with ``--fix``."""
    if given.run:
        found = [find_run(address, given.storage) for address in dict.fromkeys(given.run)]
        stores: list[StoreHealth] = []
    else:
        store = open_store(given.storage)
        stores = [examine_store(store)]
        found = [(store, run_id) for run_id in store.backend.list_runs()]
    runs = []
    with closing(Ticker(as_json=given.progress == "json")) as ticker:
        for number, (store, run_id) in enumerate(found):
            ticker.tell("looking through", number, len(found))
            try:
                runs.append((store, examine_run(store, run_id)))
            except FileNotFoundError:
                continue  # deleted while the others were looked through
    findings = [f for health in stores for f in health.findings]
    findings += [f for _, health in runs for f in health.findings]
    if given.fix:
        for store, _ in found:
            store.check_writable("repairing runs")
    mended = repair(findings) if given.fix else []
    if given.json:
        output.say_json(_as_object(stores, runs, mended))
    else:
        _say(stores, runs, mended, fixing=given.fix)
    done = {id(finding) for finding, why_not in mended if why_not is None}
    left = [each for each in findings if each.level == PROBLEM and id(each) not in done]
    return exit_codes.FAILED if left else exit_codes.DONE


def _as_object(
    stores: list[StoreHealth], runs: list[tuple[Store, RunHealth]], mended: list[tuple[Finding, str | None]]
) -> dict[str, Any]:
    return {
        "stores": [
            {"store": redacted(each.store), "runs": each.runs, "findings": _objects(each.findings)}
            for each in stores
        ],
        "runs": [
            {
                "address": output.address(store.name, health.run_id),
                "status": health.status,
                "counts": health.counts,
                "findings": _objects(health.findings),
            }
            for store, health in runs
        ],
        "mended": [{"kind": each.kind, "said": each.said, "failed": why_not} for each, why_not in mended],
    }


def _objects(findings: list[Finding]) -> list[dict[str, Any]]:
    return [
        {
            **{key: value for key, value in each._asdict().items() if key != "repair"},
            "can_fix": each.repair is not None,
        }
        for each in findings
    ]


def _say(
    stores: list[StoreHealth],
    runs: list[tuple[Store, RunHealth]],
    mended: list[tuple[Finding, str | None]],
    *,
    fixing: bool,
) -> None:
    results = {id(finding): why_not for finding, why_not in mended}
    for whole in stores:
        output.say(f"{output.cut(redacted(whole.store), 100)}: {output.plural(whole.runs, 'run')}")
        _say_findings(whole.findings, results)
    fine = 0
    for store, health in runs:
        if not health.findings and len(runs) > 1:
            fine += 1
            continue
        counts = ", ".join(f"{output.count(each)} {name}" for name, each in health.counts.items() if each)
        output.say(f"{output.cut(output.address(store.name, health.run_id), 120)}  {health.status}: {counts}")
        _say_findings(health.findings, results)
    if fine:
        output.say(f"{output.plural(fine, 'run')} in order")
    every = [f for each in stores for f in each.findings] + [f for _, each in runs for f in each.findings]
    can = sum(each.repair is not None for each in every)
    if can and not fixing:
        output.note(f"--fix mends {can} of them.")


def _say_findings(findings: list[Finding], results: dict[int, str | None]) -> None:
    for each in findings:
        sign = "!!" if each.level == PROBLEM else "  "
        output.say(f"  {sign} {each.kind:<18} {output.cut(each.said, _MOST)}")
        if id(each) in results:
            why_not = results[id(each)]
            said = "mended" if why_not is None else f"could not be mended: {output.cut(why_not, _MOST)}"
            output.say(f"     {'':<18} ✓ {said}" if why_not is None else f"     {'':<18} {said}")
        else:
            output.say(f"     {'':<18} → {output.cut(each.mend, _MOST)}")
