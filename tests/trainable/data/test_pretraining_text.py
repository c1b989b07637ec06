"""Text sources: what they give, how they are told apart, what they refuse."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter
from tokenizers import Tokenizer

from trainable.data import public_datasets
from trainable.data.pretraining_text import (
    HubText,
    OwnText,
    SickText,
    TextFiles,
    TextSource,
    load_text,
    text_fingerprint,
)
from trainable.data.sentences import Sentences, joined
from trainable.data.tokenize import encode
from trainable.data.tokenizer import load_tokenizer, train_wordpiece
from trainable.errors import InputError

WORDS = "a dog runs in the yard while stocks fall and nobody reads tags br again 0123456789"
NOTHING = Sentences(torch.empty(0, dtype=torch.int32), torch.zeros(1, dtype=torch.int64))
SICK = (
    "pair_ID\tsentence_A\tsentence_B\trelatedness_score\tentailment_judgment\n"
    '1\tA dog runs\tA "dog" is running\t4.9\tENTAILMENT\n'
    "2\tA dog runs\tNobody runs\t2.0\tCONTRADICTION\n"
)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_wordpiece([WORDS], 200)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Callable[[Dataset], list[object]]:
    """Return a function that puts a data set in the hub's place, and records what is asked for."""

    def replace(dataset: Dataset) -> list[object]:
        asked: list[object] = []

        def load_dataset(*args: object, **options: object) -> Dataset:
            asked.append((args, options))
            return dataset

        monkeypatch.setattr(public_datasets, "load_dataset", load_dataset)
        return asked

    return replace


def texts(sentences: Sentences, tokenizer: Tokenizer) -> list[str]:
    bounds = sentences.offsets.tolist()
    ids = sentences.tokens.tolist()
    return [tokenizer.decode(ids[a:b]) for a, b in pairwise(bounds)]


@given(st.lists(st.text(alphabet="dogs run.\n", max_size=30), max_size=6), st.integers(0, 9))
def test_encode_gives_the_tokens_of_each_text(lines: list[str], longest: int) -> None:
    tokenizer = train_wordpiece([WORDS], 200)
    found = encode(lines, tokenizer).cut(longest)
    assert found.tokens.dtype == torch.int32
    expected = [tokenizer.encode(line, add_special_tokens=False).ids[:longest] for line in lines]
    assert found.lengths.tolist() == [len(ids) for ids in expected]
    assert found.tokens.tolist() == [token for ids in expected for token in ids]


def test_encode_adds_no_special_tokens_with_a_real_tokenizer(minilm: Path) -> None:
    tokenizer = load_tokenizer(minilm)
    assert texts(encode(["A dog runs.", "Stocks fall"], tokenizer), tokenizer) == [
        "a dog runs.",
        "stocks fall",
    ]


def test_joined_puts_one_part_behind_the_other(tokenizer: Tokenizer) -> None:
    parts = [encode(part, tokenizer) for part in (["a dog", ""], [], ["stocks fall again"])]
    together = joined(parts)
    assert texts(together, tokenizer) == ["a dog", "", "stocks fall again"]
    assert together.lengths.tolist() == [2, 0, 3]


def test_sick_gives_both_sentences_of_each_pair(tmp_path: Path, tokenizer: Tokenizer) -> None:
    (tmp_path / "SICK_train.txt").write_text(SICK)
    found = SickText(dir=str(tmp_path)).load(tokenizer, NOTHING)
    assert len(found) == 4
    assert texts(found, tokenizer)[::2] == ["a dog runs", "a dog runs"]


def test_sick_without_a_column_is_refused(tmp_path: Path, tokenizer: Tokenizer) -> None:
    (tmp_path / "SICK_train.txt").write_text(SICK.replace("sentence_B", "sentence_C"))
    with pytest.raises(InputError, match=r"no column 'sentence_B'.*did you mean 'sentence_C'"):
        SickText(dir=str(tmp_path)).load(tokenizer, NOTHING)


def test_sick_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"give the folder that SICK_train\.txt lies in"):
        SickText(dir=str(tmp_path)).fingerprint(NOTHING)


def test_real_sick_is_read_whole(shared: Path, tokenizer: Tokenizer) -> None:
    folder = shared / "data" / "sick"
    if not folder.is_dir():
        pytest.skip(f"no folder {folder}")
    assert len(SickText(dir=str(folder)).load(tokenizer, NOTHING)) == 2 * 4500


def test_a_file_has_one_document_per_line(tmp_path: Path, tokenizer: Tokenizer) -> None:
    one, two = tmp_path / "one.txt", tmp_path / "two.txt"
    one.write_text("A dog runs\n\n  stocks fall  \n")
    two.write_text("nobody reads")
    found = TextFiles(paths=(str(one), str(two))).load(tokenizer, NOTHING)
    assert texts(found, tokenizer) == ["a dog runs", "stocks fall", "nobody reads"]


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "no text file"), (b" \n", "is empty"), (b"\xff\xfe", "is not UTF-8 text")],
)
def test_files_without_text_are_refused(
    tmp_path: Path, tokenizer: Tokenizer, content: bytes | None, message: str
) -> None:
    path = tmp_path / "text.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        TextFiles(paths=(str(path),)).load(tokenizer, NOTHING)


def test_hub_gives_both_sentences_without_tags(
    hub: Callable[[Dataset], list[object]], tokenizer: Tokenizer
) -> None:
    asked = hub(
        Dataset.from_dict(
            {
                "sentence1": ["a<br />dog", "stocks\\nfall"],
                "sentence2": ["nobody reads", " "],
                "label": [0, 1],
            }
        )
    )
    found = HubText(name="paws").load(tokenizer, NOTHING)
    assert texts(found, tokenizer) == ["a dog", "nobody reads", "stocks fall"]
    (args, options) = asked[0]  # type: ignore[misc]
    assert args == ("google-research-datasets/paws", "labeled_final")
    assert re.fullmatch("[0-9a-f]{40}", options["revision"])


def test_a_limit_draws_from_all_over_and_always_the_same(
    hub: Callable[[Dataset], list[object]], tokenizer: Tokenizer
) -> None:
    hub(Dataset.from_dict({"text": [f"{number}" for number in range(1000)]}))
    drawn = [HubText(name="yelp", limit=50).load(tokenizer, NOTHING) for _ in range(2)]
    first, again = (texts(sentences, tokenizer) for sentences in drawn)
    assert first == again
    numbers = [int(text.replace(" ", "").replace("##", "")) for text in first]
    assert len(set(numbers)) == 50
    assert numbers == sorted(numbers)
    assert numbers[0] < 200
    assert numbers[-1] > 800


def test_every_corpus_is_pinned_to_a_commit() -> None:
    assert set(public_datasets.PUBLIC_DATASETS) == {
        "imdb",
        "yelp",
        "sick",
        "paws",
        "multi_nli",
        "snli",
    }
    for corpus in public_datasets.PUBLIC_DATASETS.values():
        assert re.fullmatch("[0-9a-f]{40}", corpus.revision)
        assert "/" in corpus.repo


def test_missing_column_of_the_hub_is_named(
    hub: Callable[[Dataset], list[object]], tokenizer: Tokenizer
) -> None:
    hub(Dataset.from_dict({"review": ["good"]}))
    with pytest.raises(InputError, match=r"yelp_review_full \(train\) has no column text; found"):
        HubText(name="yelp").load(tokenizer, NOTHING)


def test_no_network_is_an_input_error(
    monkeypatch: pytest.MonkeyPatch, tokenizer: Tokenizer
) -> None:
    def unreachable(*_: object, **__: object) -> Dataset:
        raise ConnectionError("Couldn't reach the Hub")

    monkeypatch.setattr(public_datasets, "load_dataset", unreachable)
    with pytest.raises(InputError, match="Couldn't reach the Hub; check the network"):
        HubText(name="imdb").load(tokenizer, NOTHING)
    # What the text is, is known without it.
    assert text_fingerprint([HubText(name="imdb")], NOTHING)


def test_sources_follow_one_another(tmp_path: Path, tokenizer: Tokenizer) -> None:
    (tmp_path / "SICK_train.txt").write_text(SICK)
    own = encode(["stocks fall"], tokenizer)
    found = load_text((OwnText(), SickText(dir=str(tmp_path))), tokenizer, own)
    assert texts(found, tokenizer)[:2] == ["stocks fall", "a dog runs"]


def test_fingerprint_is_that_of_the_contents(tmp_path: Path, tokenizer: Tokenizer) -> None:
    own, other = encode(["stocks fall"], tokenizer), encode(["stocks", "fall"], tokenizer)
    path, copied = tmp_path / "text.txt", tmp_path / "copied.txt"
    path.write_text("a dog runs")
    copied.write_text("a dog runs")
    files = TextFiles(paths=(str(path),))
    before = text_fingerprint([files], own)
    assert text_fingerprint([TextFiles(paths=(str(copied),))], other) == before
    path.write_text("a dog ran")
    (tmp_path / "SICK_train.txt").write_text(SICK)
    sick = str(tmp_path / "SICK_train.txt")
    several = [
        before,
        text_fingerprint([files], own),
        text_fingerprint([TextFiles(paths=(str(path), str(copied)))], own),
        text_fingerprint([TextFiles(paths=(str(copied), str(path)))], own),
        text_fingerprint([TextFiles(paths=(sick,))], own),
        text_fingerprint([SickText(dir=str(tmp_path))], own),  # the same file, read otherwise
        text_fingerprint([OwnText()], own),
        text_fingerprint([OwnText()], other),
        text_fingerprint([OwnText(), files], own),
        text_fingerprint([files, OwnText()], own),
        text_fingerprint([HubText(name="imdb")], own),
        text_fingerprint([HubText(name="imdb", limit=10)], own),
        text_fingerprint([HubText(name="yelp", limit=10)], own),
    ]
    assert len(set(several)) == len(several)


def test_sources_come_back_from_json() -> None:
    adapter: TypeAdapter[tuple[TextSource, ...]] = TypeAdapter(tuple[TextSource, ...])
    sources = (
        OwnText(),
        HubText(name="imdb", limit=10_000),
        SickText(dir="sick"),
        TextFiles(paths=("a.txt", "b.txt")),
    )
    assert adapter.validate_json(adapter.dump_json(sources), strict=True) == sources
