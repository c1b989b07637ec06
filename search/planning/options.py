"""The options of `search/run.py`, in the groups of its help, and as one frozen object."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Annotated, Any, Literal

import tyro

from search.planning.amounts import price_per_hour, seconds

# The lines below the options are those of `--help` at 80 columns: at most 52 characters.


def _arg(metavar: str, default: str = "") -> Any:
    """Return how the help shows an option whose default is None.

    Args:
        metavar: What stands for the value.
        default: What None means; empty if the help has nothing to say about it.
    """
    hint = f"(default: {default})" if default else ""
    return tyro.conf.arg(metavar=metavar, help_behavior_hint=hint)


@dataclass(frozen=True)
class DataOptions:
    """What is learned, and from where."""

    data: Literal["sample", "cs224n", "hub", "tasks"] = "sample"
    """Examples: made by the project, the course's files,
    or from the Hugging Face Hub; `tasks` are those of
    --tasks, which implies it."""

    tasks: Annotated[str | None, _arg("FILE.yaml|NAME[:TASK,...]")] = None
    """Tasks of your own, from a file; or a table that
    comes with the project: course, course-cfimdb, glue,
    glue-hub. A colon chooses some: `glue:rte,cola`."""

    data_dir: Annotated[str | None, _arg("DIR")] = None
    """Folder of the data files, for --data cs224n and
    --tasks."""

    encoder: Annotated[str, tyro.conf.arg(metavar="tiny|HUB_ID|DIR")] = "tiny"
    """Encoder to start from: `tiny` (from scratch), a Hub
    id, or a Hugging Face folder."""

    text_data: Annotated[
        str | None,
        _arg(
            "own|hub|sick:DIR|FILE,...",
            "hub for rows of papers with --data cs224n or hub, else own",
        ),
    ] = None
    """Text for further pretraining: the tasks' own, what
    the papers used (from the Hub), SICK, or files."""

    nli_data: Annotated[
        str | None, _arg("sample|hub|sick:DIR", "sample with --data sample, else hub")
    ] = None
    """Examples of natural language inference; hub means
    SNLI and MultiNLI."""


@dataclass(frozen=True)
class MethodOptions:
    """Which configurations are tried, and which of them go on."""

    space: Annotated[
        str, tyro.conf.arg(metavar="full|stages|heads|smoke|published|ablation|FILE.yaml")
    ] = "full"
    """What varies: everything about one training; that
    and the stages around it; poolings and heads only;
    or three params. `published` runs configurations of
    five papers as they are, `ablation` the defaults
    with one component exchanged. A file begins from one
    of the first four, with the changes below."""

    fix: Annotated[tuple[str, ...], tyro.conf.UseAppendAction, _arg("NAME=VALUE")] = ()
    """Keep params at a value: `*.pooling=mean`. Here and
    below, NAME may be a pattern as in the shell, and the
    option may be given several times."""

    range: Annotated[tuple[str, ...], tyro.conf.UseAppendAction, _arg("NAME=LOW..HIGH")] = ()
    """Search a param in this range: `*.lr=1e-5..1e-4`."""

    choices: Annotated[tuple[str, ...], tyro.conf.UseAppendAction, _arg("NAME=A,B,...")] = ()
    """Search a param among these values:
    `*.pooling=mean,cls`."""

    vary: Annotated[tuple[str, ...], tyro.conf.UseAppendAction, _arg("NAME")] = ()
    """Vary these, and what has --range or --choices, and
    nothing else: `*.pooling*`."""

    base: Annotated[str | None, _arg("BEST.json|CONFIG|SEARCH")] = None
    """Begin from a configuration instead of the defaults:
    what does not vary stays as it is there. Its data,
    encoder, budget, units and precision are used too
    where these options keep their defaults."""

    objective: Annotated[str | None, _arg("TASK=WEIGHT,...")] = None
    """Weights of tasks in the score: `rte=2,cola=1`. Others
    keep theirs."""

    rows: Annotated[str | None, _arg("PATTERN[,PATTERN]", "all that can be run")] = None
    """Which rows of `published` or `ablation`, as in the
    shell: `one-size/*`."""

    repeats: int = 1
    """Runs of each row, each with another seed."""

    warm_start: Annotated[str | None, _arg("published|SEARCH")] = None
    """`published`: begin with the configurations of the
    papers that --rows names. A folder of another
    search, or its name below --storage: let the
    searcher learn from its trials; if their scores
    cannot be compared, try its best four first."""

    searcher: Literal["rung-gp", "random", "stepwise", "tpe"] = "rung-gp"
    """A Gaussian process of the scores at all rungs;
    random search; forward stepwise selection of
    components; or Ray's OptunaSearch, for comparison."""

    priors: Annotated[str | None, _arg("FILE.yaml|off", "those beside the ranges")] = None
    """Where rung-gp looks first: your own priors, by
    patterns over names; off: nowhere, all is uniform."""

    beam: int = 2
    """Configurations that stepwise selection goes on from."""

    scheduler: Literal["promotion-asha", "asha", "none"] = "promotion-asha"
    """ASHA that pauses trials at rungs and promotes the
    best; Ray's, which stops poor ones; `none` runs
    every trial to its full budget."""

    eta: int = 3
    """One in eta trials passes a rung."""

    brackets: int = 1
    """Brackets of promotion ASHA; bracket b has its first
    rung at unit eta^b."""

    audit: Annotated[float | None, _arg("SHARE", "0.05 from 100 trials on")] = None
    """Share of the trials stopped at a rung that run on to
    their end, to estimate what rungs cut; 0: none."""

    seed: int = 0
    """Seed of the searcher and of every run."""


@dataclass(frozen=True)
class BudgetOptions:
    """How much is trained, and when the search ends."""

    trials: Annotated[
        int | None, _arg("INT", "12; with --space published or ablation, one for each run")
    ] = None
    """Number of trials."""

    budget: Annotated[str | None, _arg("TOKENS|Nep", "5ep with --data sample, else 3ep")] = None
    """Training tokens of a full run, such as 800000, 800k
    or 8e5, or `3ep` for three times the tokens of all
    train sets."""

    units: int = 9
    """Reporting intervals that the budget is cut into."""

    time_limit: Annotated[str | None, _arg("30m|2h|1h30m")] = None
    """End after this long; --resume goes on with what was
    under way. Where neither --trials nor --budget is
    given, a new search measures what trials take, and
    chooses both so that it is over by then."""

    finalists: int = 0
    """When all trials are over, run the best so many
    and the default again with other seeds, as long as
    they may win, and say whether the winner is better
    than the default; a quarter of the budget, at least
    four full runs."""

    max_device_hours: Annotated[float | None, _arg("HOURS")] = None
    """End when trials have used so many hours of GPUs, or
    of CPU cores where they use no GPU."""

    price: Annotated[str | None, _arg("1.2/h")] = None
    """What an hour of a GPU costs, or of a CPU core where
    trials use no GPU: the forecast then says the cost."""

    min_gain: Annotated[float | None, _arg("SCORE")] = None
    """Begin no new trials once ten more full runs would
    raise the best score by less than this, as far as
    the last ones tell."""


@dataclass(frozen=True)
class ResourceOptions:
    """Where trials run, and with what."""

    address: Annotated[
        str | None,
        _arg("ADDRESS", "RAY_ADDRESS or a cluster running on this machine, else a local Ray"),
    ] = None
    """Ray cluster."""

    max_concurrent: Annotated[int | None, _arg("INT", "as many as the cluster has room for")] = None
    """Trials at the same time."""

    cpus_per_trial: Annotated[
        float | None,
        _arg("FLOAT", "its part of a node's, by --gpus-per-trial; 1 where it uses no GPU"),
    ] = None
    """CPU cores of a trial."""

    gpus_per_trial: Annotated[float | None, _arg("FLOAT", "1 if the cluster has any, else 0")] = (
        None
    )
    """GPUs of a trial, fractions allowed."""

    precision: Literal["fp32", "bf16"] = "fp32"
    """Arithmetic of training: float32, or bfloat16
    autocast over float32 weights."""


@dataclass(frozen=True)
class StorageOptions:
    """What is kept where, and what is printed."""

    name: Annotated[str | None, _arg("NAME", "data, encoder and time")] = None
    """Name of the search, and of its folder below
    --storage."""

    storage: Annotated[str, tyro.conf.arg(metavar="DIR|URI")] = "runs"
    """Where searches are kept: a folder, or any URI that
    Ray can write to, such as s3://bucket/prefix."""

    checkpoint: Literal["full", "weights"] = "full"
    """What a checkpoint holds: everything, so that a
    trial goes on bit for bit, or a third of it, without
    the optimizer's moments, which then begin anew after
    each pause."""

    resume: bool = False
    """Go on with the search of this --name; --trials may
    be larger, and limits may differ."""

    dry_run: bool = False
    """Print the resolved plan and stop."""

    quiet: bool = False
    """For logs: a line for each finished trial and
    nothing else."""

    log: Annotated[
        tuple[str, ...], tyro.conf.UseAppendAction, tyro.conf.arg(metavar="mlflow|wandb")
    ] = ()
    """Also show trials in MLflow or in Weights & Biases,
    or in both; each is an extra to install."""


@dataclass(frozen=True)
class SearchOptions(StorageOptions, ResourceOptions, BudgetOptions, MethodOptions, DataOptions):
    """All options of a search."""

    def __post_init__(self) -> None:
        """Let --tasks imply --data tasks."""
        if self.tasks is not None and self.data == "sample":
            object.__setattr__(self, "data", "tasks")

    @property
    def time_limit_seconds(self) -> float | None:
        """The time limit in seconds; None where there is none.

        Raises:
            InputError: It is no duration.
        """
        return seconds(self.time_limit) if self.time_limit is not None else None

    @property
    def price_per_hour(self) -> float:
        """The price of a device hour; 0 where none is given.

        Raises:
            InputError: It is no price.
        """
        return price_per_hour(self.price) if self.price is not None else 0.0

    @property
    def trackers(self) -> list[str]:
        """The names in --log, which may be repeated or have commas, each once."""
        return list(dict.fromkeys(name for given in self.log for name in given.split(",")))


@dataclass(frozen=True)
class _Help:
    """Search for the best configuration of a multitask BERT.

    Without arguments: sample data, an encoder from scratch, a dozen trials here.
    """

    data: DataOptions = field(default_factory=DataOptions)
    search: MethodOptions = field(default_factory=MethodOptions)
    budget: BudgetOptions = field(default_factory=BudgetOptions)
    resource: ResourceOptions = field(default_factory=ResourceOptions)
    storage: StorageOptions = field(default_factory=StorageOptions)


def parse(arguments: list[str] | None = None, prog: str = "search/run.py") -> SearchOptions:
    """Parse the command line; exits with status 2 and a hint on an unknown option."""
    config = (tyro.conf.FlagCreatePairsOff, tyro.conf.OmitArgPrefixes, tyro.conf.DisallowNone)
    parsed = tyro.cli(_Help, prog=prog, args=arguments, config=config)
    values: dict[str, Any] = {}
    for group in fields(parsed):
        values |= asdict(getattr(parsed, group.name))
    return SearchOptions(**values)
