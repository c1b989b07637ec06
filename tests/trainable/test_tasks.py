from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from trainable.tasks import COURSE, Task, nli_task, table, task_subsets

KINDS = {
    "single_classes": Task(name="a", classes=("x", "y")),
    "single_number": Task(name="b", high=5),
    "pair_decision": Task(name="c", is_pair=True, classes=("x", "y")),
    "pair_classes": Task(name="d", is_pair=True, classes=("x", "y", "z")),
    "pair_number": Task(name="e", is_pair=True, low=1, high=5),
}


def test_the_table_of_the_papers_is_what_their_files_have() -> None:
    assert [
        (t.name, t.kind, t.n_classes, t.low, t.high, t.metric_key) for t in COURSE.values()
    ] == [
        ("sst", "single_classes", 5, 0, 4, "sst_acc"),
        ("para", "pair_decision", 2, 0, 1, "para_acc"),
        ("sts", "pair_number", None, 0, 5, "sts_corr"),
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_sentences_and_labels_decide_the_kind(kind: str) -> None:
    task = KINDS[kind]
    assert task.kind == kind
    assert task.title == task.name
    assert task.metric == ("accuracy" if task.classes else "pearson")
    assert Task.model_validate_json(task.model_dump_json(), strict=True) == task


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"name": "Upper"}, "Upper"),
        ({"name": "nli"}, "nli"),
        ({"name": "multitask"}, "multitask"),
        ({"name": "x" * 33}, "32"),
        ({"name": "a", "classes": ("x",)}, "at least 2"),
        ({"name": "a", "classes": ("x", "x")}, "named twice"),
        ({"name": "a", "low": 2, "high": 2}, "no range"),
        ({"name": "a", "metric": "accuracy"}, "no metric for numbers"),
        ({"name": "a", "classes": ("x", "y"), "metric": "pearson"}, "no metric for classes"),
        ({"name": "a", "weight": -1}, "greater than or equal to 0"),
        ({"name": "a", "colour": 1}, "colour"),
    ],
)
def test_a_task_that_cannot_be_is_refused(fields: dict[str, Any], word: str) -> None:
    with pytest.raises(ValidationError, match=word):
        Task(**fields)


def test_a_table_has_one_to_ten_tasks_with_names_of_their_own() -> None:
    tasks = [Task(name=f"t{n}") for n in range(11)]
    assert list(table(*tasks[:10])) == [task.name for task in tasks[:10]]
    for wrong, word in (([], "0 tasks"), (tasks, "11 tasks"), ([tasks[0]] * 2, "'t0'")):
        with pytest.raises(ValueError, match=word):
            table(*wrong)


def test_two_pairs_of_tasks_whose_cosines_have_one_name_are_refused() -> None:
    tasks = [Task(name=name) for name in ("en", "en_de", "de_fr", "fr")]
    assert len(table(*tasks[:3])) == 3
    what = "cosine_en_de_fr.*of the tasks en and de_fr, and also of en_de and fr; give one of them"
    with pytest.raises(ValueError, match=what):
        table(*tasks)


def test_inference_helps_a_similarity_before_other_pairs() -> None:
    assert nli_task(COURSE) == "sts"
    assert nli_task(table(KINDS["pair_number"], KINDS["pair_classes"])) == "e"
    assert nli_task(table(KINDS["pair_classes"], KINDS["single_number"])) == "d"
    assert nli_task(table(KINDS["single_number"])) is None


@given(st.integers(1, 10))
def test_sets_of_tasks_are_offered_once_each_and_the_largest_first(n: int) -> None:
    names = tuple(f"t{i}" for i in range(n))
    found = [tuple(own.split("+")) for own in task_subsets(names)]
    assert found[0] == names
    assert len(set(found)) == len(found) <= 21
    assert {(name,) for name in names} <= set(found)
    if n <= 4:
        assert set(found) == {c for k in range(1, n + 1) for c in combinations(names, k)}
    assert [len(own) for own in found] == sorted((len(own) for own in found), reverse=True)
