from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from search.log.history import History
from search.searchers.base import Params, Suggestion, params_key
from spaces.params import Param
from tests.benchmarks import others_curves
from tests.benchmarks.curve import UNITS
from tests.benchmarks.others_curves import Options, main, read_results, table_of
from tests.benchmarks.others_replay import CONTESTANTS, Replayer, Snapped
from tests.benchmarks.others_tables import TASKSETS, CurveTable
from trainable.component import FloatRange

PARAMS = (Param("x", FloatRange(0.0, 1.0), ()), Param("y", FloatRange(1e-4, 1.0, log=True), ()))


def made_up(name: str, shift: float = 0.0) -> CurveTable:
    """Return a table with a peak; the ninth configuration diverges in its fifth unit."""
    draw = np.random.default_rng(0)
    configs: tuple[Params, ...] = tuple(
        {"x": float(draw.random()), "y": float(10 ** -draw.uniform(0, 4))} for _ in range(120)
    )
    ends = np.array([abs(float(own["x"]) - 0.6 - shift) for own in configs])
    scores = (1 - ends)[:, None] * np.linspace(0.5, 1.0, UNITS)
    scores[8, 4:] = np.nan
    ends[8] = ends.max()
    return CurveTable(name, PARAMS, configs, scores, ends - ends.min(), {"x": 0.3, "y": 0.1})


@pytest.fixture(scope="module")
def tables() -> list[CurveTable]:
    return [made_up(name, shift) for name, shift in zip(TASKSETS, (0, 0.1, -0.1, 0.2), strict=True)]


@pytest.fixture(scope="module")
def replayer(tables: list[CurveTable]) -> Replayer:
    return Replayer(tables)


class Fixed:
    """Suggests the same params again and again."""

    def __init__(self, replayer: Replayer, params: Params) -> None:
        self._suggestion = Suggestion(params, "fixed", replayer._plan.space.base)

    def suggest(self, number: int, history: History) -> Suggestion:
        return self._suggestion


def test_a_suggestion_becomes_the_nearest_configuration_that_no_trial_has(
    replayer: Replayer, tables: list[CurveTable]
) -> None:
    table = tables[0]
    nearest = np.argsort(table.distances(table.default), kind="stable")
    searcher = Fixed(replayer, table.default)
    snapped, history = Snapped(table, lambda number: searcher), History()
    for number in range(5):
        found = snapped.suggest(number, history)
        assert found is not None
        assert params_key(found.params) == params_key(table.configs[nearest[number]])
        history.apply(
            {
                "event": "suggested",
                "time": 0.0,
                "trial": number,
                "params": found.params,
                "run_config": {},
                "bracket": 0,
                "origin": "fixed",
            }
        )


@pytest.mark.slow  # half a second for each contestant
@pytest.mark.parametrize("contestant", CONTESTANTS)
def test_a_replay_is_a_function_of_its_seed_and_learns(
    replayer: Replayer, tables: list[CurveTable], contestant: str
) -> None:
    # What is misled needs more: its default is protected, and one of three full runs.
    n = 8 if CONTESTANTS[contestant].default == "bad" else 3
    regret = replayer.regret(tables[0], contestant, 1, n)
    assert regret == replayer.regret(tables[0], contestant, 1, n)
    assert 0 <= regret < float(np.quantile(tables[0].regrets, 0.75))


def test_a_portfolio_is_chosen_on_the_other_tables(
    replayer: Replayer, tables: list[CurveTable]
) -> None:
    given = CONTESTANTS["ours, default, prior, portfolio"]
    params = [own for own, origin in replayer._points(tables[0], given, 0) if "port" in origin]
    own = {
        params_key(config): regret
        for config, regret in zip(
            tables[1].configs,
            tables[1].regrets + tables[2].regrets + tables[3].regrets,
            strict=True,
        )
    }
    assert own[params_key(params[0])] == min(own.values())


@pytest.mark.slow  # three searches
def test_what_another_search_found_is_good_on_its_table(
    replayer: Replayer, tables: list[CurveTable]
) -> None:
    given = CONTESTANTS["ours, default, prior, best of a search"]
    for seed in range(3):
        source = tables[1 + seed]
        rows = {params_key(own): row for row, own in enumerate(source.configs)}
        points = replayer._points(tables[0], given, seed)
        found = [own for own, origin in points if "search" in origin]
        regrets = [float(source.regrets[rows[params_key(own)]]) for own in found]
        assert 1 <= len(found) <= 4
        assert np.mean(regrets) < np.median(source.regrets)


def test_a_bad_default_is_of_the_worse_half(replayer: Replayer, tables: list[CurveTable]) -> None:
    given = CONTESTANTS["ours, misleading default and prior"]
    regret = {
        params_key(own): value
        for own, value in zip(tables[0].configs, tables[0].regrets, strict=True)
    }
    found = [replayer._points(tables[0], given, seed)[0][0] for seed in range(20)]
    assert all(regret[params_key(own)] >= np.median(tables[0].regrets) for own in found)
    assert len({params_key(own) for own in found}) > 10


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"no folder .*nowhere; give the folder .* --data"):
        main(Options(out=tmp_path, data=tmp_path / "nowhere"))


def test_a_second_call_goes_on_where_the_first_one_stopped(
    tmp_path: Path, tables: list[CurveTable], monkeypatch: pytest.MonkeyPatch
) -> None:
    by_name = {table.name: table for table in tables}
    monkeypatch.setattr(others_curves, "read_others", lambda folder, name: by_name[name])
    options = Options(
        out=tmp_path,
        data=tmp_path,
        repeats=4,
        budgets=(1,),
        groups=("taskset",),
        contestants=("random, full runs",),
    )
    main(options)
    path = tmp_path / "results.jsonl"
    before = path.read_text()
    assert len(before.splitlines()) == 4
    main(options)
    assert path.read_text() == before
    found = read_results(path)
    mean = np.mean([own[0] for own in found.values()])
    assert f"| random, full runs | {mean:.3f} ±" in table_of(found, "taskset")
    assert (tmp_path / "curves.png").stat().st_size > 0
