"""The corpus that comes out of the cache is the one that went in."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import trainable.shared_corpus
from trainable.corpus import Corpus
from trainable.data.nli import SampleNli, triplets
from trainable.data.pos_tags import PosTagger
from trainable.data.prepare import Featured, cut
from trainable.data.sources import SampleData
from trainable.files import CACHE_VARIABLE
from trainable.shared_corpus import open_corpus
from trainable.workbench import Workbench

CPU = torch.device("cpu")


class OneTagger:
    """Gives every word the same tag."""

    def tag(self, tokens: list[str]) -> list[tuple[str, str]]:
        return [(token, "NN") for token in tokens]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))


@pytest.mark.slow
@pytest.mark.parametrize("is_full", [False, True])
def test_every_part_comes_back(
    workbench: Workbench, monkeypatch: pytest.MonkeyPatch, is_full: bool
) -> None:
    tokenizer = workbench.pretrained.tokenizer
    nli = SampleNli() if is_full else None
    tagger = PosTagger(OneTagger(), "one") if is_full else None
    featured = Featured(SampleData().load(), tagger)
    expected = Corpus(cut(featured, tokenizer), tokenizer, CPU, nli and triplets(nli, tokenizer))
    open_corpus(featured, tokenizer, nli, CPU)
    monkeypatch.setattr(trainable.shared_corpus, "cut", None)  # all comes from the file
    shared = open_corpus(featured, tokenizer, nli, CPU)
    corpus = shared.corpus
    assert corpus.fingerprint == expected.fingerprint
    assert torch.equal(corpus.tokens, expected.tokens)
    assert (corpus.tags is None) == (expected.tags is None) == (not is_full)
    if corpus.tags is not None and expected.tags is not None:
        assert torch.equal(corpus.tags, expected.tags)
    assert corpus.splits.keys() == expected.splits.keys()
    for split, tasks in expected.splits.items():
        assert corpus.splits[split].keys() == tasks.keys()
        for task, rows in tasks.items():
            found = corpus.splits[split][task]
            assert found.ids == rows.ids
            assert torch.equal(found.starts, rows.starts)
            assert torch.equal(found.lengths, rows.lengths)
            assert (found.labels is None) == (rows.labels is None)
            if found.labels is not None and rows.labels is not None:
                assert torch.equal(found.labels, rows.labels)


@pytest.mark.slow
def test_what_is_asked_for_besides_decides_what_is_shared(workbench: Workbench) -> None:
    tokenizer, examples = workbench.pretrained.tokenizer, SampleData().load()
    plain = open_corpus(Featured(examples, None), tokenizer, None, CPU)
    tagged = open_corpus(Featured(examples, PosTagger(OneTagger(), "one")), tokenizer, None, CPU)
    with_nli = open_corpus(Featured(examples, None), tokenizer, SampleNli(), CPU)
    assert plain.corpus.tags is None
    assert tagged.corpus.tags is not None
    assert "nli" not in plain.corpus.splits["train"]
    assert "nli" in with_nli.corpus.splits["train"]
