"""What a command imports: looking at runs must be quick on a slow machine."""

import subprocess
import sys

import pytest

HEAVY = ("rich", "textual", "httpx2", "httpcore2", "asyncio", "concurrent", "multiprocessing", "themis_tui")


@pytest.mark.parametrize(
    "words", [["runs", "list"], ["runs", "show", "ten"], ["runs", "export", "ten"], ["--version"], []]
)
def test_looking_imports_no_screen_no_network_and_no_event_loop(finished, words):
    program = (
        "import sys; from themis.cli.main import main; code = main(sys.argv[1:]);"
        f"print(sorted({{m.partition('.')[0] for m in sys.modules}} & set({HEAVY})), file=sys.stderr);"
        "sys.exit(code)"
    )
    ran = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stderr) == (0, "[]\n")


def test_the_command_line_itself_imports_no_store():
    program = (
        "import sys; from themis.cli.main import make_parser; make_parser();"
        "print([m for m in sys.modules if m.startswith('themis.')])"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    loaded = {"themis.cli", "themis.cli.main", "themis.cli.output", "themis.runs", "themis.runs.exit_codes"}
    light = {"themis.core", "themis.core.errors", "themis.core.masking", "themis.core.safe_text"}
    assert set(eval(ran.stdout)) - loaded <= light
