"""The special tokens of a tokenizer: which they are, and how it puts them around sentences."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

from tokenizers import Tokenizer

from trainable.errors import InputError

# Role -> token, in the vocabularies of BERT and DistilBERT, and of RoBERTa and XLM-R.
_BERT_NAMES = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
_ROBERTA_NAMES = {"pad": "<pad>", "unk": "<unk>", "cls": "<s>", "sep": "</s>", "mask": "<mask>"}


@dataclass(frozen=True)
class SpecialTokens:
    """Ids of the special tokens of a tokenizer, and their number between two sentences.

    Attributes:
        cls: Stands before the first sentence.
        sep: Stands behind each sentence.
        mask: Stands for a word that a language model must predict.
        pad: Fills up sequences in other programs; packed batches have none.
        n_between: Number of `sep` between the sentences of a pair: one in BERT, two in RoBERTa.
    """

    cls: int
    sep: int
    mask: int
    pad: int
    n_between: int


def special_names(vocabulary: Container[str]) -> dict[str, str]:
    """Return role -> token: BERT's if the vocabulary has [CLS] or lacks <s>, else RoBERTa's."""
    is_roberta = _BERT_NAMES["cls"] not in vocabulary and _ROBERTA_NAMES["cls"] in vocabulary
    return _ROBERTA_NAMES if is_roberta else _BERT_NAMES


def special_tokens(tokenizer: Tokenizer) -> SpecialTokens:
    """Return the special tokens of a tokenizer.

    A tokenizer that puts no special tokens around sentences gets them as in BERT, with one `sep`
    between two.

    Raises:
        InputError: One is missing, or the tokenizer does not write pairs as BERT or RoBERTa does.
    """
    found: dict[str, int] = {}
    for name in (*_BERT_NAMES.values(), *_ROBERTA_NAMES.values()):
        if (number := tokenizer.token_to_id(name)) is not None:
            found[name] = number
    names = special_names(found)
    if missing := [name for name in names.values() if name not in found]:
        raise InputError(
            f"the tokenizer lacks {', '.join(missing)}; give an encoder with a tokenizer of BERT, "
            f"RoBERTa, XLM-R or DistilBERT"
        )
    ids = {role: found[name] for role, name in names.items()}
    before, between, after = _around_pair(tokenizer)
    if not before + between + after:
        between = [ids["sep"]]
    elif before != [ids["cls"]] or set(between) != {ids["sep"]} or after != [ids["sep"]]:
        parts = [[str(tokenizer.id_to_token(i)) for i in part] for part in (before, between, after)]
        written = " ".join([*parts[0], "A", *parts[1], "B", *parts[2]])
        raise InputError(
            f"the tokenizer writes a pair as {written!r}; allowed is {names['cls']} A "
            f"{names['sep']} B {names['sep']}, also with several {names['sep']} in the middle"
        )
    return SpecialTokens(ids["cls"], ids["sep"], ids["mask"], ids["pad"], len(between))


def _around_pair(tokenizer: Tokenizer) -> tuple[list[int], list[int], list[int]]:
    """Return the special tokens before, between and after the sentences of a pair."""
    parts: tuple[list[int], list[int], list[int]] = ([], [], [])
    encoding = tokenizer.encode("a", "a")
    n_seen = 0
    for number, sentence in zip(encoding.ids, encoding.sequence_ids, strict=True):
        if sentence is None:
            parts[n_seen].append(number)
        else:
            n_seen = sentence + 1
    return parts
