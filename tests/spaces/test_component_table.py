from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from spaces.component_table import BEGIN, END, families, table, update
from spaces.params import all_params
from trainable.batch_orders.all_tasks import LockStep
from trainable.run_config import RunConfig


def test_families_are_read_from_the_models() -> None:
    found = families()
    assert {"pooling", "head", "pair", "batch_order", "gradients"} <= found.keys()
    assert "data" not in found
    assert found["batch_order"]["lock_step"] is LockStep
    # A family that two fields offer different members of has all of them.
    assert {"plain", "weighted", "pcgrad"} <= found["gradients"].keys()


def test_every_component_has_a_row_and_every_row_four_cells() -> None:
    header, line, *rows = table().splitlines()
    assert line == "|---|---|---|---|"
    assert len(rows) == sum(len(members) for members in families().values())
    for row in (header, *rows):
        assert len(row.replace("\\|", "").split("|")) == 6, row
    for family, members in families().items():
        for kind, model in members.items():
            assert sum(row.startswith(f"| {family} | `{kind}` |") for row in rows) == 1
            assert model.__doc__, f"{model.__name__} has no docstring for its row"


def test_every_hyperparameter_of_a_component_is_in_the_table() -> None:
    text = table()
    for param in all_params(RunConfig()):
        if param.parents:
            name = re.sub(r"_(sst|para|sts)$", "_TASK", param.name.rsplit(".", maxsplit=1)[-1])
            assert f"`{name}`" in text


def test_update_replaces_what_stands_between_the_marks_and_nothing_else() -> None:
    text = f"before\n{BEGIN}\nan old table\n{END}\nafter\n"
    updated = update(text)
    assert updated == f"before\n{BEGIN}\n{table()}\n{END}\nafter\n"
    assert update(updated) == updated


@pytest.mark.slow
def test_module_brings_a_file_up_to_date(tmp_path: Path, repository: Path) -> None:
    path = tmp_path / "components.md"
    path.write_text(f"# Title\n{BEGIN}{END}\n", encoding="utf-8")
    subprocess.run(
        [sys.executable, "-m", "spaces.component_table", str(path)], cwd=repository, check=True
    )
    assert path.read_text(encoding="utf-8") == f"# Title\n{BEGIN}\n{table()}\n{END}\n"
