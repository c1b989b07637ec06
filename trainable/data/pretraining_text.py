"""Sources of text for further pretraining, and the token ids of their sentences."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import pyarrow as pa
import torch
from pydantic import Field
from tokenizers import Tokenizer

from trainable.cache.files import file_digest, reading, user_path
from trainable.data.public_datasets import PUBLIC_DATASETS, Source, download, find_sick, read_sick
from trainable.data.sentences import Sentences, joined, sentences_digest
from trainable.data.tokenize import encode
from trainable.errors import InputError
from trainable.seeds import derive

TextDatasetName = Literal["imdb", "yelp", "sick", "paws", "multi_nli"]


class OwnText(Source):
    """The sentences of the tasks' own train sets."""

    kind: Literal["own"] = "own"

    def fingerprint(self, own: Sentences) -> str:
        """Return a digest of the sentences."""
        return sentences_digest(own)

    def load(self, tokenizer: Tokenizer, own: Sentences) -> Sentences:
        """Return the sentences: they are tokenised already."""
        return own


class HubText(Source):
    """A data set on the Hugging Face hub, at a pinned commit; both sentences of a pair.

    Attributes:
        name: Key of `PUBLIC_DATASETS`.
        limit: Number of examples (reviews, or pairs of sentences), drawn with a fixed seed; None
            for all.
    """

    kind: Literal["hub"] = "hub"
    name: TextDatasetName
    limit: Annotated[int, Field(ge=1)] | None = None

    def fingerprint(self, own: Sentences) -> str:
        """Return the pinned commit, the columns and the limit; nothing is downloaded."""
        return f"{PUBLIC_DATASETS[self.name].identity}:{self.limit}"

    def load(self, tokenizer: Tokenizer, own: Sentences) -> Sentences:
        """Download the data set, or take it from the local cache, and tokenise it.

        Raises:
            InputError: It is not available.
        """
        rows = _sampled(download(self.name), self.limit, self.name)
        columns = [rows[column].to_pylist() for column in PUBLIC_DATASETS[self.name].text]
        texts = [_clean(text) for row in zip(*columns, strict=True) for text in row]
        return encode([text for text in texts if text], tokenizer)


class SickText(Source):
    """Both sentences of each pair of SICK, from its file SICK_train.txt.

    Attributes:
        dir: Folder of the file.
    """

    kind: Literal["sick"] = "sick"
    dir: str

    def fingerprint(self, own: Sentences) -> str:
        """Return a digest of the file's bytes."""
        return file_digest(find_sick(self.dir))

    def load(self, tokenizer: Tokenizer, own: Sentences) -> Sentences:
        """Read and tokenise the file.

        Raises:
            InputError: The file is missing or is not SICK.
        """
        pairs = read_sick(self.dir)
        return encode([text for *pair, _ in pairs for text in pair if text], tokenizer)


class TextFiles(Source):
    """Text files in UTF-8, one document per line.

    Attributes:
        paths: The files.
    """

    kind: Literal["files"] = "files"
    paths: Annotated[tuple[str, ...], Field(min_length=1)]

    def fingerprint(self, own: Sentences) -> str:
        """Return a digest of the files' bytes."""
        return ":".join(file_digest(_text_file(path)) for path in self.paths)

    def load(self, tokenizer: Tokenizer, own: Sentences) -> Sentences:
        """Read and tokenise the files.

        Raises:
            InputError: A file is missing, empty or not UTF-8.
        """
        texts: list[str] = []
        for path in self.paths:
            file = _text_file(path)
            with reading(file):
                lines = file.read_text(encoding="utf-8").splitlines()
            found = [line.strip() for line in lines if line.strip()]
            if not found:
                raise InputError(f"{path} is empty; expected text, one document per line")
            texts += found
        return encode(texts, tokenizer)


TextSource = Annotated[OwnText | HubText | SickText | TextFiles, Field(discriminator="kind")]


def text_fingerprint(sources: Sequence[TextSource], own: Sentences) -> str:
    """Return 16 hex digits that stand for the contents of all sources, in their order.

    Raises:
        InputError: A file is missing.
    """
    parts = [f"{source.kind}:{source.fingerprint(own)}" for source in sources]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def load_text(sources: Sequence[TextSource], tokenizer: Tokenizer, own: Sentences) -> Sentences:
    """Return the token ids of every sentence or document of the sources, one source after another.

    Args:
        sources: At least one.
        tokenizer: The encoder's.
        own: The tasks' train sentences, without special tokens.

    Raises:
        InputError: A source is not available.
    """
    return joined([source.load(tokenizer, own) for source in sources])


def _text_file(path: str) -> Path:
    found = user_path(path)
    with reading(found):
        is_file = found.is_file()
    if not is_file:
        raise InputError(f"no text file {path}; give files with one document per line")
    return found


def _sampled(rows: pa.Table, limit: int | None, name: str) -> pa.Table:
    """Return `limit` rows in their order, drawn at random: a data set may be sorted by label."""
    if limit is None or limit >= rows.num_rows:
        return rows
    generator = torch.Generator().manual_seed(derive(0, name))
    drawn = torch.randperm(rows.num_rows, generator=generator)[:limit].sort().values
    return rows.take(drawn.numpy())


def _clean(text: str) -> str:
    """Replace the line breaks that IMDB writes as tags and Yelp as a backslash and an n."""
    return text.replace("<br />", " ").replace("\\n", " ").strip()
