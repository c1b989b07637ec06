"""The published: every row of the papers' tables, with its scores and the configuration behind it.

One file per paper lies in `published/`:

    baseline: how the paper's plainest system differs from a RunConfig's defaults
    parts:    optional; names (YAML anchors) for changes that several rows make
    rows:     scores on `dev` or `test`, and the `change` from the row that is named with `from`, or
              else from the baseline

Changes are merged key by key, with one exception: a mapping with another `kind` replaces what was
there, since the fields of one component mean nothing in another. `epochs` of a row are added to
those of the row that it comes from; null forgets one.

Data, encoder, seed, budget and precision are no matter of a row: they are those of the search that
runs it. So is the dropout of attention weights, which no paper mentions.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from typing import Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from spaces.stage_data import with_corpora, with_stage_budgets
from trainable.component import Component
from trainable.data.nli import NliSource
from trainable.data.pretraining_text import TextSource
from trainable.errors import InputError, did_you_mean
from trainable.model.encoder import TINY
from trainable.run_config import RunConfig

Differences = dict[str, Any]
ComponentType = TypeVar("ComponentType", bound=Component)


@dataclass(frozen=True)
class Row:
    """One published result.

    Attributes:
        id: `paper/row`.
        paper: Title of the paper.
        label: What the paper's table calls it.
        method: What was done, in a sentence.
        table: Number of the table.
        split: Split of the published scores.
        scores: `sst_acc`, `para_acc`, `sts_corr`, and `overall` where it is published.
        differences: How its configuration differs from a RunConfig's defaults.
        epochs: Passes over the train sets in the multitask stage (`sst`, `para`, `sts`), over the
            text of further pretraining (`text`) and over the examples of the NLI stage (`nli`), as
            far as the paper says.
        why_not: Why it cannot be run, or None.
        not_comparable: Why a score of ours says nothing about the published one, or None.
        notes: What the paper leaves open or contradicts itself in, and how it is read here.
    """

    id: str
    paper: str
    label: str
    method: str
    table: int
    split: Literal["dev", "test"]
    scores: dict[str, float]
    differences: Differences
    epochs: dict[str, float]
    why_not: str | None
    not_comparable: str | None
    notes: tuple[str, ...]

    def config(
        self,
        base: RunConfig,
        text: tuple[TextSource, ...] | None = None,
        nli: NliSource | None = None,
    ) -> RunConfig:
        """Return the row's configuration.

        Args:
            base: Gives data, encoder, seed, budget, units and precision; a stage before the tasks
                has the same budget. An encoder from scratch takes its learning rates from here,
                too: at those of a pretrained one it would not learn.
            text: Text of further pretraining, in place of what the paper read.
            nli: Examples of inference, in place of what the paper read.

        Raises:
            InputError: The row cannot be run.
        """
        if self.why_not:
            raise InputError(f"row {self.id} cannot be run: {self.why_not}")
        try:
            values = merged(RunConfig().to_dict(), self.differences)
            # From JSON, so that lists may be tuples; strict, so that "3" is no number.
            config = RunConfig.model_validate_json(json.dumps(values), strict=True)
        except ValidationError as error:
            raise InputError(f"row {self.id}: {error}") from error
        return with_corpora(_for_search(config, base), text, nli)


def merged(values: Any, change: Any) -> Any:
    """Return `values` with a change merged into it; see the module's docstring."""
    if not isinstance(values, dict) or not isinstance(change, dict):
        return change
    if "kind" in change and change["kind"] != values.get("kind"):
        return change
    return values | {key: merged(values.get(key), value) for key, value in change.items()}


def _for_search(config: RunConfig, base: RunConfig) -> RunConfig:
    """Return a row's configuration with what is the search's own."""
    changes: dict[str, Any] = {
        "seed": base.seed,
        "data": base.data,
        "encoder": _with(
            config.encoder,
            source=base.encoder.source,
            revision=base.encoder.revision,
            attention_dropout=base.encoder.attention_dropout,
        ),
    }
    if config.multitask is not None and base.multitask is not None:
        optimization = config.multitask.optimization
        if base.encoder.source == TINY:
            rates = base.multitask.optimization
            optimization = _with(optimization, lr=rates.lr, head_lr=rates.head_lr)
        changes["multitask"] = _with(
            config.multitask,
            budget_tokens=base.multitask.budget_tokens,
            units=base.multitask.units,
            precision=base.multitask.precision,
            optimization=optimization,
        )
    return with_stage_budgets(config.model_copy(update=changes), base.multitask)


def _with(component: ComponentType, **fields: Any) -> ComponentType:
    return component.model_copy(update=fields)


class _Scores(BaseModel):
    """A line of a table."""

    model_config = ConfigDict(extra="forbid")
    table: int
    sst_acc: float
    para_acc: float
    sts_corr: float
    overall: float | None = None


class _Entry(BaseModel):
    """A row as its file has it."""

    model_config = ConfigDict(extra="forbid")
    id: str
    label: str
    dev: _Scores | None = None
    test: _Scores | None = None
    method: str | None = None
    from_: str | None = Field(default=None, alias="from")
    change: Differences = {}
    epochs: dict[Literal["sst", "para", "sts", "text", "nli"], float | None] = {}
    why_not: str | None = None
    not_comparable: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def published(self) -> _Scores:
        """Its scores, on whichever split they are."""
        scores = self.dev or self.test
        assert scores is not None
        return scores

    @model_validator(mode="after")
    def _check_split(self) -> _Entry:
        if (self.dev is None) == (self.test is None):
            raise ValueError(f"row {self.id} needs its scores under one of dev and test")
        return self


class _Paper(BaseModel):
    """A file."""

    model_config = ConfigDict(extra="forbid")
    title: str
    authors: str
    notes: tuple[str, ...] = ()
    baseline: Differences
    epochs: dict[str, float] = {}
    parts: list[Differences] = []
    rows: list[_Entry]


@cache
def load_published() -> tuple[Row, ...]:
    """Return all rows, paper by paper in the order of the tables."""
    rows: list[Row] = []
    folder = files("spaces") / "published"
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        if file.name.endswith(".yaml"):
            rows += read_paper(file.read_text(encoding="utf-8"), file.name)
    return tuple(rows)


def read_paper(text: str, origin: str) -> list[Row]:
    """Return the rows of one file.

    Args:
        text: YAML.
        origin: Name of the file, for messages.

    Raises:
        InputError: A field is unknown or missing, an id is there twice, or a row comes from one
            that is not there.
    """
    try:
        paper = _Paper.model_validate(yaml.safe_load(text))
    except ValidationError as error:
        raise InputError(f"{origin}: {error}") from error
    entries: dict[str, _Entry] = {}
    for entry in paper.rows:
        if entry.id in entries:
            raise InputError(f"{origin}: row {entry.id} is there twice")
        entries[entry.id] = entry
    return [_row(paper, entries, entry, origin) for entry in paper.rows]


def _row(paper: _Paper, entries: dict[str, _Entry], entry: _Entry, origin: str) -> Row:
    differences: Differences = paper.baseline
    epochs: dict[str, float | None] = dict(paper.epochs)
    for ancestor in _line(entries, entry, origin):
        differences = merged(differences, ancestor.change)
        epochs = epochs | ancestor.epochs
    scores = entry.published.model_dump(exclude={"table"}, exclude_none=True)
    return Row(
        id=entry.id,
        paper=paper.title,
        label=entry.label,
        method=entry.method or entry.label,
        table=entry.published.table,
        split="dev" if entry.dev else "test",
        scores=scores,
        differences=differences,
        epochs={name: passes for name, passes in epochs.items() if passes is not None},
        why_not=entry.why_not,
        not_comparable=entry.not_comparable,
        notes=(*entry.notes, *paper.notes),
    )


def _line(entries: dict[str, _Entry], entry: _Entry, origin: str) -> list[_Entry]:
    """Return what a row comes from, the first after the baseline first, and the row itself."""
    line = [entry]
    while (parent := line[0].from_) is not None:
        if parent not in entries:
            near = did_you_mean(parent, entries)
            raise InputError(f"{origin}: row {line[0].id} comes from unknown row {parent!r}{near}")
        if entries[parent] in line:
            raise InputError(f"{origin}: row {entry.id} comes from itself, through {parent!r}")
        line.insert(0, entries[parent])
    return line


def select(rows: Sequence[Row], patterns: str | Iterable[str]) -> tuple[Row, ...]:
    """Return the rows whose ids match a pattern, in their order.

    Args:
        rows: The published.
        patterns: Patterns as in the shell, `one-size/*`; one string may hold several, with commas.

    Raises:
        InputError: A pattern matches nothing.
    """
    given = patterns.split(",") if isinstance(patterns, str) else list(patterns)
    wanted = [pattern.strip() for pattern in given]
    for pattern in wanted:
        if not any(fnmatchcase(row.id, pattern) for row in rows):
            near = did_you_mean(pattern, [row.id for row in rows])
            papers = ", ".join(dict.fromkeys(f"{row.id.split('/')[0]}/*" for row in rows))
            raise InputError(f"no row matches {pattern!r}; there are {papers}{near}")
    return tuple(row for row in rows if any(fnmatchcase(row.id, p) for p in wanted))
