"""Small folders of course files, and caches that go away with the test."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import datasets
import pytest
from nltk.tag import PerceptronTagger

from trainable.data.pos_tags import PosTagger, perceptron_digest

REPO = Path(__file__).parents[3]

Rows = list[tuple[str, ...]]
WriteCourse = Callable[..., Path]

_HEADERS = {
    "ids-sst": ("", "id", "sentence", "sentiment"),
    "quora": ("", "id", "sentence1", "sentence2", "is_duplicate"),
    "sts": ("", "id", "sentence1", "sentence2", "similarity"),
}
# Nothing about them is odd: every class occurs, and no dev example is also in train.
_ROWS: dict[str, Rows] = {
    "ids-sst-train": [
        ("s1-train", " A fine film . ", "4"),
        ("s2-train", "null", "0"),
        ("s3-train", 'He said "no" .', "2"),
        ("s4-train", "A bad film .", "1"),
        ("s5-train", "A good film .", "3"),
    ],
    "ids-sst-dev": [
        ("s1-dev", "An old film .", "4"),
        ("s2-dev", "n/a", "0"),
        ("s3-dev", "She said yes .", "2"),
    ],
    "quora-train": [
        ("q1-train", "Why?", "How come?", "1.0"),
        ("q2-train", "NaN", "nothing", "0.0"),
    ],
    "quora-dev": [
        ("q1-dev", "Who?", "Which person?", "1.0"),
        ("q2-dev", "NA", "None", "0.0"),
    ],
    "sts-train": [
        ("t1-train", "A dog runs.", "A dog is running.", "4.8"),
        ("t2-train", "A dog runs.", "Stocks fall.", "0.0"),
    ],
    "sts-dev": [
        ("t1-dev", "A cat runs.", "A cat is running.", "4.8"),
        ("t2-dev", "A cat runs.", "Stocks rise.", "0.0"),
    ],
}


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    datasets.config.HF_DATASETS_CACHE = tmp_path_factory.mktemp("datasets")


@pytest.fixture
def write_course(tmp_path: Path) -> WriteCourse:
    """Return a function that writes a folder of course files, some of them replaced."""

    def write(**replaced: Rows | str | bytes | None) -> Path:
        """Write the files; a key is a file name with `_` for `-` and without `.csv`."""
        folder = tmp_path / "course"
        folder.mkdir()
        contents: dict[str, Rows | str | bytes | None] = {
            name: [
                _HEADERS[name.rpartition("-")[0]],
                *((str(number), *row) for number, row in enumerate(rows)),
            ]
            for name, rows in _ROWS.items()
        }
        contents |= {name.replace("_", "-"): content for name, content in replaced.items()}
        for name, content in contents.items():
            if isinstance(content, list):
                content = "".join("\t".join(map(_quote, row)) + "\n" for row in content)
            if isinstance(content, str):
                content = content.encode()
            if content is not None:
                (folder / f"{name}.csv").write_bytes(content)
        return folder

    return write


def _quote(field: str) -> str:
    return '"' + field.replace('"', '""') + '"' if '"' in field or "\n" in field else field


@pytest.fixture
def real_course() -> Path:
    """Return the folder of the course's real files, where this machine has them."""
    folder = Path(os.environ.get("MTBERT_SHARED", REPO.parent / "shared")) / "data" / "cs224n"
    if not folder.is_dir():
        pytest.skip(f"no course files in {folder}; set MTBERT_SHARED to a folder with data/cs224n")
    return folder


_TAGGED = (
    "the/DT dog/NN barks/VBZ ./.",
    "a/DT cat/NN does/VBZ n't/RB sleep/VB ./.",
    "the/DT film/NN is/VBZ very/RB good/JJ ./.",
    "The/DT cat/NN and/CC the/DT dog/NN do/VBP n't/RB sleep/VB in/IN a/DT film/NN ./.",
)


@pytest.fixture(scope="session")
def tagger() -> PosTagger:
    """A tagger that knows a dozen words."""
    model = PerceptronTagger(load=False)
    state = random.getstate()
    random.seed(0)  # NLTK shuffles the sentences with Python's own generator
    pairs = [[tuple(word.split("/")) for word in line.split()] for line in _TAGGED]
    model.train(pairs, nr_iter=20)
    random.setstate(state)
    return PosTagger(model, perceptron_digest(model))
