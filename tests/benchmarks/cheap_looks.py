"""Say whether heads on frozen vectors show which heads are good when they are trained in earnest.

    python tests/benchmarks/cheap_looks.py --encoder MINILM1 --data-dir DIR --out OUT

Heads that are trained on the frozen encoder's vectors are cheap: the vectors are computed once. If
their order were that of whole runs, a search could look at all heads before it begins. Each
candidate has another pooling and head for each task. It is trained in earnest (60,000 tokens), and
its heads alone on the frozen vectors of the first 1,500 examples of each task. The rank correlation
of both scores on *select*, over the candidates, is printed for each task, with a 90 % interval from
resampled candidates.

OUT keeps a file for each candidate, and one whose file is there is not trained again.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Imports must find the repository, not this folder; the project need not be installed.
sys.path[0] = str(Path(__file__).resolve().parents[2])

import numpy as np
import torch
import tyro
from rich.progress import track
from scipy import stats

from tests.benchmarks.head_tuning import first_examples
from trainable.cache.files import write_json
from trainable.data.sources import Cs224nData
from trainable.defaults import default_run
from trainable.model.encoder import EncoderConfig
from trainable.partial_config import merged
from trainable.run_config import RunConfig
from trainable.stages.head_tuning import CachedHeadTuning
from trainable.stages.multitask import Multitask
from trainable.tasks import COURSE
from trainable.training.inputs import RunInputs, open_inputs
from trainable.training.loop import Run

_N_EXAMPLES = 1_500
_TOKENS = 60_000
_HEADS: tuple[dict[str, Any], ...] = ({"kind": "linear"}, {"kind": "mlp"})


@dataclass(frozen=True)
class Options:
    """Compare heads on frozen vectors with the same heads in whole runs."""

    encoder: Path
    """Folder of a small BERT."""

    data_dir: Path
    """Folder of the course's files."""

    out: Path
    """Where results are kept."""


def candidates() -> dict[str, dict[str, Any]]:
    """Return name -> what is said of each task: pairs of a pooling with heads or pair encodings."""
    decisions: list[dict[str, Any]] = [
        {"kind": "cosine"},
        *({"kind": "siamese", "features": "uv_diff_sq", "head": head} for head in _HEADS),
        {"kind": "joint"},
    ]
    numbers: list[dict[str, Any]] = [
        {"kind": "cosine", "scaling": {"kind": scaling}} for scaling in ("relu", "learned")
    ]
    numbers += decisions[1:3]
    found = {}
    for i, pooling in enumerate(("mean", "cls", "attention")):
        for k in range(4):
            # Other combinations for each task, so that no task always has the same neighbours.
            found[f"{pooling}-{k}"] = {
                "sst": {"pooling": {"kind": pooling}, "head": _HEADS[(i + k) % 2]},
                "para": {"pooling": {"kind": pooling}, "pair": decisions[k]},
                "sts": {"pooling": {"kind": pooling}, "pair": numbers[(k + i) % 4]},
            }
    return found


def scores_of(config: RunConfig, inputs: RunInputs) -> dict[str, float]:
    """Train a run to its end; returns the metric of each task on *select*."""
    run = Run(config, inputs)
    while not run.done:
        run.train_unit()
    found = run.evaluate("select")
    return {name: found[task.metric_key] for name, task in COURSE.items()}


def main(options: Options) -> None:
    """Train what is missing, and print the correlations."""
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    encoder = EncoderConfig(source=str(options.encoder.absolute()))
    data = Cs224nData(dir=str(options.data_dir.absolute()))
    base = default_run(encoder, data, 0, Multitask(budget_tokens=_TOKENS))
    inputs = open_inputs(base, torch.device("cpu"))
    few = first_examples(inputs, _N_EXAMPLES)
    results = []
    for name, tasks in track(candidates().items(), "candidates"):
        path = options.out / f"{name}.json"
        if not path.exists():
            whole = RunConfig.from_part(merged(base.to_dict(), {"tasks": tasks}), name)
            looked = whole.model_copy(
                update={"multitask": None, "head_tuning": CachedHeadTuning(epochs=10)}
            )
            write_json(path, {"whole": scores_of(whole, inputs), "looked": scores_of(looked, few)})
        results.append(json.loads(path.read_text("utf-8")))
    for task in COURSE:
        pairs = np.array([[own["looked"][task], own["whole"][task]] for own in results])
        low, high = interval(pairs)
        rho = stats.spearmanr(pairs[:, 0], pairs[:, 1]).statistic
        print(f"{task}: {rho:.2f} ({low:.2f} to {high:.2f}) over {len(pairs)} candidates")


def interval(pairs: np.ndarray) -> tuple[float, float]:
    """Return the 90 % interval of the rank correlation of two columns, by resampling rows."""
    draw = np.random.default_rng(0)
    found = []
    for _ in range(2000):
        own = pairs[draw.integers(len(pairs), size=len(pairs))]
        if len(set(own[:, 0])) > 1 and len(set(own[:, 1])) > 1:
            found.append(stats.spearmanr(own[:, 0], own[:, 1]).statistic)
    return float(np.quantile(found, 0.05)), float(np.quantile(found, 0.95))


if __name__ == "__main__":
    main(tyro.cli(Options))
