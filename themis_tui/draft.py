"""What stands in the form's fields, and the run that it means."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import Any

from themis.benchmarks import is_built_in
from themis.metrics import split_names
from themis.runs.spec import RunSpec

NUMBERS: dict[str, type] = {"limit": int, "epochs": int, "max_workers": int, "timeout": float, "seed": int}


@dataclass
class Draft:
    """The form's fields as they are typed; empty is the default."""

    benchmark: str = "demo"
    model: str = "fake-math-llm"
    prompt: str = ""
    sampling: str = ""
    metrics: str = ""
    limit: str = ""
    epochs: str = ""
    storage: str = ""
    executor: str = ""
    max_workers: str = ""
    timeout: str = ""
    seed: str = ""
    run_id: str = ""
    rest: RunSpec | None = None
    """Where the fields come from: what the form does not show stays as it is there."""
    unread: str = ""
    """A data set that a stored run names: not looked at as long as this stands in the field."""
    note: str = ""
    """Why a field was left open."""

    @classmethod
    def from_spec(cls, spec: RunSpec) -> Draft:
        """A draft that means ``spec``."""
        texts = {
            name: _text(getattr(spec, name))
            for name in (each.name for each in fields(cls))
            if name not in ("rest", "unread", "note", "metrics", "sampling")
        }
        if texts["epochs"] == "1":
            texts["epochs"] = ""
        pairs = [f"{name}={json.dumps(value)}" for name, value in spec.sampling.items()]
        plain = all(not isinstance(value, (dict, list, str)) for value in spec.sampling.values())
        sampling = ", ".join(pairs) if plain else json.dumps(spec.sampling)
        return cls(**texts, sampling=sampling, metrics=", ".join(spec.metrics or []), rest=spec)

    @classmethod
    def from_stored(cls, spec: RunSpec, unconfirmed: dict[str, str]) -> Draft:
        """A draft of a stored run, see :func:`themis.runs.spec.spec_of`; says what is left to be typed."""
        draft = cls.from_spec(spec)
        draft.unread = "" if is_built_in(spec.benchmark) else spec.benchmark
        draft.note = " · ".join(
            f"Type the {field} yourself, as it may run code or call a server: {value}"
            for field, value in unconfirmed.items()
        )
        return draft

    @property
    def is_unread(self) -> bool:
        """Whether the benchmark is one that only a stored run names, and nobody has confirmed."""
        return bool(self.unread) and self.benchmark.strip() == self.unread

    def spec(self) -> tuple[RunSpec, dict[str, str]]:
        """The run that is meant, and which numbers are none."""
        wrong: dict[str, str] = {}
        numbers: dict[str, Any] = {}
        for name, kind in NUMBERS.items():
            text = getattr(self, name).strip().replace("_", "").replace(",", "")
            try:
                numbers[name] = kind(text) if text else None
            except ValueError:
                wrong[name] = f"{text!r} is not a {'whole number' if kind is int else 'number of seconds'}"
                numbers[name] = None
        numbers["epochs"] = 1 if numbers["epochs"] is None else numbers["epochs"]
        rest = self.rest or RunSpec("", "")
        names = split_names(self.metrics)
        try:
            sampling = _pairs(self.sampling)
        except ValueError as exc:
            sampling, wrong["sampling"] = {}, str(exc)
        spec = RunSpec(
            benchmark=self.benchmark.strip(),
            model=self.model.strip(),
            prompt=self.prompt or None,
            system=rest.system,
            metrics=names or None,
            sampling=sampling,
            storage=self.storage.strip() or None,
            executor=self.executor.strip() or None,
            run_id=self.run_id.strip() or None,
            budget=rest.budget,
            model_id=rest.model_id,
            **numbers,
        )
        return spec, wrong


def _pairs(text: str) -> dict[str, Any]:
    """``temperature=0, stop=x``, or a JSON object. Raises ``ValueError`` with what is wrong."""
    if text.strip().startswith("{"):
        try:
            return dict(json.loads(text))
        except ValueError as exc:
            raise ValueError(f"this is no JSON object: {exc}") from None
    found: dict[str, Any] = {}
    for each in filter(None, map(str.strip, text.split(","))):
        name, equals, value = map(str.strip, each.partition("="))
        if not name or not equals:
            raise ValueError(f"{each!r:.60} is not of the form name=value")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


def _text(value: object) -> str:
    if value is None:
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)
