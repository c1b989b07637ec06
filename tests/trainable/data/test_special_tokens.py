"""Tokenizers of BERT's relatives: ids, special tokens around sentences, tags, refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from tests.trainable.data.checkpoints import ids
from tests.trainable.data.relatives import LAYOUTS, TEXTS, write_own_kind, write_relative
from trainable.data.features import TAGS
from trainable.data.pos_tags import PosTagger
from trainable.data.special_tokens import SpecialTokens, special_tokens
from trainable.data.tokenize import encode
from trainable.data.tokenizer import load_tokenizer, train_wordpiece
from trainable.errors import InputError


@pytest.mark.parametrize("layout", LAYOUTS)
def test_ids_are_those_of_transformers(tmp_path: Path, layout: str) -> None:
    tokenizer = load_tokenizer(write_relative(tmp_path, layout))
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    assert ids(tokenizer, TEXTS) == [theirs(t, add_special_tokens=False).input_ids for t in TEXTS]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_special_tokens_are_those_of_transformers(tmp_path: Path, layout: str) -> None:
    found = special_tokens(load_tokenizer(write_relative(tmp_path, layout)))
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    assert found.cls == theirs.cls_token_id
    assert found.sep == theirs.sep_token_id
    assert found.mask == theirs.mask_token_id
    assert found.pad == theirs.pad_token_id
    single = theirs("cat", add_special_tokens=False).input_ids
    assert theirs("cat").input_ids == [found.cls, *single, found.sep]
    between = [found.sep] * found.n_between
    assert theirs("cat", "cat").input_ids == [found.cls, *single, *between, *single, found.sep]


def test_a_tokenizer_without_a_template_writes_pairs_as_bert() -> None:
    tokenizer = train_wordpiece(["a cat"], 100)
    assert tokenizer.post_processor is None
    assert special_tokens(tokenizer) == SpecialTokens(cls=2, sep=3, mask=4, pad=0, n_between=1)


@pytest.mark.parametrize(
    ("pair", "n_between"),
    [("<s> $A </s> $B </s>", 1), ("<s> $A </s> </s> </s> $B </s>", 3), ("$A $B", 1)],
)
def test_separators_are_counted_between_the_sentences(
    tmp_path: Path, pair: str, n_between: int
) -> None:
    tokenizer = load_tokenizer(write_own_kind(tmp_path, pair))
    assert special_tokens(tokenizer).n_between == n_between


@pytest.mark.parametrize(
    ("pair", "written"),
    [
        ("<s> $A </s> </s> $B", "<s> A </s> </s> B"),
        ("<s> $A $B </s>", "<s> A B </s>"),
        ("$A </s> $B </s>", "A </s> B </s>"),
        ("<s> $A <pad> $B </s>", "<s> A <pad> B </s>"),
    ],
)
def test_special_tokens_in_other_places_are_refused(
    tmp_path: Path, pair: str, written: str
) -> None:
    folder = write_own_kind(tmp_path, pair)
    with pytest.raises(InputError, match=f"{folder}: the tokenizer writes a pair as '{written}'"):
        load_tokenizer(folder)


def test_special_tokens_of_other_names_are_refused(tmp_path: Path) -> None:
    folder = write_own_kind(tmp_path, "<s> $A </s> $B </s>", cls_token="</s>")
    with pytest.raises(InputError, match="cls_token is '</s>', only '<s>' can be used"):
        load_tokenizer(folder)


def test_files_that_are_not_whole_are_refused(tmp_path: Path) -> None:
    folder = write_relative(tmp_path, "roberta, vocab.json")
    vocabulary = json.loads((folder / "vocab.json").read_text())
    merges = (folder / "merges.txt").read_text()
    (folder / "merges.txt").write_text("#version: 0.2\n")
    (folder / "vocab.json").write_text(json.dumps({"<s>": 0, "</s>": 1, "cat": 2}))
    with pytest.raises(InputError, match=r"vocab\.json lacks <pad>, <unk>, <mask>; only vocab"):
        load_tokenizer(folder)
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text(merges)
    assert load_tokenizer(folder).get_vocab() == vocabulary
    (folder / "merges.txt").unlink()
    with pytest.raises(InputError, match=r"no merges\.txt beside .*vocab\.json"):
        load_tokenizer(folder)


class CatsAreNouns:
    """Calls words that begin with c nouns, and all others verbs."""

    def tag(self, tokens: list[str]) -> list[tuple[str, str]]:
        return [(word, "NN" if word.lower().startswith("c") else "VB") for word in tokens]


@pytest.mark.parametrize("layout", [*LAYOUTS, "of its own kind"])
def test_every_part_of_a_word_has_the_tag_of_the_word(tmp_path: Path, layout: str) -> None:
    """Also where a token begins with the space before its word."""
    if layout in LAYOUTS:
        write_relative(tmp_path, layout)
    else:  # its offsets include the spaces
        write_own_kind(tmp_path, "<s> $A </s> </s> $B </s>")
    tokenizer = load_tokenizer(tmp_path)
    found = encode(["the cat  café", "café the"], tokenizer, PosTagger(CatsAreNouns(), "c"))
    assert found.tags is not None
    verb, noun = TAGS.index("VERB"), TAGS.index("NOUN")
    first, second = (own.tolist() for own in found.tags.split(found.lengths.tolist()))
    # Nothing but a space of its own may be without a word.
    assert [tag for tag in first if tag] == sorted(tag for tag in first if tag)
    assert (first[0], first[-1]) == (verb, noun)
    assert (second[0], second[-1]) == (noun, verb)
    assert first.count(0) <= 1
    tokens = [tokenizer.id_to_token(number) for number in found.tokens.tolist()]
    for token, tag in zip(tokens, [*first, *second], strict=True):
        assert tag in (verb, noun) or not token.strip("Ġ▁"), token
