"""The command line of a search, as one frozen object."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from search.schedulers.rungs import rungs
from trainable.errors import InputError


@dataclass(frozen=True)
class SearchOptions:
    """Search for the best configuration of a multitask BERT.

    Without arguments: sample data, an encoder from scratch, a dozen trials on this machine.
    """

    data: Literal["sample", "cs224n", "hub"] = "sample"
    """Examples: made by the project, the course's files, or from the Hugging Face Hub."""

    data_dir: str | None = None
    """Folder of the course's files; only with --data cs224n."""

    encoder: Annotated[str, tyro.conf.arg(metavar="tiny|HUB_ID|DIR")] = "tiny"
    """Encoder to start from: `tiny` (from scratch), a Hub id, or a Hugging Face folder."""

    space: Literal["full", "stages", "heads", "smoke", "published", "ablation"] = "full"
    """What varies: everything about one training, that and the stages around it, poolings and heads
    only, or three params. `published`: configurations of five papers as they are; `ablation`: the
    defaults with one component exchanged."""

    rows: Annotated[str | None, tyro.conf.arg(metavar="PATTERN[,PATTERN]")] = None
    """Which rows of `published` or `ablation`, as in the shell: `one-size/*`. Default: all that can
    be run."""

    repeats: int = 1
    """Runs of each row of `published` or `ablation`, each with another seed."""

    warm_start: Annotated[str | None, tyro.conf.arg(metavar="published|SEARCH")] = None
    """`published`: begin with the configurations of the papers that --rows names. A folder of
    another search, or its name below --storage: let the searcher learn from its trials."""

    text_data: Annotated[str | None, tyro.conf.arg(metavar="own|hub|sick:DIR|FILE,...")] = None
    """Text for further pretraining: the tasks' own, what the papers used (from the Hub), SICK, or
    files. Default: hub for rows of papers with --data cs224n or hub, else own."""

    nli_data: Annotated[str | None, tyro.conf.arg(metavar="sample|hub|sick:DIR")] = None
    """Examples of natural language inference. Default: sample with --data sample, else hub (SNLI
    and MultiNLI)."""

    trials: int | None = None
    """Number of trials. Default: 12; with --space published or ablation, one for each run."""

    max_concurrent: int | None = None
    """Trials at the same time; by default as many as the cluster has room for."""

    budget: Annotated[str | None, tyro.conf.arg(metavar="TOKENS|Nep")] = None
    """Training tokens of a full run, such as 800000, or `3ep` for three times the tokens of all
    train sets. Default: 5ep on the sample, 3ep else."""

    units: int = 9
    """Reporting intervals that the budget is cut into."""

    eta: int = 3
    """One in eta trials passes a rung."""

    brackets: int = 1
    """Brackets of promotion ASHA; bracket b has its first rung at unit eta^b."""

    time_limit: Annotated[str | None, tyro.conf.arg(metavar="30m|2h|90s")] = None
    """End after this long; --resume goes on with what was under way."""

    max_device_hours: float | None = None
    """End when trials have used so many hours of GPUs, or of CPU cores where they use no GPU."""

    min_gain: float | None = None
    """Begin no new trials once ten more full runs would raise the best score by less than this, as
    far as the last ones tell."""

    name: str | None = None
    """Name of the search, and of its folder below --storage. Default: data, encoder and time."""

    storage: str = "runs"
    """Where searches are kept: a folder, or any URI that Ray can write to, such as
    s3://bucket/prefix."""

    searcher: Literal["rung-gp", "random", "stepwise", "tpe"] = "rung-gp"
    """A Gaussian process of the scores at all rungs; random search; forward stepwise selection of
    components; or Ray's OptunaSearch, for comparison."""

    beam: int = 2
    """Configurations that stepwise selection goes on from."""

    scheduler: Literal["promotion-asha", "asha", "none"] = "promotion-asha"
    """ASHA that pauses trials at rungs and promotes the best; Ray's, which stops poor ones; `none`
    runs every trial to its full budget."""

    checkpoint: Literal["full", "weights"] = "full"
    """What a checkpoint holds: everything, so that a trial goes on bit for bit, or a third of it,
    without the optimizer's moments, which then begin anew after each pause."""

    cpus_per_trial: float | None = None
    """CPU cores of a trial. Default: its part of a node's, in proportion to --gpus-per-trial; 1
    where it uses no GPU."""

    gpus_per_trial: float | None = None
    """GPUs of a trial, fractions allowed. Default: 1 if the cluster has any, else 0."""

    precision: Literal["fp32", "bf16"] = "fp32"
    """Arithmetic of training: float32, or bfloat16 autocast over float32 weights."""

    seed: int = 0
    """Seed of the searcher and of every run."""

    address: str | None = None
    """Ray cluster. Default: RAY_ADDRESS or a cluster running on this machine, else a local Ray."""

    resume: bool = False
    """Go on with the search of this --name; --trials may be larger, and limits may differ."""

    dry_run: bool = False
    """Print the resolved plan and stop."""

    quiet: bool = False
    """For logs: a line for each finished trial and nothing else."""

    @property
    def time_limit_seconds(self) -> float | None:
        """The time limit in seconds; None where there is none.

        Raises:
            InputError: It is no duration.
        """
        return seconds(self.time_limit) if self.time_limit else None


def parse(arguments: list[str] | None = None) -> SearchOptions:
    """Parse the command line; exits with status 2 and a hint on an unknown option."""
    return tyro.cli(
        SearchOptions, prog="search/run.py", args=arguments, config=(tyro.conf.FlagCreatePairsOff,)
    )


def seconds(text: str) -> float:
    """Return the seconds of `90s`, `30m`, `2h` or `1.5h`.

    Raises:
        InputError: Something else.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text)
    if not match or float(match[1]) == 0:
        raise InputError(f"--time-limit {text!r}: give a number and s, m or h, such as 30m")
    return float(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2]]


def clock(seconds: float) -> str:
    """Return seconds as people read them: 75 as `1:15`, 3700 as `1:01:40`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def size(n_bytes: float) -> str:
    """Return bytes as people read them: 1.5e9 as `1.5 GB`, below that 12.3e6 as `12.3 MB`."""
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:.1f} MB"


def budget_tokens(text: str, tokens_per_epoch: int) -> int:
    """Return the tokens of `800000`, `800_000` or `3ep`.

    Args:
        text: What the user gave.
        tokens_per_epoch: Tokens of all train sets together.

    Raises:
        InputError: Not a positive number.
    """
    match = re.fullmatch(r"(\d[\d_]*(?:\.\d+)?)(ep)?", text)
    tokens = 0
    if match:
        number = float(match[1].replace("_", ""))
        tokens = round(number * tokens_per_epoch if match[2] else number)
    if tokens < 1:
        raise InputError(
            f"--budget {text!r}: give a number of tokens, such as 800000, or a number of passes "
            f"over all train sets, such as 3ep (one is {tokens_per_epoch:,} tokens here)"
        )
    return tokens


def check_numbers(options: SearchOptions) -> None:
    """Refuse what is out of range.

    Raises:
        InputError: Anything that is.
    """
    if options.eta < 2:
        raise InputError(f"--eta {options.eta}: ASHA needs at least 2 (one in eta trials goes on)")
    at_least_one = {
        "--trials": options.trials,
        "--brackets": options.brackets,
        "--beam": options.beam,
        "--units": options.units,
        "--max-concurrent": options.max_concurrent,
    }
    for name, value in at_least_one.items():
        if value is not None and value < 1:
            raise InputError(f"{name} {value}: give at least 1")
    n_brackets = len(rungs(options.units, options.eta))
    if options.brackets > n_brackets:
        raise InputError(
            f"--brackets {options.brackets}: --units {options.units} and --eta {options.eta} give "
            f"at most {n_brackets}"
        )
    _ = options.time_limit_seconds  # refuses what is no duration
    if options.max_device_hours is not None and not options.max_device_hours > 0:
        raise InputError(f"--max-device-hours {options.max_device_hours:g}: give more than 0")
    if options.min_gain is not None and not options.min_gain >= 0:
        raise InputError(f"--min-gain {options.min_gain:g}: give at least 0, such as 0.002")
    if not 0 <= options.seed < 2**31:
        raise InputError(f"--seed {options.seed}: give a number from 0 to {2**31 - 1}")
    if options.cpus_per_trial is not None and not options.cpus_per_trial > 0:  # NaN too
        raise InputError(f"--cpus-per-trial {options.cpus_per_trial:g}: give more than 0")
    gpus = options.gpus_per_trial
    if gpus is not None and not 0 <= gpus <= 1:
        raise InputError(
            f"--gpus-per-trial {gpus:g}: give a number from 0 to 1; a trial trains on one GPU, and "
            f"more trials use more GPUs"
        )
    if options.name is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", options.name):
        raise InputError(f"--name {options.name!r}: use letters, digits, '.', '_' and '-'")
    if options.resume and options.name is None:
        raise InputError("--resume: say which search with --name")
