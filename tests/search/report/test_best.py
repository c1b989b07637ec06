from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from search.commands.retrain import main as retrain
from search.log.folder import EVENTS
from search.log.history import History
from search.log.trial import Gain, TrialRecord
from search.planning.plan import Plan
from search.report.best import BEST_VERSION, Best, best_path, read_best
from search.report.write import write_results
from tests.course import SCORE_KEYS
from trainable.errors import InputError

MakeHistory = Callable[..., History]


def test_best_json_is_read_back_as_it_was_written(
    heads: Plan, six: list[TrialRecord], best_json: Path
) -> None:
    best = read_best(best_json)
    assert (best.search, best.trial, best.units) == ("search", 2, 9)
    assert best.run_config == six[2].config
    assert best.select == dict.fromkeys(SCORE_KEYS, 0.6)
    assert best.confirm == pytest.approx(dict.fromkeys(SCORE_KEYS, 0.59))
    assert best.data_fingerprint == heads.data_fingerprint
    assert {"ray", "torch", "optuna", "python"} <= set(best.versions)
    assert json.loads(best_json.read_text()) == best.model_dump(mode="json")


def test_confirm_scores_are_null_before_the_full_run(
    heads: Plan, six: list[TrialRecord], history_of: MakeHistory
) -> None:
    write_results(heads, history_of(heads, [six[1], six[4]]))
    best = read_best(heads.folder.local / "best.json")
    assert (best.trial, best.units, best.confirm) == (4, 1, None)


def test_what_was_gained_over_the_default_is_in_it(
    heads: Plan, six: list[TrialRecord], history_of: MakeHistory
) -> None:
    six[0].origin = "default"
    six[2].gain = Gain(0, 0.1, 0.02, 0.09, 0.03, True)
    write_results(heads, history_of(heads, six))
    best = read_best(heads.folder.local / "best.json")
    assert (best.trial, best.gain) == (2, six[2].gain)
    six[2].gain = Gain(0, 0.1, 0.2, 0.09, 0.03, True)
    write_results(heads, history_of(heads, six))
    best = read_best(heads.folder.local / "best.json")
    assert (best.trial, best.gain) == (0, None), "within its error the default leads"


def test_a_file_of_the_first_version_is_read_and_has_no_gain(best_json: Path) -> None:
    now = read_best(best_json)
    values = json.loads(best_json.read_text())
    del values["gain"]
    best_json.write_text(json.dumps({**values, "schema_version": 1}))
    assert read_best(best_json) == now.model_copy(update={"schema_version": 1, "gain": None})


def changed(best_json: Path, **changes: Any) -> Path:
    """Set or, with None, remove fields; `__` goes down into the RunConfig."""
    values = json.loads(best_json.read_text())
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = values
        for part in parents:
            place = place[int(part)] if part.isdigit() else place[part]
        if value is None:
            del place[last]
        else:
            place[last] = value
    best_json.write_text(json.dumps(values))
    return best_json


LR = "run_config__multitask__optimization__lr"
REFUSED: dict[str, tuple[dict[str, Any], list[str]]] = {
    "unknown field": ({"favourite": 1}, ["'favourite'"]),
    "missing field": ({"data_fingerprint": None}, ["'data_fingerprint'", "required"]),
    "wrong type": ({"units": "many"}, ["'units'"]),
    "no run_config": (
        {"run_config": None},
        ["is no best.json: it has no run_config", "`python -m trainable FILE` trains"],
    ),
    "unknown field of the RunConfig": (
        {"run_config__encodr": {}},
        ["'encodr'", "did you mean 'encoder'"],
    ),
    "missing field of the RunConfig": ({LR: None}, ["'multitask.optimization.lr' is missing"]),
    "out of range": ({LR: -1.0}, ["lr", "greater than 0", "-1.0"]),
    "unknown kind": (
        {"run_config__tasks__sst__pooling": {"kind": "atention"}},
        ["sst.pooling", "atention"],
    ),
    "newer format": (
        {"schema_version": BEST_VERSION + 1, "something_new": 1},
        [f"schema_version is {BEST_VERSION + 1}", "newer version of the project"],
    ),
    "newer RunConfig": (
        {"run_config__schema_version": 99},
        ["schema_version is 99", "newer version of the project"],
    ),
    "older RunConfig": (
        {"run_config__schema_version": 1},
        ["schema_version is 1", "older version of the project"],
    ),
    "older than the first format": ({"schema_version": 0}, ["schema_version"]),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_best_json_that_is_not_right_is_refused_by_field(best_json: Path, case: str) -> None:
    changes, fragments = REFUSED[case]
    with pytest.raises(InputError) as caught:
        read_best(changed(best_json, **changes))
    message = str(caught.value)
    assert message.startswith(str(best_json))
    for fragment in fragments:
        assert fragment in message


@pytest.mark.parametrize(
    ("text", "fragment"),
    [("", "not valid JSON"), ("[1]", "a JSON object, not list"), ("null", "not NoneType")],
)
def test_a_file_that_is_no_best_json_is_refused(best_json: Path, text: str, fragment: str) -> None:
    best_json.write_text(text)
    with pytest.raises(InputError, match=fragment):
        read_best(best_json)


def test_the_name_of_a_search_is_answered_with_the_path_of_its_best_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "search").mkdir(parents=True)
    (tmp_path / "runs" / "search" / EVENTS).touch()
    with pytest.raises(InputError, match=r"did you mean runs/search/best\.json\?$"):
        read_best(best_path("search"))
    with pytest.raises(InputError, match=r"give the best\.json of a search$"):
        read_best(best_path("another"))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.99])
def test_a_torn_best_json_is_refused(best_json: Path, share: float) -> None:
    text = best_json.read_text().rstrip()
    best_json.write_text(text[: int(share * len(text))])
    with pytest.raises(InputError, match="not valid JSON"):
        read_best(best_json)


def test_bytes_that_are_no_text_are_refused(best_json: Path) -> None:
    best_json.write_bytes(b"\xff\xfe\x00{")
    with pytest.raises(InputError, match="is not UTF-8 text"):
        read_best(best_json)


@pytest.mark.parametrize("case", REFUSED)
def test_retraining_refuses_it_too_and_leaves_nothing(
    best_json: Path, case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    changed(best_json, **REFUSED[case][0])
    before = sorted(best_json.parent.iterdir())
    assert retrain([str(best_json)]) == 2
    assert sorted(best_json.parent.iterdir()) == before
    assert capsys.readouterr().err.startswith(f"error: {best_json}")


def test_retraining_names_a_missing_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert retrain([str(tmp_path / "best.json")]) == 2
    assert "no such file" in capsys.readouterr().err


def test_retraining_refuses_data_or_encoder_that_went_away_and_leaves_nothing(
    best_json: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed(best_json, run_config__encoder__source="/nowhere")
    assert retrain([str(best_json)]) == 2
    assert "unknown encoder '/nowhere'" in capsys.readouterr().err
    assert not (best_json.parent / "retrain").exists()


def test_retraining_refuses_a_number_of_seeds_below_one(
    best_json: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert retrain([str(best_json), "--seeds", "0"]) == 2
    assert "--seeds 0" in capsys.readouterr().err


def test_retraining_refuses_a_folder_that_cannot_be_made(
    best_json: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = best_json / "below a file"
    assert retrain([str(best_json), "--out", str(out)]) == 2
    assert str(out) in capsys.readouterr().err


def test_retraining_refuses_to_write_over_an_earlier_one(
    best_json: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = best_json.parent / "retrain"
    folder.mkdir()
    (folder / "retrain.json").write_text("{}")
    assert retrain([str(best_json)]) == 2
    assert "choose another --out" in capsys.readouterr().err


def test_the_format_is_closed() -> None:
    """A new field must raise BEST_VERSION: older programs refuse what they do not know."""
    assert BEST_VERSION == 3
    assert set(Best.model_fields) == {
        "schema_version",
        "search",
        "trial",
        "units",
        "run_config",
        "select",
        "confirm",
        "data_fingerprint",
        "versions",
        "gain",
        "verdict",
    }
