"""Every row of the result tables of five papers: its scores, and the configuration behind it.

Each paper has a file in `published/`:

    baseline: how the paper's plainest system differs from `unsaid.yaml`
    parts:    optional; names (YAML anchors) for changes that several rows make
    rows:     scores on `dev` or `test`, and the `change` from the row that is named by `from`, or
              from the baseline where no row is named

Changes are merged key by key, with one exception: a mapping with another `kind` replaces what was
there, since the fields of one component mean nothing in another. `epochs` of a row are added to
those of the row that it comes from; null removes an entry.

A row does not set data, encoder, seed, budget and precision: the search that runs it does. The same
holds for the dropout of attention weights, which no paper mentions.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from spaces.row import Differences, Row
from trainable.errors import InputError, did_you_mean
from trainable.partial_config import merged


class _Scores(BaseModel):
    """The scores in one line of a table."""

    model_config = ConfigDict(extra="forbid")
    table: int
    sst_acc: float
    para_acc: float
    sts_corr: float
    overall: float | None = None


class _Entry(BaseModel):
    """One item of `rows` in a file."""

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
    notes: tuple[str, ...] = ()

    @property
    def published(self) -> _Scores:
        """The scores on the split that the paper gives."""
        scores = self.dev or self.test
        assert scores is not None
        return scores

    @model_validator(mode="after")
    def _check_split(self) -> _Entry:
        if (self.dev is None) == (self.test is None):
            raise ValueError(f"row {self.id} needs its scores under one of dev and test")
        return self


class _Paper(BaseModel):
    """The content of one file."""

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
    for ancestor in _lineage(entries, entry, origin):
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
        notes=(*entry.notes, *paper.notes),
    )


def _lineage(entries: dict[str, _Entry], entry: _Entry, origin: str) -> list[_Entry]:
    """Return the rows that a row comes from, beginning next to the baseline, and the row itself."""
    lineage = [entry]
    while (parent := lineage[0].from_) is not None:
        if parent not in entries:
            near = did_you_mean(parent, entries)
            raise InputError(
                f"{origin}: row {lineage[0].id} comes from unknown row {parent!r}{near}"
            )
        if entries[parent] in lineage:
            raise InputError(f"{origin}: row {entry.id} comes from itself, through {parent!r}")
        lineage.insert(0, entries[parent])
    return lineage
