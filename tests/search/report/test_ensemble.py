from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from search.report.ensemble import Labels, Member, average, compare, table
from tests.course import SCORE_KEYS, TASK_NAMES
from trainable.metrics import scores
from trainable.seeds import derive
from trainable.tasks import COURSE, TaskName

SIZES = {"select": 120, "confirm": 150}

THRESHOLDS = dict.fromkeys(COURSE, 0.5)


@pytest.fixture(scope="module")
def labels() -> Labels:
    generator = torch.Generator().manual_seed(0)

    def draw(n: int) -> dict[TaskName, Tensor]:
        return {
            "sst": torch.randint(5, (n,), generator=generator).float(),
            "para": torch.randint(2, (n,), generator=generator).float(),
            "sts": 5 * torch.rand(n, generator=generator),
        }

    return {split: draw(n) for split, n in SIZES.items()}


def member(labels: Labels, seed: int, noise: float, threshold: float = 0.5) -> Member:
    """Return a run that is right up to noise."""
    generator = torch.Generator().manual_seed(seed)

    def near(target: Tensor) -> Tensor:
        return target + noise * torch.randn(target.shape, generator=generator)

    found = {}
    for split, own in labels.items():
        hot = torch.nn.functional.one_hot(own["sst"].long(), 5).float()
        found[split] = {
            "sst": near(2 * hot).softmax(1),
            "para": near(2 * own["para"][:, None] - 1).sigmoid(),
            "sts": near(own["sts"][:, None] / 5).clamp(0, 1),
        }
    return Member(f"seed {seed}", found, THRESHOLDS | {"para": threshold}, COURSE)


@pytest.fixture(scope="module")
def members(labels: Labels) -> list[Member]:
    return [member(labels, 1, 1.5), member(labels, 2, 1.2), member(labels, 3, 2.0)]


@pytest.fixture(scope="module")
def comparison(members: list[Member], labels: Labels) -> dict[str, Any]:
    return compare(members, labels)


def test_the_average_is_that_of_the_probabilities(members: list[Member]) -> None:
    found = average(members).found
    for split in SIZES:
        for task in TASK_NAMES:
            parts = [m.found[split][task].double().numpy() for m in members]
            assert found[split][task].numpy() == pytest.approx(np.mean(parts, axis=0), abs=1e-6)


def test_an_average_of_equal_runs_is_that_run(members: list[Member]) -> None:
    expected, found = members[0].predicted(), average([members[0]] * 4).predicted()
    for split in SIZES:
        for task in TASK_NAMES:
            assert found[split][task] == pytest.approx(expected[split][task])


def test_members_vote_with_their_probabilities_and_thresholds() -> None:
    def one(score: float, threshold: float) -> Member:
        return Member(
            "one", {"select": {"para": torch.tensor([[score]])}}, {"para": threshold}, COURSE
        )

    # Two weak votes against one strong one, which outweighs them.
    sure = [one(0.4, 0.5), one(0.4, 0.5), one(0.9, 0.5)]
    assert average(sure).predicted()["select"]["para"].tolist() == [1]
    # Each is above its own threshold, so the average is above the average threshold.
    apart = [one(0.35, 0.3), one(0.85, 0.8)]
    assert average(apart).thresholds == {"para": pytest.approx(0.55)}
    assert average(apart).predicted()["select"]["para"].tolist() == [1]


def test_scores_are_those_of_the_runs(
    members: list[Member], labels: Labels, comparison: dict[str, Any]
) -> None:
    assert set(comparison["splits"]) == set(SIZES)
    for split, own in comparison["splits"].items():
        singles = [scores(m.predicted()[split], labels[split], COURSE) for m in members]
        assert own["members"] == dict(zip(("seed 1", "seed 2", "seed 3"), singles, strict=True))
        assert own["ensemble"] == scores(average(members).predicted()[split], labels[split], COURSE)
        for key in SCORE_KEYS:
            mean = np.mean([single[key] for single in singles])
            assert own["mean"][key] == pytest.approx(mean)
            found = own["ensemble_minus_mean"][key]["difference"]
            assert found == pytest.approx(own["ensemble"][key] - mean)
            found = own["ensemble_minus_best"][key]["difference"]
            assert found == pytest.approx(own["ensemble"][key] - singles[1][key])


def test_the_best_run_is_chosen_on_select_and_not_on_confirm(labels: Labels) -> None:
    weak, strong = member(labels, 1, 3.0), member(labels, 2, 0.5)

    def mixed(name: str, select: Member, confirm: Member) -> Member:
        found = {"select": select.found["select"], "confirm": confirm.found["confirm"]}
        return Member(name, found, THRESHOLDS, COURSE)

    first, second = mixed("first", strong, weak), mixed("second", weak, strong)
    found = compare([first, second], labels, resamples=2)
    assert found["best_member"] == "first"
    on_confirm = found["splits"]["confirm"]
    assert on_confirm["members"]["second"]["score"] > on_confirm["members"]["first"]["score"]
    assert on_confirm["ensemble_minus_best"]["score"]["difference"] == pytest.approx(
        on_confirm["ensemble"]["score"] - on_confirm["members"]["first"]["score"]
    )


def test_standard_errors_are_those_of_a_paired_bootstrap(
    members: list[Member], labels: Labels, comparison: dict[str, Any]
) -> None:
    """scipy's bootstrap, of one task at a time."""
    everyone = [m.predicted()["confirm"] for m in [*members, average(members)]]
    own = labels["confirm"]

    def error(task: TaskName, minus: list[int]) -> float:
        rows = np.stack([predicted[task].numpy() for predicted in everyone]).astype(float)
        target = own[task].numpy().astype(float)

        def difference(chosen: Any) -> float:
            if task == "sts":
                found = [np.corrcoef(row[chosen], target[chosen])[0, 1] for row in rows]
            else:
                found = [np.mean(row[chosen] == target[chosen]) for row in rows]
            return float(found[-1] - np.mean([found[i] for i in minus]))

        result = stats.bootstrap(
            (np.arange(len(target)),),
            difference,
            n_resamples=300,
            vectorized=False,
            method="percentile",
            rng=np.random.default_rng(1),
        )
        return float(result.standard_error)

    found = comparison["splits"]["confirm"]
    for name, minus in (("mean", [0, 1, 2]), ("best", [1])):
        errors = {task: error(task, minus) for task in TASK_NAMES}
        for task, key in zip(TASK_NAMES, ("sst_acc", "para_acc", "sts_corr"), strict=True):
            own_error = found[f"ensemble_minus_{name}"][key]["standard_error"]
            assert own_error == pytest.approx(errors[task], rel=0.2), (name, task)
        # The tasks' examples are drawn independently.
        overall = np.sqrt(sum(e**2 for e in errors.values())) / 3
        own_error = found[f"ensemble_minus_{name}"]["score"]["standard_error"]
        assert own_error == pytest.approx(overall, rel=0.2)


def test_standard_errors_are_the_deviation_of_the_draws(
    members: list[Member], labels: Labels
) -> None:
    """The same draws of examples, scored by numpy: a sample's deviation, with n - 1."""
    resamples, found = 7, compare(members, labels, resamples=7)["splits"]["select"]
    everyone, own = [m.predicted()["select"] for m in [*members, average(members)]], {}
    for task, key in zip(TASK_NAMES, ("sst_acc", "para_acc", "sts_corr"), strict=True):
        generator = torch.Generator().manual_seed(derive(0, "bootstrap", task))
        target = labels["select"][task].double().numpy()
        drawn = torch.randint(len(target), (resamples, len(target)), generator=generator).numpy()
        rows = [predicted[task].double().numpy() for predicted in everyone]
        own[key] = np.array(
            [
                [
                    np.corrcoef(row[i], target[i])[0, 1]
                    if task == "sts"
                    else np.mean(row[i] == target[i])
                    for row in rows
                ]
                for i in drawn
            ]
        )  # (resamples, 4)
    own["score"] = sum(own.values()) / 3
    for name, minus in (("mean", [0, 1, 2]), ("best", [1])):
        for key, values in own.items():
            differences = values[:, 3] - values[:, minus].mean(1)
            error = found[f"ensemble_minus_{name}"][key]["standard_error"]
            assert error == pytest.approx(differences.std(ddof=1), rel=1e-9), (name, key)


def test_examples_of_each_task_are_drawn_by_themselves() -> None:
    n = 200
    wrong = torch.arange(n) % 2 == 0  # the same examples of both tasks
    similar = torch.linspace(0, 1, n)[:, None]

    def one(name: str, errs: bool) -> Member:
        yes = torch.where(wrong & errs, 0.4, 0.9)[:, None]
        sst = torch.cat([1 - yes, yes, torch.zeros(n, 3)], dim=1)
        own: dict[TaskName, Tensor] = {"sst": sst, "para": yes, "sts": similar}
        return Member(name, {"select": own, "confirm": own}, THRESHOLDS, COURSE)

    own: dict[TaskName, Tensor] = {"sst": torch.ones(n), "para": torch.ones(n)}
    own["sts"] = 5 * similar[:, 0]
    found = compare([one("right", False), one("wrong", True)], {"select": own, "confirm": own})
    errors = {
        key: value["standard_error"]
        for key, value in found["splits"]["confirm"]["ensemble_minus_mean"].items()
    }
    # The average is right everywhere, the mean misses a quarter.
    expected = np.sqrt(0.5 * 0.5 / n) / 2
    assert errors["sst_acc"] == pytest.approx(expected, rel=0.1)
    assert errors["para_acc"] == pytest.approx(expected, rel=0.1)
    assert errors["score"] == pytest.approx(np.sqrt(2) * expected / 3, rel=0.1)


def test_the_bootstrap_is_the_same_every_time(
    members: list[Member], labels: Labels, comparison: dict[str, Any]
) -> None:
    assert compare(members, labels) == comparison


def test_a_difference_between_equal_runs_has_no_error(
    members: list[Member], labels: Labels
) -> None:
    twins = [members[0], Member("twin", members[0].found, THRESHOLDS, COURSE)]
    found = compare(twins, labels, resamples=20)["splits"]["confirm"]
    for key in SCORE_KEYS:
        for name in ("mean", "best"):
            difference = found[f"ensemble_minus_{name}"][key]
            assert difference["difference"] == pytest.approx(0, abs=1e-7)
            assert difference["standard_error"] == pytest.approx(0, abs=1e-7)


def test_constant_predictions_have_a_correlation_of_zero(labels: Labels) -> None:
    def flat(name: str) -> Member:
        own = member(labels, 1, 1.0)
        tied = {s: {**f, "sts": torch.full_like(f["sts"], 0.4)} for s, f in own.found.items()}
        return Member(name, tied, THRESHOLDS, COURSE)

    found = compare([flat("one"), flat("two")], labels, resamples=20)["splits"]["confirm"]
    assert found["ensemble"]["sts_corr"] == 0
    assert found["ensemble_minus_mean"]["sts_corr"] == {"difference": 0, "standard_error": 0}


def test_the_table_has_every_number(comparison: dict[str, Any]) -> None:
    text = table(comparison, SCORE_KEYS)
    for own in comparison["splits"].values():
        rows = [own["mean"], own["members"]["seed 2"], own["ensemble"]]
        for row in rows:
            assert all(f"{row[key]:.4f}" in text for key in SCORE_KEYS)
        for name in ("mean", "best"):
            for key, value in own[f"ensemble_minus_{name}"].items():
                assert f"{value['difference']:+.4f}" in text, key
                assert f"{value['standard_error']:.4f}" in text, key
    assert "best: on select, seed 2" in text


def test_the_table_has_only_the_metrics_that_are_asked_for(comparison: dict[str, Any]) -> None:
    lines = table(comparison, ["score", "sts_corr"]).splitlines()
    assert lines[1].split() == ["select", "score", "sts_corr"]
    assert all(len(re.findall(r"\d\.\d{4}", line)) == 2 for line in lines[2:9])
