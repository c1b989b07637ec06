from __future__ import annotations

from search.log.trial import TrialRecord
from search.report.differences import NOT_THERE, differences
from search.report.importance import Importance
from spaces.params import Param
from trainable.component import Choice, FloatRange

HEAD = Param("head", Choice(("mlp", "linear")), ())
WIDTH = Param("head.mlp.width", FloatRange(0, 9), (("head", "mlp"),))
PARAMS = (HEAD, WIDTH, Param("a", FloatRange(0, 1), ()), Param("z", FloatRange(0, 1), ()))


def trial(params: dict[str, float | str], **config: object) -> TrialRecord:
    return TrialRecord(0, params, config, 0.0, 0.0)  # type: ignore[arg-type]


def test_only_what_differs_is_shown_and_what_the_other_lacks_has_a_dash() -> None:
    default = trial({"head": "linear", "a": 0.1, "z": 0.5})
    own = trial({"head": "mlp", "head.mlp.width": 0.123456, "a": 0.1, "z": 0.25})
    found = [(one.name, one.default, one.own) for one in differences(default, own, PARAMS)]
    assert found == [
        ("head", "linear", "mlp"),
        ("z", "0.5", "0.25"),
        ("head.mlp.width", NOT_THERE, "0.1235"),
    ]
    assert differences(default, default, PARAMS) == []


def test_what_was_measured_to_matter_comes_first_with_what_depends_on_it() -> None:
    default = trial({"head": "linear", "a": 0.1, "z": 0.5})
    own = trial({"head": "mlp", "head.mlp.width": 1.0, "a": 0.2, "z": 0.25})
    ranking = [Importance("z", 0.5, 0.1), Importance("head", 0.4, 0.1), Importance("a", 0.1, 0.9)]
    names = [one.name for one in differences(default, own, PARAMS, ranking)]
    assert names == ["z", "head", "head.mlp.width", "a"]


def test_rows_differ_in_their_configurations_but_not_by_the_seed() -> None:
    base = trial({"row": "base", "repeat": 0}, seed=0, model={"pooling": "mean", "lr": 0.1})
    own = trial({"row": "x", "repeat": 1}, seed=1, model={"pooling": "max", "lr": 0.1})
    found = [(one.name, one.default, one.own) for one in differences(base, own, ())]
    assert found == [("model.pooling", "mean", "max")]
