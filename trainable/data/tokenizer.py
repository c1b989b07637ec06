"""Load the tokenizer of a checkpoint, or train WordPiece."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Container, Iterable
from pathlib import Path

from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from trainable.data.special_tokens import special_names, special_tokens
from trainable.errors import InputError

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def load_tokenizer(folder: Path) -> Tokenizer:
    """Load the tokenizer of a checkpoint, with padding and truncation switched off.

    It gives the ids that transformers' `AutoTokenizer` gives for the folder. That reads
    `tokenizer_config.json` (lower case, accents, Chinese characters) and more, and lets it prevail
    over what `tokenizer.json` says.

    Args:
        folder: Has `config.json`, and `tokenizer.json`, `vocab.txt` (BERT, DistilBERT), or
            `vocab.json` and `merges.txt` (RoBERTa). XLM-R's sentencepiece file is not read.

    Raises:
        InputError: None of them is there or readable; a special token is missing, is not that of
            BERT or RoBERTa, or stands elsewhere than there.
    """
    path = _vocabulary_file(folder)
    # Only encoders other than `tiny` need it, and the import takes a second.
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    try:
        tokens = _listed_tokens(path)  # transformers would add a special token that is missing
        loaded = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:  # neither library raises anything more specific
        raise InputError(f"cannot read the tokenizer {path}: {error}") from error
    names = special_names(tokens)
    if missing := [token for token in names.values() if token not in tokens]:
        raise InputError(
            f"{path} lacks {', '.join(missing)}; only vocabularies of BERT, RoBERTa, XLM-R and "
            f"DistilBERT work here"
        )
    if not isinstance(loaded, PreTrainedTokenizerFast):
        raise InputError(
            f"{folder}: a tokenizer of class {type(loaded).__name__} cannot be used; choose a "
            f"checkpoint with a tokenizer.json"
        )
    for role, name in names.items():
        found = getattr(loaded, f"{role}_token")
        if found not in (None, name):
            raise InputError(
                f"{folder}: the tokenizer's {role}_token is {found!r}, only {name!r} can be used; "
                f"choose another checkpoint"
            )
    tokenizer = _without_blank_token(loaded.backend_tokenizer)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    try:
        special_tokens(tokenizer)
    except InputError as error:
        raise InputError(f"{folder}: {error}") from error
    return tokenizer


def _vocabulary_file(folder: Path) -> Path:
    """Return the file that names the tokens."""
    for name in ("tokenizer.json", "vocab.txt", "vocab.json"):
        if (folder / name).is_file():
            break
    else:
        raise InputError(
            f"no tokenizer.json, vocab.txt or vocab.json in {folder}; give a checkpoint's folder"
        )
    if name == "vocab.json" and not (folder / "merges.txt").is_file():
        raise InputError(f"no merges.txt beside {folder / name}; give a checkpoint's folder")
    return folder / name


def _listed_tokens(path: Path) -> Container[str]:
    """Return the tokens that a tokenizer.json, vocab.txt or vocab.json names."""
    if path.name == "tokenizer.json":
        tokens: dict[str, int] = Tokenizer.from_file(str(path)).get_vocab()
        return tokens
    text = path.read_text(encoding="utf-8")
    return set(json.loads(text) if path.suffix == ".json" else text.splitlines())


def _without_blank_token(tokenizer: Tokenizer) -> Tokenizer:
    """Return a tokenizer without the token that a blank line at the end of a vocab.txt makes.

    No text gives that token, and the embeddings have no row for it.
    """
    if tokenizer.token_to_id("") is None:
        return tokenizer
    description = json.loads(tokenizer.to_str())
    del description["model"]["vocab"][""]
    return Tokenizer.from_str(json.dumps(description))


def train_wordpiece(sentences: Iterable[str], vocab_size: int) -> Tokenizer:
    """Make a lower-case WordPiece tokenizer whose vocabulary is the frequent words.

    The vocabulary is SPECIAL_TOKENS (ids 0 to 4), each character at the start and inside of a
    word, then whole words by falling frequency. `tokenizers.trainers.WordPieceTrainer` is not
    used: it numbers its pieces in the order of a randomly seeded hash map and breaks ties by these
    numbers, so that its vocabulary differs from process to process.

    Args:
        sentences: Text to count words in.
        vocab_size: Upper bound of the number of entries.

    Raises:
        InputError: The characters alone do not fit into `vocab_size`.
    """
    tokenizer = _bert_tokenizer(WordPiece({"[UNK]": 0}, unk_token="[UNK]"))
    words: Counter[str] = Counter()
    # Sentences share most of their words: each distinct one goes through Rust once.
    chunks = Counter(chunk for sentence in sentences for chunk in sentence.split())
    for chunk, count in chunks.items():
        text = tokenizer.normalizer.normalize_str(chunk)
        for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(text):
            words[word] += count
    characters = sorted({character for word in words for character in word})
    pieces = [*SPECIAL_TOKENS, *characters, *(f"##{character}" for character in characters)]
    if len(pieces) > vocab_size:
        raise InputError(
            f"the texts have {len(characters)} different characters; the tiny encoder, which is "
            f"trained from scratch, has room for {(vocab_size - len(SPECIAL_TOKENS)) // 2}; give a "
            f"pretrained encoder with --encoder (encoder.source in a configuration)"
        )
    pieces += [word for word in sorted(words, key=lambda w: (-words[w], w)) if len(word) > 1]
    vocab = {piece: number for number, piece in enumerate(pieces[:vocab_size])}
    trained = _bert_tokenizer(WordPiece(vocab, unk_token="[UNK]"))
    trained.add_special_tokens(list(SPECIAL_TOKENS))  # a text's "[SEP]" is not cut, as in BERT
    return trained


def _bert_tokenizer(model: WordPiece) -> Tokenizer:
    """Return the model behind BERT's normaliser, with lower case, and its splitting of words."""
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    return tokenizer


def tokenizer_digest(tokenizer: Tokenizer) -> str:
    """Return 16 hex digits of a SHA-256 of the tokenizer's complete description."""
    return hashlib.sha256(tokenizer.to_str().encode()).hexdigest()[:16]
