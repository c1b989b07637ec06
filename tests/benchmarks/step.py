"""Compare real tokens per second of a training step here, with transformers, and in the course.

    python tests/benchmarks/step.py --data-dir DIR --encoder DIR [--steps N] [--batch 8 16 32]
        [--precision fp32 bf16] [--threads N] [--device cpu] [--out FILE]

`--data-dir` has the files of CS224N's default project, `--encoder` a BERT with its tokenizer.
Every step trains on N examples of each of SST, paraphrase and STS. The contestants take turns step
by step (A B C A B C ...) on the same examples, so that the machine's drift affects all alike:

- A: `MultitaskTraining.step`, lock-step order, plain gradients: packed, one pass for all tasks.
- B: the same work, written well with transformers' `BertModel`: SDPA, tokens prepared beforehand,
  padding to the longest sequence of each task's batch, one pass for each task, fused AdamW.
- C: the shape of the course's code: tokenization in the collate function, the sentences of a pair
  encoded apart (siamese), eager attention, the pooler, one pass for each task and sentence, AdamW
  with one loop iteration for each parameter. This is not the same work, so compare examples/s too.

A and B join pairs into one sequence, read [CLS], and share losses, linear heads, dropout 0.1
(attention dropout 0 in all three), two decay groups and clipping. The script ends with an error
unless both have the same token counts, losses and gradient norm, from equal weights without
dropout.

It prints for each precision, batch and contestant the median (min - max) over steps of real tokens
per second (special tokens count, padding does not) and examples/s, and the share of real tokens
among those computed; then the median (min - max) over steps of A's rate over B's and over C's.
"""

from __future__ import annotations

import json
import platform
import statistics
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import torch
import transformers
import tyro
from torch import nn

# Imports must find the repository, not this folder; the project need not be installed.
sys.path[0] = str(Path(__file__).resolve().parents[2])

from tests.benchmarks.contestants import Contestant, Drawn, Ours, Padded, Work, load_texts
from tests.course import LINEAR_TASKS, TASK_NAMES
from trainable.batch_orders.all_tasks import LockStep
from trainable.data.sources import Cs224nData
from trainable.model.encoder import EncoderConfig
from trainable.run_config import RunConfig
from trainable.seeds import ExampleOrder, derive
from trainable.stages.multitask import Multitask
from trainable.training.inputs import RunInputs, open_inputs

Precision = Literal["fp32", "bf16"]
Timed = dict[str, tuple[Work, float]]  # contestant -> its work and seconds in a step


@dataclass(frozen=True)
class Options:
    """Measure training steps.

    Attributes:
        data_dir: Folder with the course's tab-separated files.
        encoder: Folder (or Hub id) of a BERT with its tokenizer.
        steps: Timed steps of each contestant, per batch size and precision.
        warmup: Untimed steps before.
        batch: Examples of each task in a step.
        precision: `fp32`, or `bf16` autocast over float32 weights.
        threads: Of torch; 0 leaves torch's choice.
        device: `cpu` or `cuda`.
        seed: Seed of the heads' weights, of dropout and of the order of examples.
        out: JSON file with the figures of every single step.
    """

    data_dir: Path
    encoder: str
    steps: int = 10
    warmup: int = 2
    batch: tuple[int, ...] = (8, 16, 32)
    precision: tuple[Precision, ...] = ("fp32", "bf16")
    threads: int = 0
    device: str = "cpu"
    seed: int = 0
    out: Path | None = None


def check_same_work(ours: Ours, theirs: Padded, plan: list[Drawn]) -> None:
    """End the script if A and B differ in losses or gradient norm, without dropout."""
    for task in TASK_NAMES:
        head = next(m for m in ours.run.model.tasks[task].modules() if isinstance(m, nn.Linear))
        theirs.heads[task].load_state_dict(head.state_dict())
    models: tuple[nn.Module, ...] = (ours.run.model, theirs)
    for drawn in plan:
        for model in models:
            model.eval().zero_grad()
        own = ours.losses(drawn)
        other, _ = theirs.losses(drawn)
        gradients = []
        for model, losses in zip(models, (own, other), strict=True):
            torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
            gradients.append(
                nn.utils.get_total_norm(p.grad for p in model.parameters() if p.grad is not None)
            )
        pairs = [(own[task].item(), other[task].item()) for task in TASK_NAMES]
        pairs.append((gradients[0].item(), gradients[1].item()))
        if any(abs(a - b) > 1e-3 * max(1.0, abs(b)) for a, b in pairs):
            raise SystemExit(f"A and B differ in losses or gradient norm: {pairs}")
    for model in models:
        model.train().zero_grad()


def measure(contestants: dict[str, Contestant], plan: list[Drawn], device: str) -> list[Timed]:
    """Return one entry for each step: contestant -> its work and seconds."""
    rows = []
    for drawn in plan:
        row = {}
        for name, contestant in contestants.items():
            started = _now(device)
            work = contestant.step(drawn)
            row[name] = (work, _now(device) - started)
        if row["A"][0].n_tokens != row["B"][0].n_tokens:
            raise SystemExit(f"A and B trained on different tokens: {row}")
        rows.append(row)
    return rows


def _now(device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def _spread(values: list[float], digits: int = 0) -> str:
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:8,.{digits}f} ({low:,.{digits}f} - {high:,.{digits}f})"


def report(rows: list[Timed], n_examples: int, title: str) -> None:
    """Print the figures of one precision and batch size."""
    print(f"\n{title}")
    print(f"  {'':3}{'real tokens/s':28}{'examples/s':28}real/computed")
    for name in rows[0]:
        works, seconds = zip(*(row[name] for row in rows), strict=True)
        rates = [w.n_tokens / s for w, s in zip(works, seconds, strict=True)]
        share = sum(w.n_tokens for w in works) / sum(w.n_padded for w in works)
        examples = [n_examples / s for s in seconds]
        print(f"  {name:3}{_spread(rates):28}{_spread(examples, 1):28}{share:.2f}")
    for other in ("B", "C"):
        times = [row[other][1] / row["A"][1] for row in rows]
        tokens = [r["A"][0].n_tokens / r[other][0].n_tokens for r in rows]
        ratios = [a * b for a, b in zip(times, tokens, strict=True)]
        line = f"  A/{other} real tokens/s {_spread(ratios, 2)}"
        print(line if other == "B" else f"{line}   examples/s {_spread(times, 2)}")


def _device_name(device: str) -> str:
    if device == "cuda":
        return torch.cuda.get_device_name()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), "unknown")


def draw(config: RunConfig, inputs: RunInputs, batch: int, n_steps: int) -> list[Drawn]:
    """Return the examples that the run of this config draws in its first steps."""
    sizes = {task: len(inputs.corpus.splits["train"][task]) for task in TASK_NAMES}
    orders = {t: ExampleOrder(n, derive(config.seed, t)) for t, n in sizes.items()}
    return [{t: o.take(batch).tolist() for t, o in orders.items()} for _ in range(n_steps)]


def main(options: Options) -> None:
    """Measure and print."""
    if options.threads:
        torch.set_num_threads(options.threads)
    transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    data = Cs224nData(dir=str(options.data_dir))
    encoder = EncoderConfig(source=options.encoder)
    inputs = open_inputs(RunConfig(data=data, encoder=encoder), torch.device(options.device))
    texts = load_texts(data)
    machine = {
        "device": _device_name(options.device),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }
    print(", ".join(f"{key} {value}" for key, value in machine.items()))
    results = []
    for batch in options.batch:

        def config(precision: Precision, batch: int = batch) -> RunConfig:
            order = LockStep(batch_size=batch)
            stage = Multitask(batch_order=order, precision=precision, budget_tokens=10**8)
            return RunConfig(
                seed=options.seed, data=data, encoder=encoder, tasks=LINEAR_TASKS, multitask=stage
            )

        plan = draw(config("fp32"), inputs, batch, options.warmup + options.steps)

        def padded(config: RunConfig, siamese: bool, plan: list[Drawn] = plan) -> Padded:
            contestant = Padded(config, texts, options.device, siamese)
            contestant.prepare([] if siamese else plan)
            return contestant

        check_same_work(Ours(config("fp32"), inputs), padded(config("fp32"), False), plan[:2])
        for precision in options.precision:
            own = config(precision)
            contestants: dict[str, Contestant] = {
                "A": Ours(own, inputs),
                "B": padded(own, False),
                "C": padded(own, True),
            }
            rows = measure(contestants, plan, options.device)[options.warmup :]
            report(rows, batch * len(TASK_NAMES), f"{precision}, {batch} examples of each task")
            for step, row in enumerate(rows):
                cell = {"precision": precision, "batch": batch, "step": step}
                results += [
                    cell | {"contestant": name, "seconds": seconds} | asdict(work)
                    for name, (work, seconds) in row.items()
                ]
    if options.out:
        options.out.write_text(json.dumps({"machine": machine, "steps": results}, indent=1))


if __name__ == "__main__":
    main(tyro.cli(Options))
