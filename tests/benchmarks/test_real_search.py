from __future__ import annotations

import importlib.util
import json
import math
from pathlib import Path
from typing import Any

import pytest

from search.log.events import read_events
from search.log.history import History
from search.log.trial import TrialRecord
from search.planning.plan import Plan
from tests.benchmarks import real_search
from tests.benchmarks.curve import UNITS
from tests.benchmarks.real_contestants import CONTESTANTS, OURS, Found, search
from tests.benchmarks.real_search import Options, WantedSearch, plan_of, wanted_searches
from tests.benchmarks.real_settings import sick_tasks, vader_tasks
from tests.benchmarks.real_table import default_noise, tables
from trainable.data.read_tasks import read_tasks
from trainable.errors import InputError
from trainable.run_config import RunConfig
from trainable.training.inputs import RunInputs

TOKENS = 45_000  # of a full run of the setting `toy`


class FakeRuns:
    """Reports without training: the nearer the learning rate is to 3e-3, the better."""

    def __init__(self, folder: Path) -> None:
        self.n_units = 0
        self._folder = folder

    def report(self, config: RunConfig, unit: int) -> dict[str, Any]:
        assert config.multitask is not None
        self.n_units += 1
        worth = 0.6 - abs(math.log10(config.multitask.optimization.lr / 3e-3)) / 4
        score = worth * unit / UNITS
        metrics = dict.fromkeys(("sst_acc", "para_acc", "sts_corr"), score)
        own = {"score": score, "tokens": TOKENS / UNITS * unit, "unit": unit, "failure": ""}
        seconds = {"train_seconds": 1.0, "eval_seconds": 0.1}
        confirm = {f"confirm_{key}": worth for key in ("score", *metrics)}
        return {**metrics, **own, **seconds, **confirm}

    def predictions(self, config: RunConfig) -> Path:
        path = self._folder / "predictions"
        path.write_bytes(b"")
        return path


@pytest.fixture
def options(tmp_path: Path) -> Options:
    return Options(out=tmp_path, settings=("toy",), seeds=1)


def plan(options: Options, contestant: str) -> Plan:
    return plan_of(WantedSearch(0, contestant, "toy"), options)


def searched(options: Options, contestant: str) -> tuple[list[Found], FakeRuns, Plan]:
    own, runs = plan(options, contestant), FakeRuns(options.out)
    return list(search(CONTESTANTS[contestant], own, runs)), runs, own  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize(
    "contestant", ["ours-4", "ours-8-without-guard", "random-asha", "tpe-asha", "priorband"]
)
def test_a_contestant_is_read_off_when_its_tokens_are_spent(
    options: Options, contestant: str
) -> None:
    if contestant == "priorband" and importlib.util.find_spec("neps") is None:
        pytest.skip("NePS is not installed")
    found, runs, own = searched(options, contestant)
    readings = CONTESTANTS[contestant].full_runs
    assert tuple(f.full_runs for f in found) == readings
    for own_found in found:
        assert own_found.full_runs <= own_found.tokens < own_found.full_runs + 1 / UNITS + 1e-9
        assert own_found.units == UNITS
    assert runs.n_units == round(readings[-1] * UNITS)
    assert found[-1].score >= found[0].score
    assert found[-1].n_trials > found[-1].n_done > 0
    if contestant != "priorband":
        events = read_events(own.folder.local / "events.jsonl")
        assert len(History(events).trials) == found[-1].n_trials
        assert History(events).trials[0].config == own.space.base


@pytest.mark.slow
def test_the_first_trial_of_every_contestant_is_the_default(options: Options) -> None:
    for name in ("tpe-asha", "random-asha"):
        points = CONTESTANTS[name].change(plan(options, name)).points
        assert [origin for _, origin in points] == ["default"]


@pytest.mark.slow
def test_what_a_search_is_without_is_off(options: Options, inputs: RunInputs) -> None:
    origins = [origin for _, origin in plan(options, OURS).points]
    assert origins[0] == "default"
    assert len(origins) > 1
    without = CONTESTANTS["ours-8-without-portfolio"]
    kept = without.change(plan(options, "ours-8-without-portfolio")).points
    assert [origin for _, origin in kept] == ["default"]
    record = TrialRecord(0, {}, {}, 0.0, 0.0, origin="default")
    with CONTESTANTS["ours-8-without-protected-default"].patch():
        assert not record.is_default
    assert record.is_default
    assert inputs.corpus.select_part is not None
    with CONTESTANTS["ours-8-without-partial-select"].patch():
        assert inputs.corpus.select_part is None


def test_all_contestants_of_a_seed_come_before_the_next_seed() -> None:
    options = Options(out=Path(), seeds=3)
    seeds = [own.seed for own in wanted_searches(options)]
    assert seeds == sorted(seeds)
    assert len(seeds) == 3 * 2 * len(CONTESTANTS)


@pytest.mark.slow
def test_a_finished_search_leaves_a_result_and_is_not_run_again(
    options: Options, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(real_search, "_cache_of", lambda *args: FakeRuns(options.out))
    wanted = WantedSearch(0, "ours-4", "toy")
    line = real_search.run_search(wanted, options)
    assert "at 4" in line
    result = json.loads(real_search.result_of(options, wanted).read_text("utf-8"))
    (reading,) = result["readings"]
    assert reading["gain"] == reading["confirm"] - reading["default"]
    assert RunConfig.from_dict(reading["run_config"], "test")
    real_search.main(Options(out=options.out, settings=("toy",), seeds=1, contestants=("ours-4",)))
    assert "0 searches" in capsys.readouterr().out

    lines = options.out / "results.jsonl"
    elsewhere = Options(
        out=options.out / "new", settings=("toy",), seeds=1, contestants=("ours-4",), known=lines
    )
    real_search.main(elsewhere)
    out = capsys.readouterr().out
    assert "0 searches" in out
    assert "| ours-4 | 1 |" in out
    assert (elsewhere.out / "results.jsonl").read_bytes() == lines.read_bytes()


def result(contestant: str, seed: int, confirm: float, default: float) -> dict[str, Any]:
    reading = {"full_runs": 8, "confirm": confirm, "default": default, "is_default": False}
    reading["gain"] = confirm - default
    own = {"setting": "course", "contestant": contestant, "seed": seed}
    return {**own, "readings": [reading]}


def test_the_table_compares_the_same_seeds() -> None:
    results = [result(OURS, seed, 0.60 + 0.01 * seed, 0.55 + 0.01 * seed) for seed in range(6)]
    results += [
        result("tpe-asha", seed, 0.5 + 0.01 * seed + 0.001 * (seed % 2), 0.5) for seed in range(5)
    ]
    lines = tables(results).splitlines()
    ours = next(line for line in lines if line.startswith(f"| {OURS} |"))
    stock = next(line for line in lines if line.startswith("| tpe-asha, 8 runs |"))
    assert "| 6 | 0.6250 | +0.0500" in ours
    assert "| 5 | 0.5204 |" in stock
    assert "+0.0996" in stock
    assert "< .001" in stock


def test_the_noise_of_the_default_is_that_between_seeds() -> None:
    rows = {OURS: {s: {"default": 0.5 + 0.01 * s} for s in range(3)}}
    assert default_noise(rows) == pytest.approx(0.01)


def test_half_of_sick_is_its_dev_set(shared: Path, tmp_path: Path) -> None:
    table = read_tasks(str(sick_tasks(shared / "data" / "sick", tmp_path, 1.0)), None)
    examples = table.load()
    assert {n: t.kind for n, t in examples.tasks.items()} == {
        "entailment": "pair_classes",
        "relatedness": "pair_number",
    }
    train = (tmp_path / "train.tsv").read_text("utf-8").splitlines()
    dev = (tmp_path / "dev.tsv").read_text("utf-8").splitlines()
    assert len(train) == len(dev) == 2501
    assert not set(train[1:]) & set(dev[1:])


def test_a_setting_of_several_passes_has_a_part_of_the_training_examples(
    shared: Path, tmp_path: Path
) -> None:
    splits = {}
    for share in (1.0, 0.1):
        folder = sick_tasks(shared / "data" / "sick", tmp_path / str(share), share).parent
        splits[share] = {
            split: (folder / f"{split}.tsv").read_text("utf-8").splitlines()
            for split in ("train", "dev")
        }
    assert len(splits[0.1]["train"]) == 251
    assert set(splits[0.1]["train"]) < set(splits[1.0]["train"])
    assert splits[0.1]["dev"] == splits[1.0]["dev"]


def test_sentences_that_people_rated_become_numbers_and_moods(tmp_path: Path) -> None:
    ratings = ("0.5", "0.55", "-0.5", "-3.9")
    for name in ("tweets", "amazonReviewSnippets", "nytEditorialSnippets"):
        lines = [f'{n}_1\t{ratings[n % 4]}\tsays "{n}\n' for n in range(40)]
        (tmp_path / f"{name}_GroundTruth.txt").write_text("".join(lines), "utf-8")
    examples = read_tasks(str(vader_tasks(tmp_path, tmp_path / "out", 1.0)), None).load()
    assert {name: own.kind for name, own in examples.tasks.items()} == {
        "tweets": "single_number",
        "reviews": "single_classes",
        "editorials": "single_number",
    }
    texts = {}
    for split in ("train", "dev"):
        rows = (tmp_path / "out" / f"reviews-{split}.tsv").read_text("utf-8").splitlines()[1:]
        texts[split] = {row.split("\t")[1] for row in rows}
        moods = {tuple(row.split("\t")[2:]) for row in rows}
        assert moods <= {
            ("0.5", "neutral"),
            ("0.55", "positive"),
            ("-0.5", "neutral"),
            ("-3.9", "negative"),
        }
    assert texts["train"] | texts["dev"] == {f'says "{n}' for n in range(40)}
    assert len(texts["train"]) == len(texts["dev"]) == 20


def test_a_setting_without_its_files_says_which_are_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"tweets_GroundTruth\.txt: no such file; give the folder"):
        vader_tasks(tmp_path, tmp_path / "out", 1.0)
