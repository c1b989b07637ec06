"""retrain.json: which seeds of a configuration are trained to the end, and their scores.

It is written before the first seed, too, so that whoever finds an unfinished retraining knows what
it is of.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search.report.best import Best
from search.report.seed_scores import Scores, summary_of
from trainable.cache.files import read_json, write_json
from trainable.errors import InputError

RETRAIN = "retrain.json"


@dataclass(frozen=True)
class Retraining:
    """What a folder's seeds have in common; runs that differ in it do not compare.

    Attributes:
        best: The configuration, and where it is from.
        train_on: `train` or `train+dev`.
        data_fingerprint: Fingerprint of the examples and the tokenizer that the runs see.
    """

    best: Best
    train_on: str
    data_fingerprint: str

    def to_json(self) -> dict[str, Any]:
        """Return the fields of retrain.json that do not depend on the seeds."""
        best = self.best.model_dump(mode="json")
        return {"best": best, "train_on": self.train_on, "data_fingerprint": self.data_fingerprint}

    def read(self, folder: Path) -> dict[int, Scores]:
        """Return seed -> its scores, for every seed that is trained; empty without retrain.json.

        Raises:
            InputError: The file is not what `write` writes, or is of another retraining.
        """
        path = folder / RETRAIN
        if not path.exists():
            return {}
        other = f"choose another --out, or move {folder} away"
        try:
            values = read_json(path, "")
        except InputError as error:
            raise InputError(f"{error}; {other}") from error
        if not isinstance(values, dict) or set(values) != {*self.to_json(), "seeds", "summary"}:
            raise InputError(f"{path}: not written by this version of the project; {other}")
        difference = _first_difference(values, self.to_json(), "")
        if difference:
            raise InputError(f"{folder} holds another retraining: {difference}; {other}")
        return {int(seed): scores for seed, scores in values["seeds"].items()}

    def write(self, folder: Path, scores: Mapping[int, Scores]) -> None:
        """Write retrain.json.

        Args:
            folder: An existing folder.
            scores: Seed -> its scores, for every seed that is trained to the end.
        """
        own = {seed: scores[seed] for seed in sorted(scores)}
        summary = summary_of(own) if own else {}
        write_json(folder / RETRAIN, {**self.to_json(), "seeds": own, "summary": summary})


def _first_difference(there: Any, here: Any, name: str) -> str | None:
    """Return the first field of `here` that has another value in `there`, with both values."""
    if isinstance(there, dict) and isinstance(here, dict):
        for key in here if name == "" else {**here, **there}:
            path = f"{name}.{key}" if name else key
            found = _first_difference(there.get(key), here.get(key), path)
            if found:
                return found
        return None
    return None if there == here else f"its {name} is {there!r:.80}, now it is {here!r:.80}"
