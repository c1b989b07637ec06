"""Tables of learning curves that others recorded, as problems for a search.

A table has some hundred configurations, all of which were trained to their end, so a replay need
not train. Three kinds, none of them made by this project:

    deberta    1,024 random ways to fine-tune DeBERTa-base on MNLI; *select* is `matched`, *confirm*
               is `mismatched`
    taskset_*  the same 1,000 configurations of an optimiser on four text classification tasks
    nmtlc_*    a grid of 81 ways to fine-tune a language model with LoRA for French-English

A unit is a ninth of a configuration's own run, whatever its epochs and batch size are. Its score is
that of the last checkpoint before its end, or of the first checkpoint if there was none before.
The score of `taskset` is exp(-loss), the mean probability of the right answer: a loss has no upper
bound, and a single one of 1e16 would be all that a model sees.

The regret of a configuration is measured on *confirm* at its end: in `deberta` and `nmtlc` points
behind the best configuration, in `taskset` the way from the best loss (0) to the median (1), which
is that of an untrained model; a loss above it counts as 1.
"""

from __future__ import annotations

import gzip
import json
import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.searchers.base import Params
from spaces.params import Param
from tests.benchmarks.curve import UNITS, scaled
from trainable.component import Choice, FloatRange, IntRange, Value

_Floats = NDArray[np.float64]

DEBERTA = "deberta"
TASKSETS = tuple(
    f"taskset_{name}"
    for name in (
        "patch128_lstm128_avg_bs64",
        "patch32_gru128_bs128",
        "patch32_irnn64_relu_avg_bs128",
        "patch32_lstm128_bs128",
    )
)
NMTLC = ("nmtlc_bloomz", "nmtlc_xglm")


@dataclass(frozen=True)
class CurveTable:
    """Configurations whose whole curves are known.

    Attributes:
        name: As in `TASKSETS` and so on.
        params: Params with the ranges that the configurations were drawn from.
        configs: Values of all params, for each configuration.
        scores: (configs, `UNITS`) score on *select* after each unit; NaN where it diverged.
        regrets: (configs,) regret after a full run, at least 0.
        default: What a textbook recommends; it need not be among the configurations.
    """

    name: str
    params: tuple[Param, ...]
    configs: tuple[Params, ...]
    scores: _Floats
    regrets: _Floats
    default: Params

    def distances(self, params: Params) -> _Floats:
        """Return the distance of each configuration from a point: (configs,).

        A number moves by its share of its range, on the range's own scale; two values of a choice
        are at distance 1.
        """
        return np.asarray(np.linalg.norm(self.positions - position(self.params, params), axis=1))

    @cached_property
    def positions(self) -> _Floats:
        """The positions between which distances are measured: (configs, features)."""
        return np.array([position(self.params, own) for own in self.configs])


def position(params: tuple[Param, ...], values: Params) -> _Floats:
    """Return a point's position: one feature for a number, and one for each value of a choice."""
    found: list[float] = []
    for param in params:
        if isinstance(param.domain, Choice):
            found += [math.sqrt(0.5) * (values[param.name] == own) for own in param.domain.values]
        else:
            found.append(scaled(param, values[param.name]))
    return np.array(found)


def read_others(folder: Path, name: str) -> CurveTable:
    """Read the table with this name.

    Args:
        folder: The folder that holds the files.
        name: `DEBERTA`, or one of `TASKSETS` and `NMTLC`.

    Raises:
        FileNotFoundError: The folder does not hold the file of the table.
    """
    if name == DEBERTA:
        return _deberta(_lines(folder / "deberta-base_tuning.results.jsonl.gz"))
    if name in TASKSETS:
        return _taskset(name, _lines(folder / f"{name}.jsonl.gz"))
    runs = _lines(folder / "nmtlc_fr_en.jsonl.gz")
    model = name.removeprefix("nmtlc_")
    return _nmtlc(name, [run for run in runs if run["basemodel"] == model])


def _lines(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def _deberta(runs: list[dict[str, Any]]) -> CurveTable:
    domains = {
        "num_train_epochs": IntRange(1, 4),
        "train_batch_size": IntRange(16, 64),
        "learning_rate": FloatRange(1e-6, 1e-3, log=True),
        "warmup": FloatRange(0.0, 0.6),
        "cls_drop_out": FloatRange(0.0, 0.3),
    }
    configs, curves, ends = [], [], []
    for run in runs:
        steps = run["total_model_steps"]
        configs.append({k: run[k] for k in domains if k != "warmup"})
        configs[-1]["warmup"] = run["warmup_steps"] / steps  # a share of the run, as it was drawn
        points = run["learning_curves"]["matched"]
        curves.append(_at_units([step / steps for step, _ in points], [own for _, own in points]))
        ends.append(run["learning_curves"]["mismatched"][-1][1])
    # Microsoft's script for MNLI, with the batch size of BERT's.
    default: Params = {
        "num_train_epochs": 3,
        "train_batch_size": 32,
        "learning_rate": 2e-5,
        "warmup": 0.05,
        "cls_drop_out": 0.1,
    }
    regrets = 100 * (max(ends) - np.array(ends))
    return _table(DEBERTA, domains, configs, curves, regrets, default)


def _taskset(name: str, runs: list[dict[str, Any]]) -> CurveTable:
    """Read a task; the momenta become their distances from 1, on whose logarithm they vary."""
    domains = {
        "learning_rate": FloatRange(1e-8, 10.0, log=True),
        "1-beta1": FloatRange(1e-4, 1.0, log=True),
        "1-beta2": FloatRange(1e-6, 1.0, log=True),
        "epsilon": FloatRange(1e-10, 1000.0, log=True),
        "l1": FloatRange(1e-8, 10.0, log=True),
        "l2": FloatRange(1e-8, 10.0, log=True),
        "linear_decay": FloatRange(1e-7, 1e-4, log=True),
        "exponential_decay": FloatRange(1e-6, 1e-3, log=True),
    }
    configs = []
    for run in runs:
        own = dict(run["hp"])
        own |= {f"1-{key}": 1 - own.pop(key) for key in ("beta1", "beta2")}
        configs.append(own)
    # Adam's own defaults, with as little regularisation and decay as the ranges allow.
    default: Params = {name: domain.low for name, domain in domains.items()}
    default |= {"learning_rate": 1e-3, "1-beta1": 0.1, "1-beta2": 1e-3, "epsilon": 1e-8}
    curves = [
        _at_units(
            np.linspace(0, 1, len(run["valid_loss"]))[1:].tolist(),
            [math.nan if loss is None else math.exp(-loss) for loss in run["valid_loss"][1:]],
        )
        for run in runs
    ]
    losses = np.array([run["test_loss"][-1] for run in runs], dtype=float)  # NaN for null
    ends = np.where(np.isnan(losses), np.inf, losses)
    way = (ends - ends.min()) / (np.median(ends) - ends.min())
    return _table(name, domains, configs, curves, np.minimum(way, 1.0), default)


def _nmtlc(name: str, runs: list[dict[str, Any]]) -> CurveTable:
    def model(run: dict[str, Any]) -> str:
        own = run["hyperparams"]
        return f"{own['num_layers']}x{own['model_size']}"

    numbers = {"initial_lr": (2e-5, 2e-4), "batch_size": (16.0, 64.0), "r": (2.0, 64.0)}
    domains: dict[str, Any] = {
        name: FloatRange(*ends, log=True) for name, ends in numbers.items()
    } | {"model": Choice(tuple(sorted({model(run) for run in runs})))}
    configs: list[Params] = [
        {**{key: float(run["hyperparams"][key]) for key in numbers}, "model": model(run)}
        for run in runs
    ]
    curves = [
        _at_units(
            (np.arange(1, len(run["bleu_curve"]) + 1) / len(run["bleu_curve"])).tolist(),
            [own / 100 for own in run["bleu_curve"]],
        )
        for run in runs
    ]
    ends = np.array([run["bleu_curve"][-1] for run in runs])
    # Of each param the middle of the three recorded numbers, and a model that both tables have.
    default: Params = {"initial_lr": 1e-4, "batch_size": 32.0, "r": 16.0, "model": "24x2048"}
    return _table(name, domains, configs, curves, ends.max() - ends, default)


def _table(
    name: str,
    domains: dict[str, Any],
    configs: list[Params],
    curves: list[list[float]],
    regrets: _Floats,
    default: Params,
) -> CurveTable:
    """Make a table; values that miss the ends of their ranges by a rounding move into them."""
    inside = [{k: _inside(domain, own[k]) for k, domain in domains.items()} for own in configs]
    params = tuple(Param(key, domain, ()) for key, domain in domains.items())
    return CurveTable(name, params, tuple(inside), np.array(curves), regrets, default)


def _inside(domain: Any, value: Value) -> Value:
    if isinstance(domain, Choice):
        return value
    inside: Value = min(max(value, domain.low), domain.high)
    return inside


def _at_units(times: list[float], scores: list[float]) -> list[float]:
    """Return the score at the end of each unit.

    Args:
        times: Share of the run after which each score was measured, ascending, at most 1.
        scores: The scores.
    """
    last = np.searchsorted(times, np.arange(1, UNITS + 1) / UNITS + 1e-9, side="right") - 1
    return [scores[max(0, int(k))] for k in last]


def portfolio(sources: list[CurveTable], n: int) -> list[int]:
    """Return n configurations that are good together on tables with the same configurations.

    The next one is always that which lowers the mean, over the tables, of the smallest regret most;
    of equal ones, that with the lowest mean regret.

    Source: Feurer et al. 2022, Auto-Sklearn 2.0 (arXiv:2007.04074), algorithm 2.
    """
    regrets = np.array([table.regrets for table in sources])  # (tables, configs)
    best = np.full((len(sources), 1), np.inf)
    chosen: list[int] = []
    for _ in range(n):
        together = np.minimum(regrets, best).mean(axis=0)
        together[chosen] = np.inf
        chosen.append(int(np.lexsort((regrets.mean(axis=0), together))[0]))
        best = np.minimum(best, regrets[:, [chosen[-1]]])
    return chosen
