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
    template = _around_pair(tokenizer)
    n_between = len(template) - 2 if template else 1
    if template and (n_between < 1 or template != [ids["cls"], *[ids["sep"]] * (n_between + 1)]):
        written = " ".join(str(tokenizer.id_to_token(number)) for number in template)
        raise InputError(
            f"the tokenizer's special tokens around a pair are {written!r}; allowed are "
            f"{names['cls']}, and {names['sep']} between the sentences and at the end"
        )
    return SpecialTokens(ids["cls"], ids["sep"], ids["mask"], ids["pad"], n_between)


def _around_pair(tokenizer: Tokenizer) -> list[int]:
    encoding = tokenizer.encode("", "")
    marks = zip(encoding.ids, encoding.special_tokens_mask, strict=True)
    return [number for number, is_special in marks if is_special]
