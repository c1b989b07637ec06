from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from search.planning.options import SearchOptions, parse

GIVEN: dict[str, tuple[list[str], Any]] = {
    "data": (["--data", "cs224n"], "cs224n"),
    "data_dir": (["--data-dir", "course"], "course"),
    "encoder": (["--encoder", "google-bert/bert-base-uncased"], "google-bert/bert-base-uncased"),
    "space": (["--space", "heads"], "heads"),
    "trials": (["--trials", "3"], 3),
    "rows": (["--rows", "one-size/*,leave/*"], "one-size/*,leave/*"),
    "repeats": (["--repeats", "3"], 3),
    "warm_start": (["--warm-start", "published"], "published"),
    "text_data": (["--text-data", "own"], "own"),
    "nli_data": (["--nli-data", "sick:DIR"], "sick:DIR"),
    "max_concurrent": (["--max-concurrent", "2"], 2),
    "budget": (["--budget", "3ep"], "3ep"),
    "units": (["--units", "4"], 4),
    "eta": (["--eta", "2"], 2),
    "brackets": (["--brackets", "3"], 3),
    "time_limit": (["--time-limit", "30m"], "30m"),
    "max_device_hours": (["--max-device-hours", "1.5"], 1.5),
    "min_gain": (["--min-gain", "0.002"], 0.002),
    "name": (["--name", "first"], "first"),
    "storage": (["--storage", "s3://bucket/prefix"], "s3://bucket/prefix"),
    "searcher": (["--searcher", "stepwise"], "stepwise"),
    "beam": (["--beam", "4"], 4),
    "scheduler": (["--scheduler", "none"], "none"),
    "checkpoint": (["--checkpoint", "weights"], "weights"),
    "cpus_per_trial": (["--cpus-per-trial", "0.5"], 0.5),
    "gpus_per_trial": (["--gpus-per-trial", "0.25"], 0.25),
    "precision": (["--precision", "bf16"], "bf16"),
    "seed": (["--seed", "7"], 7),
    "address": (["--address", "auto"], "auto"),
    "resume": (["--resume"], True),
    "dry_run": (["--dry-run"], True),
    "quiet": (["--quiet"], True),
}


def test_every_option_is_tried_here() -> None:
    assert set(GIVEN) == {field.name for field in fields(SearchOptions)}


@pytest.mark.parametrize("name", GIVEN)
def test_option_is_parsed_and_leaves_the_others_alone(name: str) -> None:
    arguments, value = GIVEN[name]
    assert value != getattr(SearchOptions(), name)
    found = parse(arguments)
    for field in fields(SearchOptions):
        expected = value if field.name == name else field.default
        assert getattr(found, field.name) == expected


def test_all_options_go_together() -> None:
    found = parse([word for arguments, _ in GIVEN.values() for word in arguments])
    assert found == SearchOptions(**{name: value for name, (_, value) in GIVEN.items()})


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["--trails", "3"], "--trials"),
        (["--max-concurent", "3"], "--max-concurrent"),
        (["--data", "cs24n"], "cs224n"),
        (["--searcher", "runggp"], "rung-gp"),
        (["--scheduler", "promotion"], "promotion-asha"),
        (["--trials", "many"], "many"),
        (["--eta", "2.5"], "2.5"),
        (["--seed"], "--seed"),
        (["first"], "first"),
    ],
)
def test_a_wrong_option_exits_with_2_and_a_hint(
    arguments: list[str], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(arguments)
    assert caught.value.code == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert hint in output.err
