"""Where the rows of one split are: a file, or a part of a data set on the Hub."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Format = Literal["tsv", "csv", "jsonl", "parquet"]
SUFFIXES: dict[str, Format] = {
    ".tsv": "tsv",
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}


class Columns(BaseModel):
    """Which column holds what: names, or in a file without a header numbers from "1".

    Attributes:
        id: None where the number of the row, from 0, is the id.
        sentence1: The sentence, or the first of a pair.
        sentence2: None for one sentence.
        label: None in a split that is only predicted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    id: str | None = None
    sentence1: str
    sentence2: str | None = None
    label: str | None = None

    def named(self, *, labelled: bool) -> dict[str, str]:
        """Return our name of each column -> its name in the file."""
        names = {"id": self.id, "sentence1": self.sentence1, "sentence2": self.sentence2}
        if labelled:
            names["label"] = self.label
        return {own: name for own, name in names.items() if name is not None}


class DataFile(BaseModel):
    """A file with one example in each row; a path that ends with `.gz` is compressed.

    Attributes:
        path: Absolute path; never a pattern.
        format: How rows and fields are written.
        quotes: Whether a field may stand in quotes (TSV and CSV); else a quote is a letter.
        header: Whether the first row names the columns (TSV and CSV).
        columns: Which column holds what.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: Literal["file"] = "file"
    path: str
    format: Format
    quotes: bool = True
    header: bool = True
    columns: Columns


class HubPart(BaseModel):
    """One split of a data set on the Hugging Face hub.

    Attributes:
        repo: Data set id, with its owner.
        config: Name of the configuration; None for the only one.
        revision: Full commit: a run of today and one of next year read the same bytes.
        split: Its name on the hub.
        columns: Which column holds what.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: Literal["hub"] = "hub"
    repo: str
    config: str | None = None
    revision: Annotated[str, Field(pattern="^[0-9a-f]{40}$")]
    split: str
    columns: Columns


Part = Annotated[DataFile | HubPart, Field(discriminator="kind")]
