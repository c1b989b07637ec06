from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from search.log.events import VERSION, EventLog, new_event
from search.log.folder import EVENTS
from search.planning.make_plan import make_plan
from search.planning.options import SearchOptions
from search.planning.plan import Plan
from trainable.training import checkpoint
from trainable.training.inputs import RunInputs
from trainable.training.loop import Run

MakePlan = Callable[..., Plan]


@pytest.mark.slow
def test_the_stated_size_of_a_checkpoint_is_nearly_that_on_disk(
    plan_of: MakePlan, inputs: RunInputs, tmp_path: Path
) -> None:
    run = Run(plan_of(space="smoke").space.base, inputs)
    run.train_unit()
    for kind in ("full", "weights"):
        (tmp_path / kind).mkdir()
        checkpoint.save(run, tmp_path / kind, optimizer=kind == "full")
        size = sum(p.stat().st_size for p in (tmp_path / kind).iterdir() if p.is_file())
        # Of the heads it knows nothing: tiny has a wide one.
        stated = plan_of(space="smoke", checkpoint=kind).checkpoint_bytes
        assert stated < size < 4 * stated


def test_the_base_has_what_the_options_ask_for(plan_of: MakePlan) -> None:
    plan = plan_of(seed=5, precision="bf16", units=4)
    stage = plan.space.base.multitask
    assert plan.space.base.seed == 5
    assert (stage.precision, stage.units, stage.budget_tokens) == ("bf16", 4, 90_000)
    assert plan.rungs == (1, 3, 4)


def test_without_a_scheduler_the_only_rung_is_the_full_run(plan_of: MakePlan) -> None:
    assert plan_of(scheduler="none").rungs == (9,)


def test_epochs_are_counted_in_tokens_of_all_train_sets(
    plan_of: MakePlan, inputs: RunInputs
) -> None:
    rows = inputs.corpus.splits["train"].values()
    # Siamese form: two special tokens around each sentence.
    epoch = sum(int((own.lengths + 2).sum()) for own in rows)
    assert plan_of(budget="2ep").budget == 2 * epoch
    assert plan_of(budget=None).budget == 5 * epoch


@pytest.mark.slow
def test_names_of_searches_that_are_given_none_differ_by_encoder(
    minilm: Path, tmp_path: Path
) -> None:
    options = SearchOptions(encoder=str(minilm), storage=str(tmp_path), dry_run=True)
    plan = make_plan(options)
    assert plan.folder.name.startswith(f"sample-{minilm.name}-")
    assert plan.space.base.encoder.source == str(minilm)


def test_a_relative_encoder_folder_is_made_absolute(
    minilm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(minilm.parent)
    plan = make_plan(SearchOptions(encoder=minilm.name, storage=str(tmp_path), dry_run=True))
    assert plan.space.base.encoder.source == str(minilm)


def test_the_first_trials_are_the_points_each_with_its_name(plan_of: MakePlan) -> None:
    plan = plan_of(space="smoke")
    assert plan.points == ((plan.space.params_of(plan.space.base), "default"),)
    ablation = plan_of(space="ablation", rows="gradients/*")
    assert [origin for _, origin in ablation.points] == list(ablation.rows)


@pytest.mark.parametrize(("asked", "expected"), [(None, 30), (20, 20), (50, 50)])
def test_a_search_that_goes_on_knows_what_was_and_how_many_trials_it_has(
    tmp_path: Path, asked: int | None, expected: int
) -> None:
    (tmp_path / "n").mkdir()
    log = EventLog(tmp_path / "n" / EVENTS)
    log.append(new_event("search", version=VERSION, n_trials=30))
    log.close()
    options = SearchOptions(
        name="n", storage=str(tmp_path), space="smoke", trials=asked, resume=True, dry_run=True
    )
    plan = make_plan(options)
    assert plan.n_trials == expected
    assert plan.earlier.n_trials == 30
    new = make_plan(replace(options, name="new", resume=False))
    assert (new.n_trials, new.earlier.n_trials) == (asked or 12, 0)
