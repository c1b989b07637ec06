"""WordPiece tokenizers, and the way from sentences to token ids."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import torch
from datasets import Dataset, Features, List, Value
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from trainable.data.computed import Columns, computed
from trainable.data.examples import Examples
from trainable.data.pos_tags import PosTagger
from trainable.data.store import N_SPECIAL_TOKENS, Sentences, TaskSplit
from trainable.errors import InputError
from trainable.tasks import TASKS, TaskName

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
MAX_SENTENCE_TOKENS = 128 - N_SPECIAL_TOKENS


def load_tokenizer(folder: Path) -> Tokenizer:
    """Load the tokenizer of a BERT checkpoint, with padding and truncation switched off.

    Args:
        folder: Has `tokenizer.json`, or else `vocab.txt`; the latter is lower-cased unless
            `tokenizer_config.json` says `"do_lower_case": false`.

    Raises:
        InputError: Neither file is there or readable, or a special token of BERT is missing.
    """
    path = next((p for n in ("tokenizer.json", "vocab.txt") if (p := folder / n).is_file()), None)
    if path is None:
        raise InputError(f"no tokenizer.json or vocab.txt in {folder}; give a checkpoint's folder")
    try:
        tokenizer = (
            Tokenizer.from_file(str(path))
            if path.suffix == ".json"
            else _bert_tokenizer(
                WordPiece.from_file(str(path), unk_token="[UNK]"), _do_lower_case(folder)
            )
        )
    except Exception as error:  # the Rust library raises nothing more specific
        raise InputError(f"cannot read the tokenizer {path}: {error}") from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    if missing := [token for token in SPECIAL_TOKENS if tokenizer.token_to_id(token) is None]:
        raise InputError(f"{path} lacks {', '.join(missing)}; only BERT's vocabularies work here")
    return tokenizer


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
    tokenizer = _bert_tokenizer(WordPiece({"[UNK]": 0}, unk_token="[UNK]"), lowercase=True)
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
        raise InputError(f"vocab_size {vocab_size} is too small; the text needs {len(pieces)}")
    pieces += [word for word in sorted(words, key=lambda w: (-words[w], w)) if len(word) > 1]
    vocab = {piece: number for number, piece in enumerate(pieces[:vocab_size])}
    return _bert_tokenizer(WordPiece(vocab, unk_token="[UNK]"), lowercase=True)


def tokenizer_digest(tokenizer: Tokenizer) -> str:
    """Return 16 hex digits of a SHA-256 of the tokenizer's complete description."""
    return hashlib.sha256(tokenizer.to_str().encode()).hexdigest()[:16]


def tokenize(
    examples: Examples, tokenizer: Tokenizer, tagger: PosTagger | None = None
) -> tuple[dict[TaskName, dict[str, TaskSplit]], tuple[str, ...]]:
    """Turn all sentences into token ids, without special tokens, of at most MAX_SENTENCE_TOKENS.

    Where `examples.cache_dir` is given, tokens and tags are kept there under a key of contents,
    tokenizer and tagger, and a second start maps them into memory.

    Args:
        examples: The sentences.
        tokenizer: Cuts them into tokens.
        tagger: Gives each token its part of speech; None for tokens alone. NLTK's tags about
            10,000 words a second on one core.

    Returns:
        task -> split -> `TaskSplit`, on the CPU, and one note per split with shortened sentences.
    """
    splits: dict[TaskName, dict[str, TaskSplit]] = {}
    notes: list[str] = []
    digest = tokenizer_digest(tokenizer)
    for task, datasets in examples.splits.items():
        splits[task] = {}
        for split, dataset in datasets.items():
            key = f"{examples.fingerprint}:{task}:{split}:{digest}:{MAX_SENTENCE_TOKENS}"
            tokens = _encode(dataset, task, tokenizer, key, examples.cache_dir)
            tags = None
            if tagger is not None:
                own_key = f"{key}:tags:{tagger.digest}"
                tags = _tag(dataset, task, tokenizer, tagger, own_key, examples.cache_dir)
            splits[task][split] = _task_split(dataset.with_format("arrow")[:], tokens, tags)
            if n_cut := int(sum(tokens["n_cut"].to_pylist())):
                notes.append(
                    f"{task}-{split}: {n_cut:,} sentence{'s' * (n_cut > 1)} cut to "
                    f"{MAX_SENTENCE_TOKENS} tokens"
                )
    return splits, tuple(notes)


def _bert_tokenizer(model: WordPiece, lowercase: bool) -> Tokenizer:
    """Return the model behind BERT's normaliser and splitting of words."""
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    return tokenizer


def _do_lower_case(folder: Path) -> bool:
    """Read the checkpoint's own setting, for checkpoints that have only a vocab.txt."""
    config = folder / "tokenizer_config.json"
    return not config.is_file() or bool(json.loads(config.read_text()).get("do_lower_case", True))


def _sentence_columns(task: TaskName) -> tuple[str, ...]:
    return ("sentence1", "sentence2") if TASKS[task].is_pair else ("sentence1",)


def _encode(
    dataset: Dataset, task: TaskName, tokenizer: Tokenizer, key: str, cache_dir: Path | None
) -> pa.Table:
    """Return columns `tokens1`, for pairs `tokens2` (lists of int32), and `n_cut` (int32)."""
    names = _sentence_columns(task)

    def encode(batch: Columns) -> Columns:
        columns: Columns = {}
        n_cut = [0] * len(batch["sentence1"])
        for number, name in enumerate(names, 1):
            encodings = tokenizer.encode_batch_fast(batch[name], add_special_tokens=False)
            ids = [encoding.ids for encoding in encodings]
            n_cut = [n + (len(i) > MAX_SENTENCE_TOKENS) for n, i in zip(n_cut, ids, strict=True)]
            columns[f"tokens{number}"] = [i[:MAX_SENTENCE_TOKENS] for i in ids]
        return columns | {"n_cut": n_cut}

    token_lists = {f"tokens{n}": List(Value("int32")) for n in range(1, len(names) + 1)}
    features = Features({**token_lists, "n_cut": Value("int32")})
    return computed(dataset, encode, features, key, cache_dir)


def _tag(
    dataset: Dataset,
    task: TaskName,
    tokenizer: Tokenizer,
    tagger: PosTagger,
    key: str,
    cache_dir: Path | None,
) -> pa.Table:
    """Return columns `tags1` and for pairs `tags2`, lists of uint8 beside those of `_encode`."""
    names = _sentence_columns(task)

    def tag(batch: Columns) -> Columns:
        columns: Columns = {}
        for number, name in enumerate(names, 1):
            # Not encode_batch_fast, which leaves the offsets out.
            encodings = tokenizer.encode_batch(batch[name], add_special_tokens=False)
            columns[f"tags{number}"] = [
                tagger.token_tags(text, encoding.offsets[:MAX_SENTENCE_TOKENS])
                for text, encoding in zip(batch[name], encodings, strict=True)
            ]
        return columns

    features = Features({f"tags{n}": List(Value("uint8")) for n in range(1, len(names) + 1)})
    return computed(dataset, tag, features, key, cache_dir)


def _task_split(table: pa.Table, tokens: pa.Table, tags: pa.Table | None) -> TaskSplit:
    """Put ids and labels beside their tokens."""
    has_pairs, has_labels = "tokens2" in tokens.column_names, "label" in table.column_names

    def sentences(number: int) -> Sentences:
        own_tags = None if tags is None else tags[f"tags{number}"]
        return Sentences.from_arrow(tokens[f"tokens{number}"], own_tags)

    return TaskSplit(
        ids=tuple(table["id"].to_pylist()),
        sentence1=sentences(1),
        sentence2=sentences(2) if has_pairs else None,
        labels=torch.from_numpy(table["label"].to_numpy().copy()) if has_labels else None,
    )
