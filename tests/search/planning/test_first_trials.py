from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest

import search.planning.corpora
import search.planning.first_trials
from search.log.history import History, Journal
from search.log.trial import TrialRecord
from search.loop.make_dispatcher import make_dispatcher
from search.planning.describe import describe
from search.planning.first_trials import (
    published,
    row_space,
    rows_stopped,
    warm_points,
    with_features,
)
from search.planning.make_plan import _merged
from search.planning.plan import Plan
from search.planning.resume import header
from search.report.sections.published_rows import compare_row
from spaces.catalogue import make_space
from spaces.fixed_configs import RowSpace
from spaces.portfolio import portfolio_points
from spaces.published import load_published
from spaces.space import Space
from tests.search.planning.row_options import BASE, options
from trainable.component import Value
from trainable.data.nli import HubNli, SampleNli
from trainable.data.pretraining_text import OwnText
from trainable.errors import InputError
from trainable.model.encoder import EncoderConfig
from trainable.run_config import RunConfig
from trainable.stages.language_modelling import MaskedLanguageModelling
from trainable.stages.multitask import Multitask
from trainable.stages.nli_training import LinearNli

MakePlan = Callable[..., Plan]
COSINES = "one-size/para-cosine-*"
PRETRAINED = RunConfig(encoder=EncoderConfig(source="a/b"), multitask=Multitask())


def suggestions(plan: Plan, n: int) -> list[tuple[dict[str, Value], RunConfig]]:
    """Return params and configurations of the first trials that a search hands out."""
    journal = Journal(History())
    journal.write("search", slots=n, **header(plan))
    dispatcher = make_dispatcher(plan, journal)
    jobs = [dispatcher.next_job(f"id{number}") for number in range(n)]
    return [(job.trial.params, job.trial.config) for job in jobs if job is not None]


# Published rows.


def test_published_rows_come_in_their_order_with_what_is_the_search_s() -> None:
    found = published(options(rows="one-size/*,mtbert/round-robin"), BASE)
    ids = [row.id for row in load_published()]
    assert list(found) == [i for i in ids if i.startswith("one-size/") or i == "mtbert/round-robin"]
    for config in found.values():
        assert (config.seed, config.encoder.source) == (5, "tiny")
        assert config.multitask is not None
        assert (config.multitask.budget_tokens, config.multitask.units) == (1234, 3)


def test_stages_of_rows_read_what_the_search_is_given() -> None:
    name = "college/mlm+nli-contrastive+additive"
    sample = published(options(rows=name), BASE)[name]
    assert isinstance(sample.further_pretraining, MaskedLanguageModelling)
    assert sample.further_pretraining.sources == (OwnText(),)
    assert getattr(sample.nli, "source", None) == SampleNli()
    real = published(options(rows=name, data="hub"), BASE)[name]
    assert isinstance(real.further_pretraining, MaskedLanguageModelling)
    assert real.further_pretraining.sources != (OwnText(),)
    assert isinstance(getattr(real.nli, "source", None), HubNli)


@pytest.fixture
def _one_cannot_be_run(monkeypatch: pytest.MonkeyPatch) -> None:
    published = tuple(
        replace(row, why_not="It needs a thing.") if row.id == "one-size/final" else row
        for row in load_published()
    )
    monkeypatch.setattr(search.planning.first_trials, "load_published", lambda: published)


@pytest.mark.usefixtures("_one_cannot_be_run")
@pytest.mark.parametrize("rows", ["one-size/final", "one-size/final,one-size/baseline"])
def test_a_row_that_is_named_and_cannot_be_run_is_refused_with_its_reason(rows: str) -> None:
    with pytest.raises(InputError, match=r"one-size/final: It needs a thing\."):
        published(options(rows=rows), BASE)


@pytest.mark.usefixtures("_one_cannot_be_run")
@pytest.mark.parametrize("rows", ["one-size/fin*", "one-size/baseline, one-size/final"])
def test_rows_of_which_none_or_not_all_that_are_named_can_be_run_are_refused(rows: str) -> None:
    with pytest.raises(InputError, match=r"one-size/final: It needs a thing\."):
        published(options(rows=rows), BASE)


@pytest.mark.usefixtures("_one_cannot_be_run")
@pytest.mark.parametrize("rows", ["one-size/*", None])
def test_a_pattern_means_those_that_can_be_run(rows: str | None) -> None:
    found = published(options(rows=rows), BASE)
    assert "one-size/final" not in found
    assert "one-size/baseline" in found


# Spaces of rows.


def test_a_plan_of_rows_runs_each_as_often_as_it_is_to_be_repeated(plan_of: MakePlan) -> None:
    plan = plan_of(space="published", rows=COSINES, repeats=2, seed=3)
    assert isinstance(plan.space, RowSpace)
    names = [row.id for row in load_published() if "para-cosine" in row.id]
    assert list(plan.rows) == names
    assert plan.n_trials == 2 * len(names) == 8
    expected = [{"row": name, "repeat": n} for n in (0, 1) for name in names]
    assert list(plan.points) == [(point, point["row"]) for point in expected]
    found = suggestions(plan, 9)
    assert [params for params, _ in found] == expected
    for params, config in found:
        row = plan.rows[str(params["row"])]
        assert config == row.model_copy(update={"seed": 3 + int(params["repeat"])})
    lines = describe(plan).splitlines()
    assert [line for line in lines if line.startswith("  row ")] == [f"  row {n}" for n in names]
    assert any(line.startswith("trials     8") for line in lines)


def test_an_ablation_runs_the_base_and_what_differs_from_it(plan_of: MakePlan) -> None:
    plan = plan_of(space="ablation", rows="gradients/*,stage/nli.*")
    assert next(iter(plan.rows)) == "base"
    assert plan.rows["base"] == plan.space.base
    assert {name.split("/")[0] for name in plan.rows} == {"base", "gradients", "stage"}
    assert {"gradients/cagrad", "stage/nli.linear"} <= plan.rows.keys()
    assert plan.n_trials == len(plan.rows)
    everything = plan_of(space="ablation")
    assert list(plan.rows) == [name for name in everything.rows if name in plan.rows]
    assert len(everything.rows) > 50


def test_an_ablation_on_real_data_reads_no_made_up_examples() -> None:
    asked = options(space="ablation", data="cs224n", data_dir="x", rows="stage/nli.*")
    rows = dict(row_space(asked, PRETRAINED, History())[0].rows)
    assert rows.pop("base") == PRETRAINED
    for config in rows.values():
        assert getattr(config.nli, "source", None) == HubNli()
    sample, _ = row_space(options(space="ablation", rows="stage/nli.linear"), BASE, History())
    assert isinstance(sample.rows["stage/nli.linear"].nli, LinearNli)
    assert getattr(sample.rows["stage/nli.linear"].nli, "source", None) == SampleNli()


@pytest.mark.parametrize("space", ["ablation", "published"])
def test_rows_that_rungs_would_stop_are_announced(space: str) -> None:
    asked = options(space=space, eta=4)
    (note,) = rows_stopped(asked, (1, 4, 9))
    assert note.startswith("--scheduler promotion-asha: rungs stop about 3 of 4 rows before")
    assert note.endswith("only full runs can be compared; --scheduler none runs all of them")
    assert rows_stopped(asked, (9,)) == []
    assert rows_stopped(replace(asked, space="full"), (1, 4, 9)) == []
    assert rows_stopped(replace(asked, resume=True), (1, 4, 9)) == []


def test_a_plan_of_rows_says_that_rungs_would_stop_some(plan_of: MakePlan) -> None:
    for scheduler, expected in (("asha", True), ("none", False)):
        plan = plan_of(space="published", rows=COSINES, scheduler=scheduler)
        assert ("only full runs can be compared" in describe(plan)) == expected


# Warm starts.


def test_a_warm_start_begins_with_the_base_and_then_the_rows(plan_of: MakePlan) -> None:
    plan = plan_of(space="full", warm_start="published", rows=COSINES, trials=9)
    assert isinstance(plan.space, Space)
    assert plan.n_trials == 9
    assert [name.split("/")[1][:11] for name in plan.rows] == ["para-cosine"] * 4
    assert len(plan.points) == 5
    assert plan.points[0] == (plan.space.params_of(plan.space.base), "default")
    expected = [plan.space.base, *plan.rows.values()]
    *begin, (_, suggested) = suggestions(plan, 6)
    assert begin == [(p, c) for (p, _), c in zip(plan.points, expected, strict=True)]
    assert [origin for _, origin in plan.points[1:]] == list(plan.rows)
    assert suggested not in expected, "from here on it is the searcher's turn"


@pytest.mark.parametrize(
    ("space", "rows"),
    [("full", "bertpp/D,bertpp/D-test"), ("stages", "mtbert/pretrain-mt-st*")],
)
def test_rows_of_one_configuration_are_one_trial_that_answers_both(
    plan_of: MakePlan, trial_of: Callable[..., TrialRecord], space: str, rows: str
) -> None:
    plan = plan_of(space=space, warm_start="published", rows=rows)
    first, second = plan.rows
    assert [origin for _, origin in plan.points] == ["default", f"{first}, {second}"]
    other, (params, config) = suggestions(plan, 2)
    assert params != other[0]
    trial = trial_of(plan, 0, {9: 0.7})
    trial.params, trial.run_config = params, config.to_dict()
    known = {row.id: row for row in load_published()}
    answers = [compare_row(plan, known[name], [trial]) for name in (first, second)]
    assert [found.n_runs for found in answers if found is not None] == [1, 1]


def test_a_row_that_is_the_default_is_one_trial(plan_of: MakePlan) -> None:
    space = plan_of(space="smoke").space
    default = space.params_of(space.base)  # type: ignore[union-attr]
    other = {**default, "sts.pair": "other"}
    again = dict(reversed(default.items()))
    assert _merged([(default, "a/b"), (other, "a/c"), (again, "default")]) == [
        (default, "a/b, default"),
        (other, "a/c"),
    ]


def test_without_a_warm_start_a_search_begins_with_the_base_and_the_portfolio(
    plan_of: MakePlan,
) -> None:
    for name in ("full", "stages", "heads", "smoke"):
        plan = plan_of(space=name)
        assert plan.rows == {}
        assert isinstance(plan.space, Space)
        first, *others = plan.points
        assert first == (plan.space.params_of(plan.space.base), "default")
        assert others == portfolio_points(plan.space, plan.n_trials)
        assert 0 < len(others) <= plan.n_trials // 3


@pytest.mark.parametrize(
    "given",
    [{"searcher": "random"}, {"searcher": "tpe"}, {"warm_start": "published", "rows": COSINES}],
)
def test_what_begins_otherwise_or_is_for_comparison_has_no_portfolio(
    plan_of: MakePlan, given: dict[str, str]
) -> None:
    origins = [origin for _, origin in plan_of(space="full", **given).points]
    assert origins[0] == "default"
    assert not any(origin.startswith("portfolio/") for origin in origins)


def test_a_search_without_priors_begins_with_the_portfolio_too(plan_of: MakePlan) -> None:
    assert plan_of(space="heads", priors="off").points == plan_of(space="heads").points


def test_rows_with_stages_start_a_search_over_stages(plan_of: MakePlan) -> None:
    rows = "college/mlm+nli-contrastive+additive,leave/NLI+GSbd+FL-ConcatB"
    plan = plan_of(space="stages", warm_start="published", rows=rows)
    assert len(plan.rows) == 2
    assert isinstance(plan.space, Space)
    named = {origin: point for point, origin in plan.points}
    assert list(named) == ["default", *plan.rows]
    for name, config in plan.rows.items():
        assert plan.space.params_of(config) == named[name]


def test_rows_that_a_space_cannot_express_are_named_with_the_reason_and_the_rest() -> None:
    asked = options(
        space="full", warm_start="published", rows="one-size/baseline,mtbert/pos,leave/baseline"
    )
    space = make_space("full", PRETRAINED, (OwnText(),), SampleNli())
    with pytest.raises(InputError) as caught:
        warm_points(asked, space, PRETRAINED)
    first, *lines, hint = str(caught.value).splitlines()
    assert "--space full cannot express 2 of 3 rows" in first
    assert {line.split(":")[0].strip() for line in lines} == {"mtbert/pos", "leave/baseline"}
    assert "features.pos_tags is True" in str(lines)
    assert hint == "choose others: --rows 'one-size/baseline'"


def test_where_no_row_can_be_expressed_another_space_is_named() -> None:
    asked = options(space="smoke", warm_start="published", rows="mtbert/pos")
    with pytest.raises(InputError, match="run them with --space published"):
        warm_points(asked, make_space("smoke", PRETRAINED), PRETRAINED)


# Rows whose features cannot be had.


@pytest.mark.usefixtures("_no_tagger")
@pytest.mark.parametrize("rows", [None, "mtbert/*"])
def test_rows_whose_features_cannot_be_had_are_left_out_with_a_note(rows: str | None) -> None:
    space, notes = row_space(options(rows=rows), BASE, History())
    assert notes == ["row mtbert/pos is left out: features.pos_tags needs a tagger"]
    assert "mtbert/pos" not in space.rows
    assert len(space.rows) == len(published(options(rows=rows), BASE)) - 1


@pytest.mark.usefixtures("_no_tagger")
def test_a_warm_start_leaves_out_rows_whose_features_cannot_be_had() -> None:
    rows = {"a": RunConfig(), "b": RunConfig.model_validate({"features": {"pos_tags": True}})}
    kept, (note,) = with_features(options(space="full", warm_start="published"), rows)
    assert kept == {"a": rows["a"]}
    assert note.startswith("row b is left out: ")


def test_a_search_that_goes_on_has_the_rows_that_it_began_with() -> None:
    """The tagger that one of them lacked may be there by now, or be gone."""
    history = History()
    history.header = {"space": {"row": {"values": ["mtbert/pos", "one-size/final"]}}}
    space, notes = row_space(options(), BASE, history)
    assert (set(space.rows), notes) == ({"mtbert/pos", "one-size/final"}, [])
    history.header = {"space": {"row": {"values": ["base", "gradients/cagrad"]}}}
    assert len(row_space(options(rows="one-size/*"), BASE, history)[0].rows) == 15


def test_rows_that_a_space_cannot_express_are_left_out_and_counted(plan_of: MakePlan) -> None:
    plan = plan_of(space="full", warm_start="published", rows="one-size/*,college/*", trials=99)
    assert plan.rows
    assert all(plan.space.why_not(config) is None for config in plan.rows.values())
    first, *reasons = [note for note in plan.notes if note.startswith("--warm-start published: ")]
    n_kept, n_left_out = map(int, re.findall(r"\d+", first))
    assert n_kept == len(plan.rows)
    assert sum(int(re.findall(r"\d+", reason)[0]) for reason in reasons) <= n_left_out
    assert any("nli is linear, the space has none" in reason for reason in reasons)


def test_rows_that_are_named_in_full_and_do_not_fit_are_refused(plan_of: MakePlan) -> None:
    with pytest.raises(InputError, match=r"cannot express 1 of \d+ rows"):
        plan_of(warm_start="published", rows="one-size/*,college/nli-linear", trials=99)


def test_rows_begin_a_search_of_one_s_own_space_if_they_fit(plan_of: MakePlan) -> None:
    rows = "one-size/*"
    all_of_them = plan_of(warm_start="published", rows=rows, trials=99)
    plan = plan_of(warm_start="published", rows=rows, trials=99, choices=("*.pooling=mean,cls",))
    assert plan.rows.keys() <= all_of_them.rows.keys()
    for params, _ in plan.points:
        assert plan.space.params_of(plan.space.config_of(params)) == params
