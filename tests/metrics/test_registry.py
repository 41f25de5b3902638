"""Metrics by name, with options, and functions as metrics."""

from __future__ import annotations

import functools
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest

from themis.core.errors import MissingExtra, UnknownName, UsageError
from themis.metrics import (
    BUILT_IN,
    CallableMetric,
    Metric,
    Score,
    is_harmless,
    metric_names,
    metric_reference,
    open_metrics,
)


def test_names_come_as_a_list_or_in_one_text() -> None:
    assert [m.name for m in open_metrics("ExactMatch, Includes")] == ["ExactMatch", "Includes"]
    with pytest.raises(UnknownName, match=r"ExactMatch, Includes, .*python:module:function"):
        open_metrics(["exactmatch"])
    with pytest.raises(UsageError, match="named twice"):
        open_metrics("ExactMatch,ExactMatch")
    with pytest.raises(UsageError, match=r"ExactMatch\?name=ExactMatch2"):
        open_metrics(["ExactMatch", "ExactMatch"])
    with pytest.raises(UsageError, match="function of response and reference"):
        open_metrics([5])  # type: ignore[list-item]


def first(response: str, reference: Any) -> bool:
    return response[:1] == str(reference)[:1]


class Close:
    def __call__(self, response: str, reference: Any) -> float:
        return 0.5


def test_a_function_is_known_by_its_place() -> None:
    assert CallableMetric(first).name == "first"
    assert CallableMetric(first).params == CallableMetric(first).params
    assert CallableMetric(first).params["function"].endswith("test_registry:first")
    assert CallableMetric(Close()).name == "Close"
    assert CallableMetric(Close()).params["function"].endswith("test_registry:Close")


@pytest.mark.parametrize("function", [lambda response, reference: 1, functools.partial(first)])
def test_what_has_no_place_is_like_no_other(function: Any) -> None:
    one, two = CallableMetric(function), CallableMetric(function)
    assert one.params == one.params
    assert one.params != two.params
    assert one.name in ("lambda", "partial")


def test_metrics_pickle() -> None:
    metrics: list[Metric] = open_metrics(["ExactMatch", "Includes", first])
    copies = pickle.loads(pickle.dumps(metrics))
    assert [c.name for c in copies] == ["ExactMatch", "Includes", "first"]
    assert [c.params for c in copies] == [m.params for m in metrics]
    assert [c.score("42", "42").value for c in copies] == [1, 1, 1]


class Starts(Metric):
    """A metric as a stranger writes one."""

    name = "Starts"

    def __init__(self, characters: int = 1) -> None:
        self.characters = characters

    @property
    def params(self) -> dict[str, Any]:
        return {"characters": self.characters}

    def score(self, response: str, reference: Any) -> Score:
        return Score(int(response[: self.characters] == str(reference)[: self.characters]))


READY = Starts(2)
HERE = __name__

NEEDED = {
    "ModelJudge": "ModelJudge?model=fake-math-llm?seed=3&max_tokens=&rubric=a %26 b,c",
    "BLEU": "BLEU?tokenize=char",
    "RegexMatch": "RegexMatch?group=1&pattern=a%2C%28b%29%26%25c",
}


@pytest.mark.parametrize("name", BUILT_IN)
@pytest.mark.parametrize("stored_as", [None, "mine, too?"])
def test_what_a_run_stores_opens_the_metric_again(name: str, stored_as: str | None) -> None:
    (metric,) = open_metrics([NEEDED.get(name, name)])
    metric = metric if stored_as is None else metric.named(stored_as)
    reference = metric_reference(metric.name, metric.asked)
    for given in ([reference], reference):
        (again,) = open_metrics(given)
        assert type(again) is type(metric)
        assert again.name == (stored_as or name)
        assert again.asked == metric.asked
    assert is_harmless(reference) == (name != "ModelJudge")


def test_a_metric_can_be_used_twice() -> None:
    strict, near = open_metrics("NumericMatch,NumericMatch?tolerance=0.5&name=Near")
    assert (strict.name, strict.asked["params"]) == ("NumericMatch", {"tolerance": 0.0, "relative": False})
    assert (near.name, near.asked["params"]) == (
        "Near",
        {"metric": "NumericMatch", "tolerance": 0.5, "relative": False},
    )
    assert [each.score("3.4", 3).value for each in (strict, near)] == [0, 1]


def test_a_comma_in_an_option_is_encoded_in_a_text_and_plain_in_a_list() -> None:
    assert open_metrics("RegexMatch?pattern=a%2Cb,Includes")[0].params["pattern"] == "a,b"
    assert open_metrics(["RegexMatch?pattern=a,b"])[0].params["pattern"] == "a,b"


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("NumericMatch?tolerance=few", "tolerance: 'few' is not float"),
        ("NumericMatch?near=1", "no option 'near'. It has: tolerance, relative"),
        ("RegexMatch", "needs the option 'pattern'"),
        ("ExactMatch?x=1", "no option 'x'"),
        ("ExactMatch?name=", "cannot be empty"),
        ("ExactMatch?name=a&name=b", "an option twice"),
        ("python:json", "is not python:module:function"),
        ("python:no_such_module:f", "cannot be loaded"),
        ("python:json:nothing", "cannot be loaded"),
        ("python:sys:path", "not a metric or a function"),
        ("python:json:dumps?x=1", "no option 'x'. It has: name"),
    ],
)
def test_what_cannot_be_meant_is_said(reference: str, message: str) -> None:
    with pytest.raises(UsageError, match=message.replace("?", r"\?")):
        open_metrics([reference])


def test_a_function_class_or_metric_is_opened_by_its_place() -> None:
    function, renamed, cls, ready = open_metrics(
        [
            f"python:{HERE}:first",
            f"python:{HERE}:first?name=second",
            f"python:{HERE}:Starts?characters=3",
            f"python:{HERE}:READY?name=ready",
        ]
    )
    assert [each.name for each in (function, renamed, cls, ready)] == ["first", "second", "Starts", "ready"]
    assert function.asked["params"] == {"function": f"{HERE}:first"}
    assert cls.asked["params"] == {"metric": f"python:{HERE}:Starts", "characters": 3}
    assert [each.score("abx", "abc").value for each in (function, renamed, cls, ready)] == [1, 1, 0, 1]
    assert READY.name == "Starts"
    for metric in (function, renamed, cls):
        reference = metric_reference(metric.name, metric.asked)
        assert reference.startswith("python:")
        assert not is_harmless(reference)
        assert open_metrics([reference])[0].asked == metric.asked


def test_an_installed_package_brings_metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "lab_metrics-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lab-metrics\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[themis.metrics]\nLabStart = lab_metrics:Start\nlab-length = lab_metrics:length\n"
    )
    (tmp_path / "lab_metrics.py").write_text(
        "from themis.metrics import Metric, Score\n"
        "class Start(Metric):\n"
        "    name = 'Start'\n"
        "    def __init__(self, most: int = 1): self.most = most\n"
        "    params = property(lambda self: {'most': self.most})\n"
        "    def score(self, response, reference): return Score(self.most)\n"
        "def length(response, reference): return len(response)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert {"LabStart", "lab-length", *BUILT_IN} == set(metric_names())
    start, length = open_metrics("LabStart?most=3,lab-length")
    assert start.score("", "").value == 3
    assert start.asked["params"] == {"metric": "LabStart", "most": 3}
    assert metric_reference(start.name, start.asked) == "LabStart?most=3&name=Start"
    assert length.score("abc", "").value == 3
    assert not is_harmless("LabStart")
    del sys.modules["lab_metrics"]


def test_what_is_missing_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("themis.metrics.registry.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"BLEU.* needs sacrebleu.*pip install 'themis-tui\[text\]'"):
        open_metrics("BLEU")


@pytest.mark.parametrize(
    ("name", "stored", "reference"),
    [
        ("ExactMatch", None, "ExactMatch"),
        ("ExactMatch", "x", "ExactMatch"),
        ("ExactMatch", {"params": 3}, "ExactMatch"),
        ("x", {"params": {"function": "os:system"}}, "python:os:system?name=x"),
        ("ExactMatch", {"params": {"metric": "python:os:system"}}, "python:os:system?name=ExactMatch"),
        ("ExactMatch", {"params": {"metric": None, "a": [1]}}, "ExactMatch?a=%5B1%5D"),
    ],
)
def test_anything_stored_gives_a_name(name: str, stored: Any, reference: str) -> None:
    assert metric_reference(name, stored) == reference
