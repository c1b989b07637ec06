from __future__ import annotations

import math
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from search.planning.check_options import LONGEST_NAME, TRACKERS, check_options
from search.planning.options import SearchOptions
from trainable.errors import InputError

ROWS = {"space": "published"}


def test_the_defaults_are_allowed() -> None:
    check_options(SearchOptions())


# Options, the one that the others leave without effect, and words of what to do.
WITHOUT_EFFECT: list[tuple[dict[str, Any], str, str]] = [
    ({"scheduler": "none", "brackets": 2}, "--brackets 2", "--scheduler promotion-asha"),
    ({"scheduler": "asha", "brackets": 2}, "--brackets 2", "--scheduler promotion-asha"),
    ({"scheduler": "none", "eta": 2}, "--eta 2", "--scheduler promotion-asha"),
    ({"units": 1, "eta": 2}, "--eta 2", "--units 2"),
    ({"priors": "off", "searcher": "random"}, "--priors off", "--searcher rung-gp"),
    ({"priors": "off", "space": "ablation"}, "--priors off", "another space"),
    ({"beam": 3}, "--beam 3", "--searcher stepwise"),
    ({"searcher": "random", "beam": 1}, "--beam 1", "--searcher stepwise"),
    ({**ROWS, "searcher": "random"}, "--searcher random", "--space published"),
    ({"space": "ablation", "searcher": "tpe"}, "--searcher tpe", "--space ablation"),
    ({**ROWS, "min_gain": 0.0}, "--min-gain 0", "all of its rows"),
    ({**ROWS, "finalists": 2}, "--finalists 2", "--repeats 3"),
    ({**ROWS, "trials": 5}, "--trials 5", "--rows"),
    ({**ROWS, "warm_start": "published"}, "--warm-start", "rows as they are"),
    ({"warm_start": "monday", "searcher": "random"}, "--warm-start monday", "--searcher rung-gp"),
    ({"warm_start": "monday", "searcher": "tpe"}, "--warm-start monday", "--searcher rung-gp"),
    ({"warm_start": "monday", "searcher": "stepwise"}, "--warm-start", "its own trials only"),
    ({"warm_start": "monday", "rows": "x/*"}, "--rows 'x/*'", "--warm-start published"),
    ({"rows": "x/*"}, "--rows 'x/*'", "--warm-start published"),
    ({"repeats": 2}, "--repeats 2", "--space published or ablation"),
    ({"warm_start": "published", "repeats": 2}, "--repeats 2", "no rows to repeat"),
    ({"data_dir": "course"}, "--data-dir 'course'", "add --data cs224n"),
    ({"data": "hub", "data_dir": "course"}, "--data-dir 'course'", "add --data cs224n"),
    ({"text_data": "own"}, "--text-data 'own'", "--space stages"),
    ({"space": "smoke", "nli_data": "hub"}, "--nli-data 'hub'", "--space stages"),
]


@pytest.mark.parametrize(("given", "refused", "said"), WITHOUT_EFFECT)
def test_an_option_without_effect_is_refused(
    given: dict[str, Any], refused: str, said: str
) -> None:
    with pytest.raises(InputError) as caught:
        check_options(SearchOptions(**given))
    message = str(caught.value)
    assert message.startswith(refused)
    assert said in message
    assert "\n" not in message


@pytest.mark.parametrize(
    "given",
    [
        {"brackets": 2},
        {"brackets": 3, "eta": 2},
        {"scheduler": "asha", "eta": 2},
        {"units": 2, "eta": 2},
        {"searcher": "stepwise", "beam": 3},
        {"priors": "off"},
        {"min_gain": 0.0},
        {"finalists": 2},
        {"warm_start": "monday"},
        {"warm_start": "published", "searcher": "random", "rows": "x/*"},
        {"data": "cs224n", "data_dir": "course"},
        {"space": "stages", "text_data": "own", "nli_data": "sample"},
        {**ROWS, "repeats": 2, "rows": "x/*", "scheduler": "none"},
        {**ROWS, "brackets": 2, "eta": 2},
    ],
)
def test_the_same_options_are_allowed_where_they_have_an_effect(given: dict[str, Any]) -> None:
    check_options(SearchOptions(**given))


def test_a_search_that_an_older_version_began_may_repeat_what_had_no_effect() -> None:
    check_options(SearchOptions(name="n", resume=True, scheduler="none", brackets=2, beam=3))


@pytest.mark.parametrize(
    ("option", "allowed", "refused"),
    [
        ("trials", (1, 10**9), (0, -1, 10**9 + 1)),
        ("units", (1, 10**9), (0, 10**9 + 1)),
        ("max_concurrent", (1, 10**9), (0, 10**9 + 1)),
        ("brackets", (1, 2, 3), (0, 4)),  # units 1, 3 and 9
        ("eta", (2, 9, 10, 10**9), (-1, 0, 1, 10**9 + 1, 10**400)),  # more than units, too
        ("seed", (0, 2**31 - 1), (-1, 2**31)),
        ("max_device_hours", (1e-9, 1e9), (0.0, -1.0, math.nan, math.inf)),
        ("cpus_per_trial", (0.1, 64.0), (0.0, -1.0, math.nan, math.inf)),
        ("gpus_per_trial", (0.0, 0.25, 1.0), (-0.1, 1.1, math.nan, math.inf)),
        ("finalists", (0, 1, 50), (-1, 51)),
        ("min_gain", (0.0, 1.0), (-1e-9, math.nan, math.inf)),
        ("name", ("a", "a-b_c.d", "n" * LONGEST_NAME), ("", "..", "-a", "n" * (LONGEST_NAME + 1))),
        ("name", ("0",), ("a b", "a/b", "a\n", "ä", "a/../../b", "/a", "a*")),
        ("time_limit", ("1s", "1h30m"), ("", "0s", "1h30")),
    ],
)
def test_the_ends_of_a_range(
    option: str, allowed: tuple[Any, ...], refused: tuple[Any, ...]
) -> None:
    for value in allowed:
        check_options(SearchOptions(**{option: value}))
    for value in refused:
        with pytest.raises(InputError, match=f"--{option.replace('_', '-')}"):
            check_options(SearchOptions(**{option: value}))


def test_priors_are_a_file_or_off(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^--priors of: give FILE.yaml or off; did you mean"):
        check_options(SearchOptions(priors="of"))
    path = tmp_path / "priors.yaml"
    with pytest.raises(InputError, match=r"priors\.yaml.*no such file"):
        check_options(SearchOptions(priors=str(path)))
    path.write_text('"*.lr": {spread: 2}\n')
    with pytest.raises(InputError, match=r"priors\.yaml, \*\.lr: spread is 2"):
        check_options(SearchOptions(priors=str(path)))
    path.write_text('"*.lr": {spread: 0.1}\n')
    check_options(SearchOptions(priors=str(path)))


@pytest.mark.parametrize(("units", "eta", "most"), [(1, 3, 1), (2, 3, 2), (9, 3, 3), (10, 3, 4)])
def test_there_are_as_many_brackets_as_rungs(units: int, eta: int, most: int) -> None:
    check_options(SearchOptions(units=units, eta=eta, brackets=most))
    with pytest.raises(InputError, match=f"--brackets {most + 1}: .* at most {most}$"):
        check_options(SearchOptions(units=units, eta=eta, brackets=most + 1))


@pytest.mark.parametrize(
    ("seed", "repeats", "fits"), [(0, 2, 1), (2**31 - 3, 3, 1), (2**31 - 3, 4, 0)]
)
def test_seeds_of_repeats_fit_31_bits(seed: int, repeats: int, fits: bool) -> None:
    options = SearchOptions(space="published", seed=seed, repeats=repeats)
    if fits:
        check_options(options)
    else:
        with pytest.raises(InputError, match=rf"--seed {seed}: .* --repeats {repeats}"):
            check_options(options)


def test_repeats_are_at_least_one() -> None:
    with pytest.raises(InputError, match="--repeats 0: give at least 1"):
        check_options(SearchOptions(space="published", repeats=0))


TEXTS = [field.name for field in fields(SearchOptions) if "str" in str(field.type)]


@pytest.mark.parametrize("name", TEXTS)
def test_an_empty_text_is_refused(name: str) -> None:
    """It may come from a variable of the shell that is not set, and must not mean the default."""
    with pytest.raises(InputError, match=f"--{name.replace('_', '-')} '': is empty"):
        check_options(SearchOptions(**{name: ""}))


def test_resuming_needs_a_name() -> None:
    with pytest.raises(InputError, match="--resume: say which search with --name"):
        check_options(SearchOptions(resume=True))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("mlfow",), "--log 'mlfow': give mlflow or wandb; did you mean 'mlflow'?"),
        (("wandb,",), "--log '': give mlflow or wandb"),
        (("wandb", "tensorboard"), "--log 'tensorboard': give mlflow or wandb"),
    ],
)
def test_trackers_that_are_not_known_are_refused(
    given: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.planning.check_options.find_spec", lambda name: "installed")
    with pytest.raises(InputError) as caught:
        check_options(SearchOptions(log=given))
    assert str(caught.value) == said


@pytest.mark.parametrize("name", TRACKERS)
def test_a_tracker_that_is_not_installed_is_refused_with_the_command_that_does_so(
    name: str, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.planning.check_options.find_spec", lambda name: None)
    with pytest.raises(InputError) as caught:
        check_options(SearchOptions(log=(name,)))
    extra = f"multitask-bert-search[{name}]"
    assert str(caught.value) == (
        f"--log {name}: the package is not installed; pip install '{extra}'"
    )
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["name"] == "multitask-bert-search"
    assert any(line.startswith(name) for line in project["optional-dependencies"][name])


def test_trackers_may_be_repeated_or_have_commas() -> None:
    assert SearchOptions(log=("wandb,mlflow", "wandb")).trackers == ["wandb", "mlflow"]


def test_a_price_is_refused_before_a_search_begins() -> None:
    with pytest.raises(InputError, match="--price 'cheap'"):
        check_options(SearchOptions(price="cheap"))
