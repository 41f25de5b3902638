"""Samples a second, from the call of ``evaluate`` to its report saved, beside the least that could do it.

    python benchmarks/throughput.py [--samples 10000] [--repeat 5] [--peers]

The bare limit is one thread that renders, scores and appends ``{id, prompt, response, metadata}`` and
``{id, scores}`` with msgspec, and syncs every 20 ms: no hashes, no report, no resume. Both read the same
JSONL file and ask the same function. Each repeat runs both in turn, in processes of their own; the ratio
is the median of the repeats. With ``--peers``, lm-eval and Inspect run too where they are installed.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

QUESTION_CHARACTERS = 215
WANTED_RATIO = 0.12
MOST_MB = {10_000: 64, 100_000: 77}


def answer(prompt: str) -> str:
    """The instant model: reads the prompt and says the same number to all."""
    return "12" if prompt else ""


def write_rows(path: Path, count: int) -> None:
    """Arithmetic questions of a usual length."""
    with open(path, "w") as file:
        for number in range(count):
            question = f"What is {number} + {number * 7 % 13}? "
            row = {
                "id": f"q-{number:06d}",
                "question": question.ljust(QUESTION_CHARACTERS, "x"),
                "answer": str(number + number * 7 % 13),
            }
            file.write(json.dumps(row) + "\n")


def bare(rows: Path, folder: Path) -> float:
    """Seconds of the bare limit."""
    import msgspec

    encode = msgspec.json.Encoder().encode
    decode = msgspec.json.Decoder().decode
    started = time.perf_counter()
    with (
        open(rows, "rb") as questions,
        open(folder / "generations.jsonl", "wb", buffering=1 << 20) as generations,
        open(folder / "evaluations.jsonl", "wb", buffering=1 << 20) as evaluations,
    ):

        def sync() -> None:
            for file in (generations, evaluations):
                file.flush()
                os.fdatasync(file.fileno())

        synced = time.perf_counter()
        for line in questions:
            row = decode(line)
            prompt = f"{row['question']}"
            response = answer(prompt)
            wanted = row["answer"]
            scores = {"ExactMatch": int(response == wanted), "Includes": int(wanted in response)}
            record = {"id": row["id"], "prompt": prompt, "response": response, "metadata": {}}
            generations.write(encode(record) + b"\n")
            evaluations.write(encode({"id": row["id"], "scores": scores}) + b"\n")
            if time.perf_counter() - synced > 0.02:
                sync()
                synced = time.perf_counter()
        sync()
    return time.perf_counter() - started


def themis(rows: Path, folder: Path) -> float:
    """Seconds of ``evaluate``, with its defaults."""
    from themis import evaluate
    from themis.backends import LocalStorageBackend

    with LocalStorageBackend(folder) as storage:
        started = time.perf_counter()
        report = evaluate(rows, model=answer, storage_backend=storage)
        took = time.perf_counter() - started
        assert storage.load_report(report.run_id).counts["answered"] == report.counts["asked"]
    return took


def load(rows: Path, folder: Path) -> tuple[float, float]:
    """Seconds to load the generations of a run: ours, and by msgspec alone."""
    import gc

    import msgspec

    from themis import evaluate
    from themis.backends import LocalStorageBackend
    from themis.core.entities import GenerationRecord

    storage = LocalStorageBackend(folder)
    run_id = evaluate(rows, model=answer, storage_backend=storage).run_id
    storage.close()
    started = time.perf_counter()
    records = storage.load_generation_records(run_id)
    ours = time.perf_counter() - started
    count = len(records)
    del records
    (path,) = (folder / "runs" / run_id).glob("gen-*.jsonl")
    decoder = msgspec.json.Decoder(GenerationRecord)
    gc.disable()
    started = time.perf_counter()
    assert len(decoder.decode_lines(path.read_bytes())) == count
    return ours, time.perf_counter() - started


def lm_eval(rows: Path, folder: Path) -> float:
    """Seconds of lm-eval's dummy model over the same questions, logging samples."""
    import lm_eval as peer

    (folder / "task.yaml").write_text(
        "task: ours\ndataset_path: json\ndataset_kwargs:\n  data_files:\n"
        f"    test: {rows}\ntest_split: test\noutput_type: generate_until\n"
        'doc_to_text: "{{question}}"\ndoc_to_target: "{{answer}}"\n'
        'generation_kwargs:\n  until: ["\\n"]\n'
    )
    manager = peer.tasks.TaskManager(include_path=str(folder))
    started = time.perf_counter()
    peer.simple_evaluate(model="dummy", tasks=["ours"], task_manager=manager, log_samples=True)
    return time.perf_counter() - started


def inspect_ai(rows: Path, folder: Path) -> float:
    """Seconds of Inspect's mock model over the same questions."""
    from inspect_ai import Task
    from inspect_ai import eval as evaluate
    from inspect_ai.dataset import Sample
    from inspect_ai.model import ModelOutput, ModelUsage, get_model
    from inspect_ai.scorer import match

    with open(rows) as file:
        samples = [Sample(input=row["question"], target=row["answer"]) for row in map(json.loads, file)]

    def outputs():
        while True:
            output = ModelOutput.from_content("mockllm/model", "12")
            output.usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)
            yield output

    model = get_model("mockllm/model", custom_outputs=outputs())
    started = time.perf_counter()
    evaluate(Task(dataset=samples, scorer=match()), model=model, display="none", log_dir=str(folder))
    return time.perf_counter() - started


CONTESTANTS = {"bare": bare, "themis": themis, "load": load, "lm_eval": lm_eval, "inspect_ai": inspect_ai}


def measured(name: str, rows: Path) -> dict[str, float]:
    """One contestant in a process of its own: seconds and peak memory in MB."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "XDG_CACHE_HOME": folder, "THEMIS_STATE_DIR": f"{folder}/state"}
        command = [sys.executable, __file__, "--one", name, "--rows", str(rows), "--folder", folder]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def installed(name: str) -> bool:
    """Whether a peer can be imported."""
    done = subprocess.run([sys.executable, "-c", f"import {name}"], capture_output=True)
    return done.returncode == 0


def main() -> None:
    """Run the contest and print its table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--one", choices=CONTESTANTS, help=argparse.SUPPRESS)
    parser.add_argument("--rows", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        took = CONTESTANTS[asked.one](asked.rows, asked.folder)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 if sys.platform == "darwin" else 1024)
        seconds, bare_seconds = took if isinstance(took, tuple) else (took, 0.0)
        print(json.dumps({"seconds": seconds, "bare": bare_seconds, "mb": peak}))
        return
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows.jsonl"
        write_rows(rows, asked.samples)
        compare(rows, asked.samples, asked.repeat, asked.peers)


def compare(rows: Path, samples: int, repeat: int, peers: bool) -> None:
    """Print the contestants' figures, best and median, and the ratios that count."""
    ratios, loads, memory = [], [], []
    print(f"{samples:,} samples, {repeat} rounds")
    print("round     bare/s   themis/s   ratio  us each     MB     load/s")
    for number in range(1, repeat + 1):
        limit, ours, loading = (measured(name, rows) for name in ("bare", "themis", "load"))
        ratios.append(limit["seconds"] / ours["seconds"])
        loads.append((samples / loading["seconds"], loading["bare"] / loading["seconds"]))
        memory.append(ours["mb"])
        print(
            f"{number:>5} {samples / limit['seconds']:>10,.0f} {samples / ours['seconds']:>10,.0f} "
            f"{ratios[-1]:>7.3f} {ours['seconds'] / samples * 1e6:>8.1f} {ours['mb']:>6.1f} "
            f"{loads[-1][0]:>10,.0f}"
        )
    print(f"ratio to the bare limit: median {statistics.median(ratios):.3f}, wanted {WANTED_RATIO}")
    print(f"peak memory: {max(memory):.1f} MB, wanted at most {MOST_MB.get(samples, '-')}")
    loaded, share = max(loads)
    print(f"loading: best {loaded:,.0f} records/s, {share:.2f} of bare msgspec; wanted 400,000 or 0.6")
    for peer in ("lm_eval", "inspect_ai"):
        if peers and installed(peer):
            print(f"{peer}: {samples / measured(peer, rows)['seconds']:,.0f} samples/s")
        elif peers:
            print(f"{peer}: not installed here")


if __name__ == "__main__":
    main()
