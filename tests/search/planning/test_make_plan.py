from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from transformers import BertConfig, BertModel

import search.planning.make_plan
from search.log.events import VERSION, EventLog, new_event, read_events
from search.log.find_folder import find_folder
from search.log.folder import EVENTS
from search.planning.check_options import check_options
from search.planning.describe import describe
from search.planning.make_plan import _default_name, _earlier, make_plan
from search.planning.options import SearchOptions
from search.planning.plan import Plan
from tests.trainable.data.checkpoints import LAYOUTS, SETTINGS, VOCABULARY, write_tokenizer
from trainable.data.sources import SampleData
from trainable.errors import InputError
from trainable.model.encoder import EncoderConfig
from trainable.run_config import RunConfig
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
        # Of the heads it knows nothing, and a pooler that no task uses is counted.
        stated = plan_of(space="smoke", checkpoint=kind).checkpoint_bytes
        assert 0.99 * stated < size < 4 * stated


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


def test_a_wide_encoder_is_searched_at_lower_rates(tmp_path: Path) -> None:
    write_tokenizer(tmp_path, LAYOUTS[0], SETTINGS[0])
    sizes = {"vocab_size": len(VOCABULARY), "hidden_size": 1024, "num_hidden_layers": 2}
    config = BertConfig(**sizes, num_attention_heads=2, intermediate_size=8)
    BertModel(config).save_pretrained(tmp_path)
    storage = str(tmp_path / "searches")
    plan = make_plan(SearchOptions(encoder=str(tmp_path), storage=storage, dry_run=True))
    lr = [params["multitask.optimization.lr"] for params, _ in plan.points]
    assert lr[0] == plan.space.base.multitask.optimization.lr == 6.5e-5
    assert max(lr) == 2 * lr[0], "the portfolio has lower rates, too"


def test_the_first_trials_are_the_points_each_with_its_name(plan_of: MakePlan) -> None:
    plan = plan_of(space="smoke")
    assert plan.points[0] == (plan.space.params_of(plan.space.base), "default")
    assert all(origin.startswith("portfolio/") for _, origin in plan.points[1:])
    params = [dict(sorted(point.items())) for point, _ in plan.points]
    assert all(own not in params[:n] for n, own in enumerate(params)), "each is there once"
    ablation = plan_of(space="ablation", rows="gradients/*")
    assert [origin for _, origin in ablation.points] == list(ablation.rows)
    assert ablation.points[0][1] == "base"


def test_priors_that_do_not_fit_the_space_are_refused_before_the_data_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SampleData, "load", lambda _: pytest.fail("the data were read"))
    path = tmp_path / "priors.yaml"
    path.write_text("sst.polling: {mean: 3}\n")
    options = SearchOptions(priors=str(path), storage=str(tmp_path / "runs"), space="heads")
    with pytest.raises(InputError, match=r"priors\.yaml, sst\.polling.*'sst\.pooling'"):
        make_plan(options)
    assert list(tmp_path.iterdir()) == [path]


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


def test_a_search_that_goes_on_keeps_the_commit_of_its_encoder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Hub may have a newer one by now."""
    asked: list[EncoderConfig] = []

    def stop(config: EncoderConfig) -> EncoderConfig:
        asked.append(config)
        raise InputError("far enough")

    monkeypatch.setattr(search.planning.make_plan, "pinned", stop)
    then = EncoderConfig(source="a/b", revision="abc")
    for storage, n_trials in (("none", 0), ("one", 1)):
        path = tmp_path / storage / "n" / EVENTS
        path.parent.mkdir(parents=True)
        log = EventLog(path)
        log.append(new_event("search", version=VERSION, n_trials=30))
        chosen = {"params": {}, "run_config": RunConfig(encoder=then).to_dict()}
        for number in range(n_trials):
            log.append(new_event("suggested", trial=number, bracket=0, origin="", **chosen))
        log.close()
        for encoder in ("a/b", "a/c"):
            options = SearchOptions(
                name="n", storage=str(tmp_path / storage), encoder=encoder, resume=True
            )
            with pytest.raises(InputError, match="far enough"):
                make_plan(options)
    assert [(config.source, config.revision) for config in asked] == [
        ("a/b", None),
        ("a/c", None),
        ("a/b", "abc"),
        ("a/c", None),
    ]


def test_there_are_enough_trials_for_all_points_or_the_search_is_refused(
    plan_of: MakePlan,
) -> None:
    rows = {"space": "full", "warm_start": "published", "rows": "one-size/para-cosine-*"}
    assert len(plan_of(trials=5, **rows).points) == 5
    with pytest.raises(InputError, match=r"--trials 4: .* give at least --trials 5"):
        plan_of(trials=4, **rows)


def test_a_search_of_one_unit_has_one_rung(plan_of: MakePlan) -> None:
    plan = plan_of(units=1)
    assert plan.rungs == (1,)
    assert plan.space.base.multitask.units == 1
    assert "  rung 0: unit 1 of 1, 90,000 tokens" in describe(plan).splitlines()


def test_eta_may_be_more_than_units(plan_of: MakePlan) -> None:
    assert plan_of(units=4, eta=5).rungs == (1, 4)
    assert plan_of(units=4, eta=4).rungs == (1, 4)
    assert plan_of(units=5, eta=4).rungs == (1, 4, 5)


def test_a_name_that_is_made_for_a_search_is_allowed_whatever_the_encoder_is_called() -> None:
    for encoder in ("e" * 255, "/", "..", "a/b c*[?]", "ä", "~"):
        name = _default_name(SearchOptions(encoder=encoder))
        check_options(SearchOptions(name=name))


@pytest.mark.parametrize(
    ("tasks", "expected"),
    [
        ("датасет.yaml", "tasks-tiny-"),
        ("_my.yaml", "my-tiny-"),
        (".x.yaml", "x-tiny-"),
        ("отзывы_2024.yaml", "2024-tiny-"),
        ("a/b_c.yaml", "b-c-tiny-"),
    ],
)
def test_a_name_that_is_made_for_a_search_is_allowed_whatever_the_tasks_are_called(
    tasks: str, expected: str
) -> None:
    name = _default_name(SearchOptions(data="tasks", tasks=tasks))
    assert name.startswith(expected)
    check_options(SearchOptions(name=name, resume=True))


def test_the_size_of_a_log_is_the_one_before_it_was_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A driver that is still there may write meanwhile: what it wrote must not count as read."""
    folder = find_folder(str(tmp_path), "n", resume=False)
    folder.make()
    log = EventLog(folder.local / EVENTS)
    log.append(new_event("search", version=VERSION, n_trials=30))
    size = folder.log_bytes

    def read_while_it_grows(path: Path) -> Any:
        events = read_events(path)
        log.append(new_event("closed", reason=""))
        return events

    monkeypatch.setattr(search.planning.make_plan, "read_events", read_while_it_grows)
    assert _earlier(folder)[1] == size < folder.log_bytes
    log.close()


def test_each_unit_has_tokens_for_one_of_the_longest_steps(plan_of: MakePlan) -> None:
    def least(units: int) -> int:
        with pytest.raises(InputError, match=r"give at least [\d,]+ tokens") as caught:
            plan_of(budget="1", units=units)
        found = re.search(r"at least ([\d,]+) tokens", str(caught.value))
        assert found is not None
        return int(found[1].replace(",", ""))

    assert least(3) == 3 * least(1)
    assert plan_of(budget=str(least(3)), units=3).budget == least(3)
    with pytest.raises(InputError, match="less than one step for each of --units 3"):
        plan_of(budget=str(least(3) - 1), units=3)
