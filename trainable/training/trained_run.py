"""A trained run in a folder of its own: written with all that it needs, and read to be used.

FOLDER/run_config.json     the run, its tasks among it; written last
FOLDER/heads.safetensors   all weights after the encoder
FOLDER/encoder/            a Hugging Face folder; one below it for each task that has its own

Reading needs nothing else: no data, no cache, no network. Only an encoder that reads parts of
speech needs NLTK's tagger.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor

from trainable.cache.files import read_json, reading
from trainable.data.pos_tags import PosTagger, load_tagger
from trainable.data.prepare import PreparedData
from trainable.data.sentences import TaskSplit
from trainable.data.tokenize import MAX_SENTENCE_TOKENS, encode
from trainable.data.tokenizer import load_tokenizer
from trainable.errors import InputError
from trainable.model.encoder import Pretrained
from trainable.model.weights import read_shape, read_weights
from trainable.run_config import RunConfig
from trainable.tasks import TaskName
from trainable.training.corpus import Corpus
from trainable.training.hugging_face import write_encoder, write_heads
from trainable.training.inference import sentence_vectors, task_probabilities
from trainable.training.loop import Run
from trainable.training.multitask_bert import SHARED, MultitaskBert, build_model
from trainable.training.sentence_embedding import embedding_task, write_sentence_transformers
from trainable.training.shared_corpus import build_corpus

RUN_CONFIG = "run_config.json"
_HEADS, _ENCODER = "heads.safetensors", "encoder"
_SPLIT = "test"  # of a corpus that holds what a user asks about


def write_trained(run: Run, folder: Path) -> None:
    """Write a run that is trained to the end.

    Args:
        run: The run.
        folder: Made if it is not there.
    """
    encoders = folder / _ENCODER
    write_encoder(run, encoders)
    width = run.inputs.pretrained.shape.hidden_size
    for name in run.model.encoders:
        task = embedding_task(run.config) if name == SHARED else name
        path = _encoder_folder(encoders, name)
        write_sentence_transformers(path, run.config, task, width)
    write_heads(run, folder)


@dataclass(frozen=True)
class TrainedRun:
    """A run that is trained, ready to be asked.

    Attributes:
        name: Of its folder.
        config: The run.
        model: In evaluation mode.
        tokenizer: The encoder's.
        tagger: Gives tokens their part of speech, for an encoder that reads it; else None.
        device: Device of the model.
    """

    name: str
    config: RunConfig
    model: MultitaskBert
    tokenizer: Tokenizer
    tagger: PosTagger | None
    device: torch.device

    def probabilities(self, task: TaskName, columns: Sequence[Sequence[str]]) -> tuple[Tensor, int]:
        """Return what `task_probabilities` does, and how many sentences were cut.

        Args:
            task: Which task.
            columns: One column of n sentences, or two for pairs; n at least 1.
        """
        corpus, n_cut = self._corpus(task, columns)
        return task_probabilities(self.model, self.config, corpus, _SPLIT, task), n_cut

    def embeddings(self, task: TaskName, sentences: Sequence[str]) -> tuple[Tensor, int]:
        """Return what `sentence_vectors` does, and how many sentences were cut.

        Args:
            task: Whose pooling and encoder.
            sentences: At least one.
        """
        corpus, n_cut = self._corpus(task, [sentences])
        return sentence_vectors(self.model, corpus, _SPLIT, task), n_cut

    def _corpus(self, task: TaskName, columns: Sequence[Sequence[str]]) -> tuple[Corpus, int]:
        """Return sentences as the examples of a split, cut as in training, and how many were."""
        whole = [encode(texts, self.tokenizer, self.tagger) for texts in columns]
        n_cut = sum(int((own.lengths > MAX_SENTENCE_TOKENS).sum()) for own in whole)
        first, *second = (own.cut(MAX_SENTENCE_TOKENS) for own in whole)
        ids = tuple(map(str, range(len(first))))
        rows = TaskSplit(ids, first, second[0] if second else None, None)
        data = PreparedData({}, {}, {}, {task: rows}, notes=(), fingerprint="")
        corpus = build_corpus(data, self.tokenizer)
        if self.tagger is not None and corpus.tags is None:  # no word in any of them
            corpus = replace(corpus, tags=torch.zeros(len(corpus.tokens), dtype=torch.uint8))
        return corpus.to(self.device), n_cut


def read_trained(folder: Path, device: torch.device) -> TrainedRun:
    """Read what `write_trained` wrote.

    Args:
        folder: The folder.
        device: Where it is used.

    Raises:
        InputError: A file is missing, torn, of another version or of another model.
    """
    config = RunConfig.from_dict(read_json(folder / RUN_CONFIG, ""), str(folder / RUN_CONFIG))
    encoders = folder / _ENCODER
    names = [SHARED] if config.encoder.sharing == "shared" else list(config.tasks)
    found = {name: _read_encoder(_encoder_folder(encoders, name)) for name in names}
    pretrained = found[names[0]]
    model = build_model(config, pretrained, device, torch.Generator(device))
    encoded = {
        f"encoders.{name}.{key}": tensor
        for name, own in found.items()
        for key, tensor in own.parameters.items()
    }
    heads = _read_heads(folder / _HEADS)
    _check(folder / _HEADS, heads, model.state_dict(), encoded)
    model.load_state_dict(encoded | heads)
    tagger = load_tagger() if config.features.n_tags else None
    return TrainedRun(folder.name, config, model.eval(), pretrained.tokenizer, tagger, device)


def _encoder_folder(encoders: Path, name: str) -> Path:
    return encoders if name == SHARED else encoders / name


def _read_encoder(folder: Path) -> Pretrained:
    """Read an encoder without the cache: nobody else wants this one.

    Raises:
        InputError: As `read_shape`, `load_tokenizer` and `read_weights`.
    """
    shape = read_shape(folder)
    return Pretrained(shape, load_tokenizer(folder), read_weights(folder, shape))


def _read_heads(path: Path) -> dict[str, Tensor]:
    with reading(path):
        try:
            return load_file(path)
        except SafetensorError as error:
            raise InputError(
                f"{path}: not a whole safetensors file ({error}); copy it again"
            ) from error


def _check(
    path: Path, heads: dict[str, Tensor], state: dict[str, Tensor], encoded: dict[str, Tensor]
) -> None:
    """Refuse heads that are not those of the run.

    Args:
        path: Their file, for messages.
        heads: What it holds: all that the folders of the encoders do not, and perhaps more.
        state: All tensors that the run's model has.
        encoded: Those that come from the folders of the encoders.
    """
    for name in sorted((state.keys() - encoded.keys()) | heads.keys()):
        wanted, found = (tuple(own[name].shape) if name in own else None for own in (state, heads))
        if wanted != found:
            raise InputError(
                f"{path}: tensor {name!r} has the shape {found}, but {RUN_CONFIG} asks for "
                f"{wanted} (None: no such tensor); the two files are of different runs: copy both "
                f"from the same folder"
            )
