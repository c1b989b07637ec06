"""Published rows without what they come from: each whole configuration, for the eye and for a test.

python -m tests.spaces.rows_written_out    writes published_rows/ again; look at the difference

A line is a field that differs from `defaults.json`, by its dotted name; a component of another kind
is written with all of its fields. `defaults.json` stays as it is where a default of the project
moves: a row that only leaned on the default then differs, and one that says its value does not.
"""

from __future__ import annotations

import json
from itertools import groupby
from pathlib import Path
from typing import Any

from spaces.published import load_published
from spaces.row import Row
from trainable.model.encoder import EncoderConfig
from trainable.partial_config import merged
from trainable.run_config import RunConfig

FOLDER = Path(__file__).with_name("published_rows")
DEFAULTS = FOLDER / "defaults.json"
# Not from scratch: learning rates stay as published.
BASE = RunConfig(encoder=EncoderConfig(source="bert"))


def written_out(row: Row, defaults: dict[str, Any]) -> dict[str, Any]:
    """Return name -> value for what was published and for each field that differs.

    Under `states` are the names of all fields that the row gives itself, equal to a default or not.
    """
    published = {"table": row.table, "split": row.split, **row.scores, "epochs": row.epochs}
    published["states"] = " ".join(leaves(row.differences, ""))
    found = differences(defaults, row.config(BASE).to_dict(), "")
    return published | {name.removeprefix("tasks."): value for name, value in found}


def differences(default: Any, value: Any, path: str) -> list[tuple[str, Any]]:
    """Return dotted name and value, for each leaf or component that differs."""
    if default == value:
        return []
    are_mappings = isinstance(default, dict) and isinstance(value, dict)
    if not are_mappings or default.get("kind") != value.get("kind"):
        return [(path, value)]
    found = []
    for key in value:
        here = f"{path}.{key}" if path else key
        found += differences(default.get(key), value[key], here)
    return found


def leaves(values: dict[str, Any], path: str) -> list[str]:
    """Return the dotted names of all leaves."""
    found = []
    for key, value in values.items():
        here = f"{path}.{key}" if path else key
        found += leaves(value, here) if isinstance(value, dict) and value else [here]
    return found


def papers() -> dict[str, dict[str, dict[str, Any]]]:
    """Return paper -> id -> row written out."""
    defaults = json.loads(DEFAULTS.read_text(encoding="utf-8"))
    rows = groupby(load_published(), key=lambda row: row.id.split("/")[0])
    return {paper: {row.id: written_out(row, defaults) for row in own} for paper, own in rows}


def text(rows: dict[str, dict[str, Any]]) -> str:
    """Return JSON with a line for each field."""
    blocks = [
        f" {json.dumps(name)}: {{\n"
        + ",\n".join(f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in fields.items())
        + "\n }"
        for name, fields in rows.items()
    ]
    return "{\n" + ",\n".join(blocks) + "\n}\n"


if __name__ == "__main__":
    kept = json.loads(DEFAULTS.read_text(encoding="utf-8")) if DEFAULTS.exists() else {}
    new_fields_too = merged(BASE.to_dict(), kept)
    DEFAULTS.write_text(json.dumps(new_fields_too, indent=1) + "\n", encoding="utf-8")
    for paper, rows in papers().items():
        (FOLDER / f"{paper}.json").write_text(text(rows), encoding="utf-8")
