"""What importing brings in, seen in an interpreter of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

DRIVERS = {
    "boto3",
    "botocore",
    "cloudpickle",
    "dask",
    "datasets",
    "distributed",
    "httpx2",
    "huggingface_hub",
    "keyring",
    "litellm",
    "langdetect",
    "math_verify",
    "nltk",
    "numpy",
    "openai",
    "pandas",
    "psycopg",
    "psycopg_pool",
    "pyarrow",
    "ray",
    "regex",
    "rouge_score",
    "sacrebleu",
    "scipy",
    "statsmodels",
    "sympy",
    "tomlkit",
}
SCREEN = {"textual", "themis_tui"}


def packages_after(code: str) -> set[str]:
    """The top-level packages that an interpreter holds after running ``code``."""
    say = "import json, sys; print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{say}"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "code",
    [
        "import themis",
        "from themis import evaluate",
        "import themis.backends",
        "from themis.backends import StorageBackend, ExecutionBackend",
        "from themis.core.entities import GenerationRecord, EvaluationRecord, ExperimentReport",
        "from themis.backends import open_storage; open_storage('memory')",
        "import themis.metrics; themis.metrics.open_metrics('MathVerify,Choice,NumericMatch')",
        "import themis.benchmarks; themis.benchmarks.described()",
        "from themis.benchmarks.presets import arc, gsm8k, hellaswag, ifeval, math_500, mmlu, truthfulqa",
        "from themis.backends import open_executor; open_executor('ray'); open_executor('batch')",
        "import themis.cli.main",
        "import themis.runs.catalog, themis.runs.launch, themis.runs.watch, themis.runs.delete",
        "import themis.compare.entry, themis.compare.report, themis.compare.flips, themis.compare.gate",
        "import themis.cli.compare, themis.cli.gate",
        "import themis_tui.main",
        "import themis_tui.screens.compare, themis_tui.screens.flip",
    ],
)
def test_importing_brings_in_no_driver(code: str):
    assert not packages_after(code) & DRIVERS


def test_a_whole_evaluation_brings_in_neither_driver_nor_screen():
    brought = packages_after(
        "from themis import evaluate\n"
        "from themis.backends import MemoryStorageBackend\n"
        "report = evaluate('demo', model='fake-math-llm', limit=3, storage_backend=MemoryStorageBackend())\n"
        "assert report.counts['answered'] == 3"
    )
    assert not brought & (DRIVERS | SCREEN)


def test_no_module_of_the_library_brings_in_the_screen():
    modules = sorted(
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in (ROOT / "themis").rglob("*.py")
    )
    assert "themis.runs.launch" in modules
    code = "\n".join(f"import {module}" for module in modules)
    assert not packages_after(code) & SCREEN


@pytest.mark.parametrize(
    "package",
    ["themis", "themis.backends", "themis.benchmarks", "themis.metrics", "themis.models", "themis.testing"],
)
def test_every_exported_name_is_there(package: str):
    module = import_module(package)
    assert len(module.__all__) == len(set(module.__all__))
    for name in module.__all__:
        assert getattr(module, name) is not None


@pytest.mark.parametrize("package", ["themis", "themis.backends", "themis.testing"])
def test_a_name_that_is_not_there_is_an_attribute_error(package: str):
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        import_module(package).nonsense


@pytest.mark.parametrize("package", ["themis", "themis_tui"])
def test_type_checkers_are_told_of_our_types(package: str):
    assert (ROOT / package / "py.typed").is_file()
