"""Write a trained run for other programs: a Hugging Face encoder folder, and the heads."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from torch import nn

from trainable.cache.files import write_json, write_tensors, write_text
from trainable.model.weights import to_hugging_face
from trainable.training.loop import Run
from trainable.training.multitask_bert import SHARED


def write_encoder(run: Run, folder: Path) -> None:
    """Write config.json, model.safetensors, tokenizer.json and vocab.txt.

    `transformers.BertModel.from_pretrained(folder)` and our own `--encoder folder` load it. Where
    each task has its own encoder, they are written to `folder/sst`, `folder/para`, `folder/sts`.
    """
    for name, encoder in run.model.encoders.items():
        _write(run, encoder, folder if name == SHARED else folder / name)


def _write(run: Run, module: nn.Module, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    pretrained, encoder = run.inputs.pretrained, run.config.encoder
    config = {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "hidden_act": "gelu",
        "position_embedding_type": "absolute",
        "hidden_dropout_prob": encoder.dropout,
        "attention_probs_dropout_prob": encoder.attention_dropout,
        "pad_token_id": pretrained.tokenizer.token_to_id("[PAD]"),
        **asdict(pretrained.shape),
    }
    write_json(folder / "config.json", config)
    tensors = to_hugging_face(module.state_dict(), pretrained.shape)
    write_tensors(folder / "model.safetensors", tensors)
    write_text(folder / "tokenizer.json", pretrained.tokenizer.to_str())
    vocabulary = pretrained.tokenizer.get_vocab()
    write_text(folder / "vocab.txt", "\n".join(sorted(vocabulary, key=vocabulary.__getitem__)))
    names = {"cls": "[CLS]", "sep": "[SEP]", "pad": "[PAD]", "mask": "[MASK]", "unk": "[UNK]"}
    special = {f"{name}_token": token for name, token in names.items()}
    write_json(folder / "tokenizer_config.json", {"tokenizer_class": "BertTokenizer", **special})


def write_heads(run: Run, folder: Path) -> None:
    """Write heads.safetensors (all that an encoder folder cannot hold) and run_config.json."""
    tensors = {
        name: t.detach().cpu()
        for name, t in run.model.state_dict().items()
        if not name.startswith("encoders.") or name.endswith(".embeddings.tag.weight")
    }
    write_tensors(folder / "heads.safetensors", tensors)
    write_json(folder / "run_config.json", run.config.to_dict())
