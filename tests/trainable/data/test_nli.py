"""Inference examples: labels, triplets, sources."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter
from tokenizers import Tokenizer

from trainable.data import public_datasets
from trainable.data.nli import (
    NLI_LABELS,
    HubNli,
    NliSource,
    SampleNli,
    SickNli,
    find_triplets,
    pairs,
    triplets,
)
from trainable.data.sample import generate_sample
from trainable.data.sample_nli import N_PREMISES
from trainable.data.tokenize import MAX_SENTENCE_TOKENS
from trainable.data.tokenizer import train_wordpiece
from trainable.errors import InputError

SICK = (
    "pair_ID\tsentence_A\tsentence_B\trelatedness_score\tentailment_judgment\n"
    "1\tA dog runs\tAn animal runs\t4.9\tENTAILMENT\n"
    "2\tA dog runs\tNobody runs\t2.0\tCONTRADICTION\n"
    "3\tStocks fall\tPrices fall\t4.0\tENTAILMENT\n"
    "4\tStocks fall\tA dog runs\t1.0\tNEUTRAL\n"
)

NAMES = st.sampled_from("abcd")
ROWS = st.lists(st.tuples(NAMES, NAMES, st.sampled_from(NLI_LABELS)), max_size=20)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_wordpiece([text for row in SampleNli().load() for text in row[:2]], 400)


def test_sample_is_balanced_and_every_premise_has_all_three() -> None:
    rows = SampleNli().load()
    assert Counter(label for _, _, label in rows) == dict.fromkeys(NLI_LABELS, N_PREMISES)
    labels: dict[str, set[str]] = {}
    for premise, _, label in rows:
        labels.setdefault(premise, set()).add(label)
    assert all(found == set(NLI_LABELS) for found in labels.values())


def test_sample_contradicts_itself_nowhere() -> None:
    labels: dict[tuple[str, str], set[str]] = {}
    for premise, hypothesis, label in SampleNli().load():
        labels.setdefault((premise, hypothesis), set()).add(label)
    assert all(len(found) == 1 for found in labels.values())


def test_sample_speaks_with_the_words_of_the_tasks() -> None:
    known = {word for text in generate_sample(0).train_sentences() for word in text.split()}
    said = {word for row in SampleNli().load() for text in row[:2] for word in text.split()}
    assert said <= known


def test_sample_of_seed_0_is_frozen() -> None:
    # A new grammar is a new benchmark, which must be intended.
    assert SampleNli().fingerprint() == "bd39176654c663bb"
    assert SampleNli(seed=1).fingerprint() != SampleNli().fingerprint()


def test_sick_is_read_with_its_judgments(tmp_path: Path) -> None:
    (tmp_path / "SICK_train.txt").write_text(SICK)
    source = SickNli(dir=str(tmp_path))
    assert source.load()[1] == ("A dog runs", "Nobody runs", "contradiction")
    assert Counter(label for _, _, label in source.load())["entailment"] == 2
    before = source.fingerprint()
    (tmp_path / "SICK_train.txt").write_text(SICK.replace("4.9", "4.8"))
    assert source.fingerprint() != before


def test_sick_with_an_unknown_judgment_is_refused(tmp_path: Path) -> None:
    (tmp_path / "SICK_train.txt").write_text(SICK.replace("NEUTRAL", "UNSURE"))
    with pytest.raises(InputError, match="data row 4 is 'unsure'; allowed: entailment, neutral"):
        SickNli(dir=str(tmp_path)).load()


def test_sick_lends_a_contradiction_to_a_premise_without(tmp_path: Path) -> None:
    (tmp_path / "SICK_train.txt").write_text(SICK)
    source = SickNli(dir=str(tmp_path))
    assert find_triplets(source.load(), source.borrows) == [
        ("A dog runs", "An animal runs", "Nobody runs"),
        ("Stocks fall", "Prices fall", "Nobody runs"),
    ]


def test_real_sick(shared: Path) -> None:
    folder = shared / "data" / "sick"
    if not folder.is_dir():
        pytest.skip(f"no folder {folder}")
    source = SickNli(dir=str(folder))
    rows = source.load()
    assert Counter(label for _, _, label in rows) == {
        "neutral": 2536,
        "entailment": 1299,
        "contradiction": 665,
    }
    assert len(find_triplets(rows, borrows=True)) == 1142
    assert len(find_triplets(rows, borrows=False)) == 107


@given(ROWS)
def test_triplets_are_made_of_a_premise_s_own_hypotheses(rows: list[tuple[str, str, str]]) -> None:
    found = find_triplets(rows, borrows=False)
    for premise, entailment, contradiction in found:
        assert (premise, entailment, "entailment") in rows
        assert (premise, contradiction, "contradiction") in rows
    have = {label: {premise for premise, _, own in rows if own == label} for label in NLI_LABELS}
    assert sorted(premise for premise, _, _ in found) == sorted(
        have["entailment"] & have["contradiction"]
    )


@given(ROWS)
def test_borrowing_adds_premises_and_changes_no_other(rows: list[tuple[str, str, str]]) -> None:
    own, lent = (find_triplets(rows, borrows) for borrows in (False, True))
    assert [triplet for triplet in lent if triplet in own] == own
    contradictions = {hypothesis for _, hypothesis, label in rows if label == "contradiction"}
    assert {negative for _, _, negative in lent} <= contradictions
    entailed = {premise for premise, _, label in rows if label == "entailment"}
    assert {premise for premise, _, _ in lent} == (entailed if contradictions else set())


def test_hub_leaves_out_what_annotators_did_not_agree_on(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def load_dataset(repo: str, *_: object, **__: object) -> Dataset:
        asked.append(repo)
        return Dataset.from_dict(
            {
                "premise": [" a dog", "a dog", "a dog"],
                "hypothesis": ["an animal", "a cat ", "?"],
                "label": [0, 2, -1],
                "genre": ["x", "y", "z"],
            }
        )

    monkeypatch.setattr(public_datasets, "load_dataset", load_dataset)
    rows = HubNli(name="snli").load()
    assert rows == [("a dog", "an animal", "entailment"), ("a dog", "a cat", "contradiction")]
    assert len(HubNli().load()) == 4
    assert asked == ["stanfordnlp/snli", "stanfordnlp/snli", "nyu-mll/multi_nli"]


def test_hub_is_known_without_a_download(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> Dataset:
        raise ConnectionError("Couldn't reach the Hub")

    monkeypatch.setattr(public_datasets, "load_dataset", unreachable)
    names = ("snli", "multi_nli", "snli+multi_nli")
    assert len({HubNli(name=name).fingerprint() for name in names}) == 3  # type: ignore[arg-type]
    with pytest.raises(InputError, match="cannot get stanfordnlp/snli"):
        HubNli().load()


def test_pairs_are_the_tokens_of_the_rows(tokenizer: Tokenizer) -> None:
    rows = SampleNli().load()
    found = pairs(SampleNli(), tokenizer)
    assert len(found) == len(found.premises) == len(found.hypotheses) == len(rows)
    assert [NLI_LABELS[label] for label in found.labels.tolist()] == [row[2] for row in rows]
    start, end = found.hypotheses.offsets[7:9].tolist()
    assert tokenizer.encode(rows[7][1]).ids == found.hypotheses.tokens[start:end].tolist()


def test_triplets_are_tokens_of_equally_many_sentences(tokenizer: Tokenizer) -> None:
    sides = triplets(SampleNli(), tokenizer)
    expected = find_triplets(SampleNli().load(), borrows=False)
    assert [len(side) for side in sides] == [len(expected)] * 3
    for side, text in zip(sides, expected[3], strict=True):
        start, end = side.offsets[3:5].tolist()
        assert tokenizer.encode(text).ids == side.tokens[start:end].tolist()


def test_long_sentences_are_cut_on_every_side(tmp_path: Path, tokenizer: Tokenizer) -> None:
    dog = " ".join(["dog"] * (MAX_SENTENCE_TOKENS + 1))
    sick = SICK.replace("Nobody runs", f"Nobody {dog}").replace("An animal runs", f"An {dog}")
    (tmp_path / "SICK_train.txt").write_text(sick.replace("A dog runs", f"A {dog}"))
    source = SickNli(dir=str(tmp_path))
    found = pairs(source, tokenizer)
    for side in (found.premises, found.hypotheses, *triplets(source, tokenizer)):
        assert side.lengths.max() == MAX_SENTENCE_TOKENS


def test_of_several_hypotheses_the_first_is_taken() -> None:
    rows = [("a", word, label) for label in NLI_LABELS for word in ("first", "second")]
    assert find_triplets(rows, borrows=False) == [("a", "first", "first")]


def test_a_source_without_triplets_is_refused(tmp_path: Path, tokenizer: Tokenizer) -> None:
    (tmp_path / "SICK_train.txt").write_text(SICK.replace("CONTRADICTION", "NEUTRAL"))
    with pytest.raises(InputError, match="'sick' has no premise with an entailment"):
        triplets(SickNli(dir=str(tmp_path)), tokenizer)


def test_sources_come_back_from_json() -> None:
    adapter: TypeAdapter[NliSource] = TypeAdapter(NliSource)
    for source in (SampleNli(seed=3), SickNli(dir="sick"), HubNli(name="snli")):
        assert adapter.validate_json(adapter.dump_json(source), strict=True) == source
