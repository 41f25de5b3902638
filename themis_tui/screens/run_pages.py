"""What stands on the other pages of a run: how it was asked for, and what its runner printed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from themis.runs.annotations import MOST_TAGS, Said
from themis.runs.logs import last_log, names_store
from themis.runs.watch import RunView
from themis_tui.widgets.reader import Passage

_BY_ID = "Found by the run's id alone: it may be of a run of the same id in another store."
PAGES = ("samples", "config", "log")


def config_page(view: RunView, said: Said) -> list[Passage]:
    """What people ``said`` of it, what was asked, and where it runs."""
    asked, where = _object(view.metadata, "asked"), _object(view.metadata, "where")
    prompt = _object(asked, "prompt").get("template")
    found = list(_said(view, said))
    found.append(Passage(_facts({k: v for k, v in asked.items() if k not in ("prompt", "system")}), "asked"))
    if prompt is not None:
        found.append(Passage(prompt if isinstance(prompt, str) else _json(prompt), "prompt"))
    if asked.get("system"):
        found.append(Passage(str(asked["system"]), "system prompt"))
    found.append(Passage(_facts(where), "where"))
    if view.metadata.get("budget"):
        found.append(Passage(_facts(_object(view.metadata, "budget")), "budget"))
    return found


def _said(view: RunView, said: Said) -> Iterator[Passage]:
    if said.name or said.tags:
        about = {"id": view.run_id, "name": said.name, "tags": " ".join(said.tags[:MOST_TAGS])}
        yield Passage(_facts(about), "said of it")
    if said.notes:
        yield Passage(said.notes, "notes")


def log_page(run_id: str, store: str | None) -> list[Passage]:
    """The end of what the newest runner printed; off the loop only.

    ``store``: as in ``where.storage``; ``None`` if it is not known, so that the log may be another's.
    """
    found = last_log(run_id, store)
    if found is None:
        return [Passage("There is no log of this run here: it was not launched from this machine.")]
    path, text = found
    if store is not None and names_store(path):
        return [Passage(text or "(it is empty)", "log", str(path))]
    return [Passage(_BY_ID, "log", str(path), "dim"), Passage(f"\n{text or '(it is empty)'}")]


def _facts(facts: Mapping[str, Any]) -> str:
    rows = list(_flat("", facts))
    wide = max((len(name) for name, _ in rows), default=0)
    return "\n".join(f"{name:<{wide}}   {said}" for name, said in rows) or "(unknown)"


def _flat(before: str, facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in facts.items():
        if isinstance(value, dict) and value:
            yield from _flat(f"{before}{name}.", value)
        elif value not in (None, {}, []):
            yield f"{before}{name}", value if isinstance(value, str) else _json(value)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _object(metadata: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = metadata.get(name)
    return value if isinstance(value, dict) else {}
