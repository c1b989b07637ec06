from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.collections import Collection

from tests.benchmarks.real_picture import Options, gains_of, main, picture
from tests.benchmarks.real_table import Result, write_results
from trainable.errors import InputError


def _result(contestant: str, seed: int, gains: dict[int, float], setting: str = "sick") -> Result:
    readings = [{"full_runs": n, "gain": gain} for n, gain in gains.items()]
    return {"setting": setting, "contestant": contestant, "seed": seed, "readings": readings}


RESULTS = [
    _result("tpe-asha", 1, {8: 0.0, 32: 0.04}),
    _result("tpe-asha", 0, {8: 0.0, 32: -0.02}),
    _result("ours-16", 0, {16: 0.12}),
    _result("ours-8", 0, {8: 0.1}),
    _result("ours-8-without-model", 0, {8: 0.09}),
    _result("ours-8", 0, {8: 0.03}, "course"),
]


def test_a_contestant_has_a_row_for_each_budget_and_a_part_left_out_has_none() -> None:
    assert gains_of(RESULTS, "sick") == {
        ("ours-8", 8): [0.1],
        ("ours-16", 16): [0.12],
        ("tpe-asha", 8): [0.0, 0.0],
        ("tpe-asha", 32): [-0.02, 0.04],  # of seeds 0 and 1
    }


def test_panels_have_their_rows_in_common_and_a_setting_may_lack_one() -> None:
    figure = picture(RESULTS)
    course, sick = figure.axes
    assert [label.get_text() for label in course.get_yticklabels()] == [
        "this project, 8 full runs",
        "this project, 16 full runs",
        "OptunaSearch + ASHA, 8 full runs",
        "OptunaSearch + ASHA, 32 full runs",
    ]
    assert [_dots(own) for own in course.collections] == [[(0.03, 0)]]
    assert [_dots(own) for own in sick.collections] == [
        [(0.1, 0)],
        [(0.12, 1)],
        [(0.0, 2), (0.0, 2)],
        [(-0.02, 3), (0.04, 3)],
    ]


def _dots(collection: Collection) -> list[tuple[float, int]]:
    """Return gain and row of each dot."""
    return [(float(x), round(float(y))) for x, y in np.asarray(collection.get_offsets())]


def test_it_is_a_png(tmp_path: Path) -> None:
    write_results(tmp_path / "results.jsonl", RESULTS)
    main(Options(tmp_path / "gains.png", results=tmp_path / "results.jsonl"))
    assert (tmp_path / "gains.png").read_bytes().startswith(b"\x89PNG")


def test_results_that_are_missing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"missing\.jsonl"):
        main(Options(tmp_path / "gains.png", results=tmp_path / "missing.jsonl"))
