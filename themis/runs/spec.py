"""What to run, in names alone: what a form fills in, a command line says and a runner reads."""

from __future__ import annotations

import json
import math
import os
import shlex
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

from themis.backends.registry import (
    EXECUTION,
    STORAGE_VARIABLE,
    check_executor,
    check_storage,
    check_storage_writable,
    executor_named,
    is_path,
    storage_class,
    storage_named,
)
from themis.benchmarks import absolute_name, is_known, open_benchmark
from themis.core.codec import check_value
from themis.core.errors import ThemisError, UsageError
from themis.core.options import join_query, split_query
from themis.core.run_ids import checked_run_id
from themis.evaluation.budget import over_budget
from themis.metrics import is_harmless, metric_reference, open_metrics
from themis.models import PLAIN_SAMPLING, open_model
from themis.profiles import load_profiles
from themis.profiles.secrets import asks_a_person


@dataclass
class RunSpec:
    """One evaluation to run. Every field is a name or a number, so that it can travel."""

    benchmark: str
    """A name or the path of a file, with options, see :func:`themis.benchmarks.open_benchmark`."""
    model: str
    """A name with options, see :func:`themis.models.open_model`."""
    prompt: str | None = None
    """A template, or chat messages as JSON."""
    system: str | None = None
    metrics: list[str] | None = None
    sampling: dict[str, Any] = field(default_factory=dict)
    limit: int | None = None
    epochs: int = 1
    storage: str | None = None
    """A name, path or URI; ``None`` is the default store."""
    executor: str | None = None
    run_id: str | None = None
    resume: bool = True
    timeout: float | None = None
    """Seconds a sample may take."""
    max_workers: int | None = None
    seed: int | None = None
    budget: dict[str, float] = field(default_factory=dict)
    model_id: str | None = None

    def problems(self) -> dict[str, str]:
        """Field name to what is wrong with it; empty if the run can be started.

        Opens names, so that what would fail at the start is said here. Asks no model and writes nothing.
        """
        checks: dict[str, Any] = {
            "benchmark": lambda: open_benchmark(self.benchmark).check(),
            "model": lambda: open_model(self.model),
            "prompt": lambda: open_benchmark(self.benchmark).template(self.prompt, self.system),
            "metrics": lambda: open_metrics(self.metrics or []),
            "sampling": lambda: self._check_sampling(),
            "limit": lambda: _at_least_one(self.limit),
            "epochs": lambda: _at_least_one(self.epochs),
            "seed": lambda: _whole(self.seed),
            "max_workers": lambda: _at_least_one(self.max_workers),
            "timeout": lambda: _positive(self.timeout),
            "storage": self._check_storage,
            "executor": lambda: check_executor(self.executor),
            "run_id": lambda: None if self.run_id is None else checked_run_id(self.run_id),
            "budget": lambda: over_budget(self.budget),
        }
        found: dict[str, str] = {}
        for name, check in checks.items():
            if name == "prompt" and "benchmark" in found:
                continue
            try:
                check()
            except (ThemisError, ImportError, OSError, TypeError, ValueError) as exc:
                found[name] = str(exc)
        return found

    def _check_sampling(self) -> None:
        check_value(self.sampling)
        try:
            model = open_model(self.model)
        except (ThemisError, ImportError):
            return  # said at the model
        model.check_sampling(self.sampling)

    def _check_storage(self) -> None:
        check_storage_writable(self.storage, "evaluating")
        check_storage(self.storage)

    def detachable(self) -> RunSpec:
        """The same run with paths made absolute, fit for a process that starts in another folder.

        Raises :class:`UsageError` with the reason where a run in another process could not be seen from here,
        or where its id breaks the rule; :class:`StoreReadonly` where a profile keeps the store as it is.
        """
        if self.run_id is not None:
            checked_run_id(self.run_id)
        storage = _absolute(self.storage or os.environ.get(STORAGE_VARIABLE) or None)
        check_storage_writable(storage, "evaluating")
        check_storage(storage)
        if storage_class(storage_named(storage).base).__name__ == "MemoryStorageBackend":
            raise UsageError(
                "A run launched in a process of its own cannot use the memory store: it would be gone with "
                "that process. Use local, or another store that outlives it."
            )
        return replace(self, benchmark=_absolute_benchmark(self.benchmark), storage=storage)

    def references(self) -> list[str]:
        """The references to secrets that may need a person, of all that this run opens."""
        keys = [_key_of(open_model, self.model)]
        keys += [_key_of(_judge, name) for name in self.metrics or []]
        return [
            *storage_named(self.storage).references,
            *executor_named(self.executor).references,
            *(key for key in keys if key is not None and asks_a_person(key)),
        ]

    def arguments(self) -> dict[str, Any]:
        """The keywords of :func:`themis.evaluate` that run this, but for its events."""
        given = {each.name: getattr(self, each.name) for each in fields(self)}
        given["budget"] = self.budget or None
        given["storage_backend"] = given["execution_backend"] = None
        return given

    def command(self) -> str:
        """The ``themis eval`` command that does the same, ready for a shell."""
        words = ["themis", "eval", self.benchmark, "--model", self.model]
        options: list[tuple[str, Any]] = [
            ("--prompt", _shell_prompt(self.prompt)),
            ("--system", self.system),
            ("--limit", self.limit),
            ("--epochs", self.epochs if self.epochs != 1 else None),
            ("--storage", self.storage),
            ("--executor", self.executor),
            ("--run-id", self.run_id),
            ("--timeout", self.timeout),
            ("--max-workers", self.max_workers),
            ("--seed", self.seed),
            ("--model-id", self.model_id),
        ]
        for name, value in options:
            if value is not None:
                words += _option(name, value)
        for metric in self.metrics or []:
            # A comma would end its name.
            words += _option("--metric", metric.replace(",", "%2C"))
        for name, value in self.sampling.items():
            words += _option("--sampling", f"{name}={json.dumps(value)}")
        for name, value in self.budget.items():
            words += _option("--budget", f"{name}={_shortest(value)}")
        if not self.resume:
            words.append("--no-resume")
        return shlex.join(words)

    def to_json(self) -> str:
        """The text that a runner reads. Raises :class:`UsageError` for what no text can say."""
        try:
            return json.dumps(asdict(self), allow_nan=False)
        except (TypeError, ValueError) as exc:
            raise UsageError(f"A run in a process of its own is made of names and numbers: {exc}") from exc

    @classmethod
    def from_json(cls, text: str) -> RunSpec:
        """What ``to_json`` wrote. Raises :class:`UsageError` if it is something else."""
        try:
            return cls(**json.loads(text))
        except (ValueError, TypeError) as exc:
            raise UsageError(f"This is not a run's specification: {exc}") from exc


def _key_of(opened: Callable[[str], Any], name: str) -> str | None:
    # A person's code is loaded where it runs; what cannot be opened is told by whoever runs it.
    if not name.startswith("python:"):
        with suppress(ThemisError, ImportError):
            return getattr(opened(name), "key", None)
    return None


def _judge(metric: str) -> Any:
    return getattr(open_metrics([metric])[0], "model", None)


def _shell_prompt(prompt: str | None) -> str | None:
    # Behind one at sign a command line looks for a file.
    return f"@{prompt}" if prompt is not None and prompt.startswith("@") else prompt


def _option(name: str, value: Any) -> list[str]:
    text = _shortest(value) if isinstance(value, float) else str(value)
    # What starts with a dash would be taken for an option of its own.
    return [f"{name}={text}"] if text.startswith("-") else [name, text]


def _shortest(value: float) -> str:
    short = f"{value:g}"
    return short if float(short) == value else repr(value)


class Again(NamedTuple):
    """A stored run, to be asked again."""

    spec: RunSpec
    unconfirmed: dict[str, str]
    """Field to the value that was left out of ``spec``: code, addresses and keys named by a store are
    taken over only where a person confirms the exact value."""


def spec_of(metadata: dict[str, Any]) -> Again:
    """The specification by which a stored run could be asked again, as a new run.

    What a store says is data: models and metrics are kept only where they run no code, call no server and
    use no key, an endpoint or executor of the user's own profiles excepted; a benchmark where no other
    package brings it. The path of a data set is kept, to be shown; its questions go to a model only when the
    spec is run.
    """
    asked, where = _object(metadata, "asked"), _object(metadata, "where")
    model, dataset = _object(asked, "model"), _object(asked, "dataset")
    template = _object(asked, "prompt").get("template")
    system, executor = asked.get("system"), where.get("executor")
    wanted = {
        # The source's name says all that the short one leaves out.
        "benchmark": str(dataset.get("source") or asked.get("benchmark") or ""),
        "model": str(where.get("model") or model.get("name") or ""),
        "executor": str(executor or ""),
    }
    allowed = {
        "benchmark": _is_harmless_benchmark,
        "model": _is_harmless_model,
        "executor": _is_harmless_executor,
    }
    kept = {field: value for field, value in wanted.items() if allowed[field](value)}
    metrics = [metric_reference(str(each), stored) for each, stored in _object(asked, "metrics").items()]
    wanted["metrics"] = ",".join(each.replace(",", "%2C") for each in metrics if not is_harmless(each))
    sampling = _object(asked, "sampling")
    others = {name: value for name, value in sampling.items() if name not in PLAIN_SAMPLING}
    wanted["sampling"] = json.dumps(others) if others else ""
    spec = RunSpec(
        benchmark=kept.get("benchmark", ""),
        model=kept.get("model", ""),
        prompt=_template_text(template),
        system=system if isinstance(system, str) else None,
        metrics=[each for each in metrics if is_harmless(each)] or None,
        sampling={name: value for name, value in sampling.items() if name in PLAIN_SAMPLING},
        limit=asked.get("limit"),
        epochs=asked.get("epochs") or 1,
        executor=kept.get("executor") or None,
        max_workers=_as_stored(where.get("max_workers"), int),
        timeout=_as_stored(where.get("timeout"), int, float),
        seed=asked.get("seed"),
    )
    return Again(spec, {field: value for field, value in wanted.items() if value and field not in kept})


def _is_harmless_benchmark(name: str) -> bool:
    # What reads like a reference to a secret is no data set, whatever lies at that path.
    return not name.startswith(("file:", "env:", "command:", "keyring:")) and is_known(name)


def _is_harmless(name: str) -> bool:
    # Others may run code, or say where questions and keys go, however that is spelled.
    try:
        return split_query(name)[0] in ("", "fake-math-llm", *EXECUTION)
    except UsageError:
        return False


def _is_harmless_model(name: str) -> bool:
    if _is_harmless(name):
        return True
    try:
        # Address and key of an endpoint are the user's own, and no option of its name changes them.
        return split_query(name)[0].partition(":")[0] in load_profiles().endpoints
    except UsageError:
        return False


def _is_harmless_executor(name: str) -> bool:
    # What a profile of the user's says is theirs; a name with options never is one.
    return _is_harmless(name) or name in load_profiles().executors


def _as_stored(value: Any, *kinds: type) -> Any:
    return value if type(value) in kinds and value > 0 else None


def _object(document: dict[str, Any], name: str) -> dict[str, Any]:
    # A stranger's run may have anything there.
    value = document.get(name)
    return value if isinstance(value, dict) else {}


def _template_text(template: Any) -> str | None:
    if isinstance(template, list):
        return json.dumps(template, ensure_ascii=False)
    return template if isinstance(template, str) else None


def _absolute_benchmark(name: str) -> str:
    try:
        return absolute_name(name)
    except FileNotFoundError as exc:
        raise UsageError(
            f"{name!r:.200} starts from the folder this was started in, which is gone. Give a path from the "
            "root."
        ) from exc


def _absolute(storage: str | None) -> str | None:
    if storage is None:
        return None
    if is_path(storage):
        return _absolute_path(storage)
    base, options = split_query(storage)
    made = {
        name: _absolute_path(value) if name in ("root", "path") else value for name, value in options.items()
    }
    return join_query(base, made)


def _absolute_path(path: str) -> str:
    try:
        return os.path.abspath(Path(path).expanduser())
    except FileNotFoundError as exc:
        raise UsageError(
            f"{path!r} starts from the folder this was started in, which is gone. Give a path from the root."
        ) from exc


def _at_least_one(value: int | None) -> None:
    _whole(value)
    if value is not None and value < 1:
        raise UsageError(f"{value} is less than 1")


def _whole(value: int | None) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise UsageError(f"{value!r} is not a whole number")


def _positive(value: float | None) -> None:
    if value is not None and not 0 < value < math.inf:
        raise UsageError(f"{value:g} is not a number of seconds above 0")
