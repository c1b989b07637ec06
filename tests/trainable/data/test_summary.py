"""What `python -m trainable.data` prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainable.data.__main__ import main

TASKS = """
tasks:
  mood:
    title: Moods
    train: train.tsv
    dev: dev.tsv
    columns: {sentence1: text, label: mood}
    labels: {0: poor, 1: fine}
  likeness:
    train: pairs.csv
    columns: {sentence1: one, sentence2: two, label: score}
    range: [0, 5]
    dev_share: 0.25
"""
TRAIN = "text\tmood\nA fine day\t1\nA poor [bold]day\t0\na  fine day\t0\nSo\t1\n"
DEV = "text\tmood\nA FINE day\t1\nOh no\t0\n"


@pytest.fixture
def task_file(tmp_path: Path) -> str:
    (tmp_path / "train.tsv").write_text(TRAIN)
    (tmp_path / "dev.tsv").write_text(DEV)
    pairs = "".join(f"Day {n} is long,Oh no {n},{n / 4}\n" for n in range(20))
    (tmp_path / "pairs.csv").write_text("one,two,score\n" + pairs)
    (tmp_path / "tasks.yaml").write_text(TASKS)
    return str(tmp_path / "tasks.yaml")


def test_everything_that_was_understood_is_printed(
    task_file: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main([task_file]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) <= 80 for line in lines)
    text = "\n".join(" ".join(line.split()) for line in lines)
    for part in (
        "Moods: single sentences, 2 classes; metric accuracy, weight 1",
        "train 4 10 3 3 3 3 39",  # rows, words, quantiles of a sentence, bytes
        "poor 2 50.0% 1 50.0% ████████████████████",
        "0 fine A fine day",
        "1 poor A poor [bold]day",
        "duplicates: 1 of 4 train rows repeat the text of another; 1 texts have different",
        "leak: 1 of 2 dev rows have the text of one in train",
        "likeness: pairs of sentences, a number from 0 to 5; metric pearson, weight 1",
        "train 15 105 4 4 4 4",
        "4.5 to 5 ",
        "| Oh no",
        "- likeness: no dev set was given; 5 of the 20 train examples are its dev set",
        "fingerprint of the contents: ",
    ):
        assert part in text


@pytest.mark.slow
def test_tokens_of_an_encoder_are_counted(
    task_file: str, minilm: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([f"{task_file}:mood", "--encoder", str(minilm)]) == 0
    text = capsys.readouterr().out
    assert "all tokens" in text
    assert "likeness" not in text


def test_what_is_wrong_is_said_in_one_line(
    task_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(task_file).with_name("dev.tsv").write_text(DEV.replace("1", "7"))
    assert main([task_file]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: dev.tsv: the label in data row 1 is '7'; allowed for Moods: ")
    assert error.count("\n") == 1
    with pytest.raises(SystemExit):
        main([])
