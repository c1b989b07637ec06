from __future__ import annotations

from pathlib import Path

import pytest

from spaces.prior_file import read_prior_file
from trainable.errors import InputError


def read(tmp_path: Path, text: str) -> list[tuple[str, dict[str, object]]]:
    path = tmp_path / "priors.yaml"
    path.write_text(text, encoding="utf-8")
    return [(edit.pattern, edit.given) for edit in read_prior_file(path)]


def test_entries_are_read_in_their_order(tmp_path: Path) -> None:
    text = '"*.lr": {center: 1e-4, spread: 0.1}\n"*.pooling": {mean: 3, cls: 1}\n'
    assert read(tmp_path, text) == [
        ("*.lr", {"center": 1e-4, "spread": 0.1}),
        ("*.pooling", {"mean": 3, "cls": 1}),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "give a mapping from names to priors"),
        ("[1]", "give a mapping from names to priors"),
        ("a: 3", "a: 3 is no prior"),
        ("a: {}", "a: {} is no prior"),
        ("a: {spread: 0}", "spread is 0; give a share"),
        ("a: {spread: 2}", "spread is 2; give a share"),
        ("a: {spread: true}", "spread is True; give a share"),
        ("a: {mean: -1}", "the weight of mean is -1"),
        ("a: {mean: .inf}", "the weight of mean is inf"),
        ("a: {mean: much}", "the weight of mean is 'much'"),
        ("a: {centre: x}", "did you mean 'center'?"),
        ("a: {center: mean, cls: 2}", "has weights and center"),
    ],
)
def test_what_is_not_well_formed_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InputError) as error:
        read(tmp_path, text)
    assert words in str(error.value)
    assert "priors.yaml" in str(error.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.yaml"):
        read_prior_file(tmp_path / "gone.yaml")
