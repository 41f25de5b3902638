"""No text reaches a widget but through :mod:`themis_tui.text`."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import themis_tui

ROOT = Path(themis_tui.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
WIDGETS = {"Static", "Label", "Button", "Markdown", "OptionList", "Option", "Tree"}
METHODS = {"update", "draw", "notify", "add_option", "write_line"}
MAKERS = {"line", "lines", "block", "spread", "head", "preview", "preview_beside", "_line", "_samples_head"}
"""Functions that give Content made by ``themis_tui.text``."""
SINKS_THEMSELVES = {"Option"}
"""What is handed to a widget, and was checked where it was made."""


def _name(function: ast.expr) -> str:
    if isinstance(function, ast.Name):
        return function.id
    return function.attr if isinstance(function, ast.Attribute) else ""


def _is_safe(value: ast.expr) -> bool:
    if isinstance(value, ast.Constant):
        return not isinstance(value.value, str) or "[" not in value.value
    return isinstance(value, ast.Call) and _name(value.func) in MAKERS | SINKS_THEMSELVES


def unsafe_sinks(source: str) -> list[int]:
    """Lines where a widget would get text that did not come from ``themis_tui.text``."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = _name(node.func)
        is_sink = name in WIDGETS or (name in METHODS and isinstance(node.func, ast.Attribute))
        given = [*node.args[:1], *(each.value for each in node.keywords if each.arg in ("content", "label"))]
        if is_sink and not all(_is_safe(each) for each in given):
            found.append(node.lineno)
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_sink_gets_made_content(path):
    if path.name in ("text.py", "steady.py"):
        pytest.skip("where it is made safe, and what hands on Content that was")
    assert unsafe_sinks(path.read_text(encoding="utf-8")) == []


def test_markup_is_read_nowhere():
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        assert "from_markup" not in text, path
        assert "markup=True" not in text, path


@pytest.mark.parametrize(
    "source",
    [
        'Static(f"{name}")',
        "Static(name)",
        'self.query_one("#a", Static).update(row.id)',
        'app.notify(f"{error}")',
        "Button(run_id)",
        "options.add_option(Option(name))",
        'Static("[bold]x")',
    ],
)
def test_the_rule_finds_what_it_forbids(source):
    assert unsafe_sinks(source)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_workers_are_threads_with_a_group_and_never_end_the_app(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and _name(node.func) == "run_worker":
            given = {each.arg: ast.unparse(each.value) for each in node.keywords}
            assert given.get("thread") == "True"
            assert "group" in given
            assert given.get("exit_on_error") == "False"
