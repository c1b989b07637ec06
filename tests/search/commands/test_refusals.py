"""Bad input ends with status 2 and one line that helps, before Ray starts, and leaves nothing."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import ray

from search.commands import run as driver
from search.commands.run import main
from search.log.events import VERSION, begin_log, new_event
from search.log.folder import EVENTS
from search.planning.options import SearchOptions
from search.planning.plan import Plan
from search.planning.resume import header

Refusal = Callable[..., str]
HEADER: dict[str, Any] = {"event": "search", "time": 0.0, "version": VERSION, "n_trials": 12}


@pytest.fixture(autouse=True)
def _no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(address: str | None) -> str:
        pytest.fail("Ray was about to be started")

    monkeypatch.setattr(driver, "connect", connect)


@pytest.fixture
def refusal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Refusal:
    """Return a function that runs a search that must be refused, and returns the error line."""

    def refuse(*arguments: str, lines: int = 1) -> str:
        before = contents(tmp_path)
        storage = [] if "--storage" in arguments else ["--storage", str(tmp_path / "runs")]
        assert main([*arguments, *storage]) == 2
        assert not ray.is_initialized()
        assert contents(tmp_path) == before
        output = capsys.readouterr()
        assert output.out == ""
        assert output.err.startswith("error: ")
        assert output.err.count("\n") == lines
        return output.err

    return refuse


def contents(folder: Path) -> dict[Path, bytes | None]:
    return {p: p.read_bytes() if p.is_file() else None for p in folder.rglob("*")}


def test_a_disk_that_is_full_before_there_is_a_search_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(options: SearchOptions) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(tmp_path / "cache"))

    monkeypatch.setattr(driver, "make_plan", full)
    assert main(["--storage", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: [Errno 28] No space left on device")
    assert str(tmp_path / "cache") in error
    assert "make room, then start the search again" in error


def test_an_unknown_option_ends_with_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--buget", "3ep"])
    assert caught.value.code == 2
    assert "--budget" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "fragments"),
    [
        ("--trials 0", ["--trials 0", "at least 1"]),
        ("--units 0", ["--units 0", "at least 1"]),
        ("--brackets 0", ["--brackets 0", "at least 1"]),
        ("--brackets 4", ["--brackets 4", "--units 9", "--eta 3", "at most 3"]),
        ("--beam 0", ["--beam 0", "at least 1"]),
        ("--max-device-hours 0", ["--max-device-hours 0", "more than 0"]),
        ("--max-device-hours nan", ["--max-device-hours nan", "more than 0"]),
        ("--min-gain -0.1", ["--min-gain -0.1", "at least 0"]),
        ("--min-gain nan", ["--min-gain nan", "at least 0"]),
        ("--warm-start nothing", ["--warm-start 'nothing'", "no search 'nothing'"]),
        ("--warm-start /nowhere/first", ["--warm-start '/nowhere/first'", "in /nowhere"]),
        ("--max-concurrent 0", ["--max-concurrent 0", "at least 1"]),
        ("--eta 1", ["--eta 1", "at least 2"]),
        ("--seed -1", ["--seed -1", "from 0 to"]),
        ("--seed 2147483648", ["2147483648", "from 0 to 2147483647"]),
        ("--cpus-per-trial 0", ["--cpus-per-trial 0", "more than 0"]),
        ("--gpus-per-trial 2", ["--gpus-per-trial 2", "from 0 to 1", "one GPU"]),
        ("--gpus-per-trial -0.5", ["--gpus-per-trial -0.5", "from 0 to 1"]),
        ("--gpus-per-trial nan", ["--gpus-per-trial nan", "from 0 to 1"]),
        ("--cpus-per-trial nan", ["--cpus-per-trial nan", "more than 0"]),
        ("--name ../elsewhere", ["--name '../elsewhere'", "letters"]),
        ("--name a/../../b", ["--name 'a/../../b'", "letters"]),
        ("--name .", ["--name '.'", "letters"]),
        (f"--name {'n' * 201}", ["--name nnn", "201 characters", "at most 200"]),
        ("--warm-start " + "n" * 300, ["--warm-start", "no search"]),
        ("--encoder " + "n" * 300, ["nnn", "no such folder"]),
        (f"--encoder ~nobody-{'n' * 300}/x", ["~nobody", "without ~"]),
        (f"--space stages --text-data {'n' * 300}", ["cannot read", "name too long"]),
        (f"--space stages --text-data sick:{'n' * 300}", ["no folder"]),
        (f"--space stages --nli-data sick:{'n' * 300}", ["no folder"]),
        (f"--data cs224n --data-dir {'n' * 300}", ["cannot read", "name too long"]),
        (f"--storage /tmp/{'n' * 300}", ["--storage", "too long"]),
        ("--warm-start ~nobody/monday", ["no search 'monday'", "~nobody"]),
        ("--time-limit 3", ["--time-limit '3'", "such as 30m"]),
        ("--budget ten", ["--budget 'ten'", "such as 800000"]),
        ("--budget " + "9" * 400, ["--budget '999", "up to 10^15"]),
        ("--time-limit " + "9" * 400 + "h", ["--time-limit '999", "ten years"]),
        ("--budget 500", ["--budget 500", "--units 9", "give at least"]),
        ("--data cs224n", ["--data cs224n", "--data-dir DIR"]),
        ("--data-dir .", ["--data-dir '.'", "--data sample", "add --data cs224n"]),
        ("--data hub --data-dir .", ["--data-dir '.'", "--data hub", "add --data cs224n"]),
        ("--encoder nowhere", ["'nowhere'", "allowed are 'tiny'"]),
        ("--resume", ["--resume", "--name"]),
    ],
)
def test_a_bad_value_is_named_with_what_to_do(
    refusal: Refusal, arguments: str, fragments: list[str]
) -> None:
    message = refusal(*arguments.split())
    for fragment in fragments:
        assert fragment in message


FULL, PUBLISHED = "--space full", "--space published"


@pytest.mark.parametrize(
    ("arguments", "fragments"),
    [
        (f"{PUBLISHED} --warm-start published", ["--warm-start", "drop one of the two"]),
        ("--space ablation --warm-start published", ["--space ablation", "drop one"]),
        ("--rows one-size/*", ["--rows 'one-size/*'", "--space full", "--warm-start published"]),
        ("--space stages --rows x", ["no meaning with --space stages"]),
        ("--repeats 2", ["--repeats 2", "--space full has no rows to repeat"]),
        (f"{FULL} --warm-start published --repeats 2", ["--repeats 2", "no rows to repeat"]),
        (f"{PUBLISHED} --repeats 0", ["--repeats 0", "at least 1"]),
        ("--repeats -1", ["--repeats -1", "at least 1"]),
        (f"{PUBLISHED} --trials 5", ["--trials 5", "once for each of --repeats", "--rows"]),
        ("--space ablation --trials 5", ["--trials 5", "choose rows with --rows"]),
        (f"{PUBLISHED} --rows one-sise/*", ["'one-sise/*'", "there are bertpp/*", "one-size/*"]),
        (f"{PUBLISHED} --rows one-size/bseline", ["did you mean 'one-size/baseline'?"]),
        (f"{PUBLISHED} --rows one-size/final,x", ["no row matches 'x'"]),
        ("--space ablation --rows gradient/*", ["'gradient/*'", "gradients/*"]),
        ("--space ablation --rows gradients/cagard", ["did you mean 'gradients/cagrad'?"]),
        ("--warm-start published --rows x", ["no row matches 'x'"]),
        (
            "--warm-start published --rows one-size/* --trials 5",
            ["--trials 5", "begins with 16 configurations", "at least --trials 16"],
        ),
        (
            "--warm-start published --rows one-size/*",
            ["--trials 12", "begins with 16", "fewer --rows"],
        ),
        (f"{PUBLISHED} --seed 2147483647 --repeats 2", ["--seed 2147483647", "--repeats 2"]),
        ("--text-data own", ["--text-data 'own'", "--space full", "drop it", "stages"]),
        ("--nli-data sample", ["--nli-data 'sample'", "--space full", "drop it", "stages"]),
        ("--space smoke --nli-data hub", ["--nli-data 'hub'", "--space smoke"]),
        ("--space stages --text-data hub", ["--text-data hub", "--space stages", "own"]),
        ("--space ablation --text-data hub", ["--text-data hub", "--space ablation"]),
        ("--space stages --nli-data snli", ["--nli-data 'snli'", "sample, hub or sick:DIR"]),
        ("--space stages --nli-data sick:/nowhere", ["sick:/nowhere", "no folder /nowhere"]),
        ("--space stages --text-data sick:/nowhere", ["sick:/nowhere", "no folder /nowhere"]),
        ("--space stages --text-data /nowhere/a.txt", ["no text file /nowhere/a.txt"]),
        (
            f"{PUBLISHED} --rows college/mlm-* --text-data /nowhere/a.txt",
            ["no text file /nowhere/a.txt"],
        ),
    ],
)
def test_rows_and_corpora_that_mean_nothing_together_are_refused(
    refusal: Refusal, arguments: str, fragments: list[str]
) -> None:
    message = refusal(*arguments.split())
    for fragment in fragments:
        assert fragment in message


def test_rows_that_the_space_cannot_express_are_refused_by_name(refusal: Refusal) -> None:
    rows = "one-size/baseline,mtbert/pos,leave/baseline"
    message = refusal("--warm-start", "published", "--rows", rows, lines=4)
    assert "cannot express 2 of 3 rows" in message
    assert "\n  mtbert/pos: features.pos_tags is True, the space has False\n" in message
    assert "\n  leave/baseline: multitask is left out, the space always has it\n" in message
    assert message.endswith("choose others: --rows 'one-size/baseline'\n")


def test_a_folder_without_the_corpus_is_refused(refusal: Refusal, tmp_path: Path) -> None:
    for option in ("--text-data", "--nli-data"):
        message = refusal("--space", "stages", option, f"sick:{tmp_path}")
        assert "SICK_train.txt" in message


def test_text_that_is_empty_or_no_text_is_refused(refusal: Refusal, tmp_path: Path) -> None:
    empty, binary = tmp_path / "empty.txt", tmp_path / "binary.txt"
    empty.write_text("\n \n")
    binary.write_bytes(b"\xff\xfe\x00")
    for path, fragment in ((empty, "is empty"), (binary, "is not UTF-8 text")):
        message = refusal("--space", "stages", "--text-data", str(path))
        assert str(path) in message
        assert fragment in message


def test_an_unknown_space_is_named_with_the_nearest(refusal: Refusal) -> None:
    message = refusal("--space", "publishd")
    assert "--space publishd" in message
    assert "full, stages, heads, smoke, published, ablation or FILE.yaml" in message
    assert "did you mean 'published'?" in message


def test_a_missing_data_folder_is_named(refusal: Refusal, tmp_path: Path) -> None:
    message = refusal("--data", "cs224n", "--data-dir", str(tmp_path / "course"))
    assert f"no folder {tmp_path / 'course'}" in message


# File -> name of the label's column, and values that are allowed.
FILES = {
    "ids-sst": (("sentence", "sentiment"), ("4", "0", "2")),
    "quora": (("sentence1", "sentence2", "is_duplicate"), ("1.0", "0.0", "1.0")),
    "sts": (("sentence1", "sentence2", "similarity"), ("4.8", "0.0", "2.5")),
}


def course(folder: Path) -> Path:
    """Write the course's files with three examples each."""
    folder.mkdir()
    for stem, (columns, labels) in FILES.items():
        for split in ("train", "dev"):
            lines = ["\t".join(["", "id", *columns])]
            for row, label in enumerate(labels):
                text = [f"A sentence number {row} ."] * (len(columns) - 1)
                lines.append("\t".join([str(row), f"{split}{row}", *text, label]))
            (folder / f"{stem}-{split}.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.mark.parametrize(
    ("name", "old", "new", "fragments"),
    [
        ("ids-sst-train", "sentiment", "sentimnt", ["'sentiment'", "did you mean 'sentimnt'"]),
        ("ids-sst-dev", "\t4\n", "\t5\n", ["data row 1", "'5'", "from 0 to 4"]),
        ("quora-dev", "\t0.0\n", "\t0.5\n", ["data row 2", "'0.5'", "0 to 1"]),
        ("sts-train", "\t4.8\n", "\t5.5\n", ["data row 1", "'5.5'", "from 0 to 5"]),
    ],
)
def test_a_file_with_a_wrong_column_or_label_is_named(
    refusal: Refusal, tmp_path: Path, name: str, old: str, new: str, fragments: list[str]
) -> None:
    path = course(tmp_path / "course") / f"{name}.csv"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    message = refusal("--data", "cs224n", "--data-dir", str(path.parent))
    for fragment in [path.name, *fragments]:
        assert fragment in message


def test_an_empty_file_is_named(refusal: Refusal, tmp_path: Path) -> None:
    path = course(tmp_path / "course") / "quora-train.csv"
    path.write_text("")
    assert "quora-train.csv is empty" in refusal("--data=cs224n", f"--data-dir={path.parent}")


def test_a_missing_file_is_named(refusal: Refusal, tmp_path: Path) -> None:
    path = course(tmp_path / "course") / "sts-dev.csv"
    path.unlink()
    assert "lacks sts-dev.csv" in refusal("--data=cs224n", f"--data-dir={path.parent}")


@pytest.fixture
def encoder(minilm: Path, tmp_path: Path) -> Path:
    """A folder with everything of a real encoder except its weights."""
    folder = tmp_path / "encoder"
    ignored = shutil.ignore_patterns("*.safetensors", "*.onnx", "*.bin")
    shutil.copytree(minilm, folder, ignore=ignored)
    return folder


def test_an_encoder_without_weights_is_refused(refusal: Refusal, encoder: Path) -> None:
    message = refusal("--encoder", str(encoder))
    assert str(encoder) in message
    assert "no model.safetensors" in message


def test_an_encoder_of_another_architecture_is_refused(refusal: Refusal, encoder: Path) -> None:
    path = encoder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"model_type": "albert"}))
    message = refusal("--encoder", str(encoder))
    assert "model_type is 'albert'" in message


def test_a_folder_that_is_no_encoder_is_refused(refusal: Refusal, tmp_path: Path) -> None:
    assert "config.json: no such file" in refusal("--encoder", str(tmp_path))


@pytest.fixture
def existing(tmp_path: Path) -> Path:
    """A search that is there, as far as anyone can see from outside."""
    folder = tmp_path / "runs" / "monday"
    folder.mkdir(parents=True)
    (folder / EVENTS).write_text(json.dumps(HEADER) + "\n")
    return folder


def test_a_name_that_exists_needs_resume(refusal: Refusal, existing: Path) -> None:
    message = refusal("--name", "monday")
    assert str(existing) in message
    assert "--resume" in message
    assert "another --name" in message


def test_resuming_what_is_not_there_names_the_nearest(refusal: Refusal, existing: Path) -> None:
    message = refusal("--name", "mondey", "--resume")
    assert "no search 'mondey'" in message
    assert "did you mean 'monday'?" in message


def test_a_warm_start_that_is_misspelt_names_the_nearest(refusal: Refusal, existing: Path) -> None:
    message = refusal("--warm-start", "mondey")
    assert "--warm-start 'mondey'" in message
    assert "did you mean 'monday'?" in message
    assert "--resume" not in message


def test_resuming_where_nothing_is_says_so(refusal: Refusal) -> None:
    assert "no search 'monday'" in refusal("--name", "monday", "--resume")


@pytest.mark.parametrize("arguments", [[], ["--dry-run"]])
@pytest.mark.parametrize("storage", ["file", "file/runs"])
def test_storage_that_cannot_be_written_is_refused(
    refusal: Refusal, tmp_path: Path, storage: str, arguments: list[str]
) -> None:
    (tmp_path / "file").write_text("")
    message = refusal("--storage", str(tmp_path / storage), *arguments)
    assert str(tmp_path / storage) in message
    assert "cannot be written" in message
    assert "may write to" in message


def test_storage_of_an_unknown_kind_is_refused(refusal: Refusal) -> None:
    assert "s4://bucket" in refusal("--storage", "s4://bucket/prefix")


@pytest.mark.parametrize("text", ["", '{"event": "sea', json.dumps({**HEADER, "event": "closed"})])
def test_a_log_without_its_first_line_cannot_be_resumed(
    refusal: Refusal, existing: Path, text: str
) -> None:
    (existing / EVENTS).write_text(text)
    assert str(existing) in refusal("--name", "monday", "--resume")


@pytest.mark.parametrize(
    ("changed", "fragment"),
    [
        (["--units", "3"], "--units was 9, now it is 3;"),
        (["--trials", "2"], "has begun 3 already"),
    ],
)
def test_a_dry_run_does_not_go_on_with_what_the_search_would_refuse(
    plan_of: Callable[..., Plan],
    refusal: Refusal,
    tmp_path: Path,
    changed: list[str],
    fragment: str,
) -> None:
    plan = plan_of(space="smoke")
    suggested = {"params": {}, "run_config": plan.space.base.to_dict(), "bracket": 0, "origin": ""}
    trials = [new_event("suggested", trial=number, **suggested) for number in range(3)]
    begin_log(plan.folder.local / EVENTS, [new_event("search", slots=1, **header(plan)), *trials])
    same = ["--space", "smoke", "--budget", "90000", "--storage", str(tmp_path)]
    message = refusal("--name", "search", *same, *changed, "--resume", "--dry-run")
    assert fragment in message


def test_a_damaged_log_is_not_gone_on_with(refusal: Refusal, existing: Path) -> None:
    log = existing / EVENTS
    log.write_text(log.read_text() + "\0\0\0\n" + json.dumps({"event": "closed", "time": 1}) + "\n")
    before = log.read_bytes()
    for arguments in (["--name", "monday", "--resume"], ["--warm-start", "monday"]):
        message = refusal(*arguments)
        assert f"{log}: line 2 is damaged: it is not JSON" in message
        assert f"sed -i.damaged '2d' {log}" in message
    assert log.read_bytes() == before


def test_a_log_of_another_version_is_refused(refusal: Refusal, existing: Path) -> None:
    (existing / EVENTS).write_text(json.dumps({**HEADER, "version": 1}) + "\n")
    for arguments in (["--name", "monday", "--resume"], ["--warm-start", "monday"]):
        message = refusal(*arguments)
        assert f"is of version 1, this program reads {VERSION}" in message
