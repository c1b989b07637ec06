from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import trainable
from trainable import Model, load
from trainable.cache.files import CACHE_VARIABLE
from trainable.data.sources import SampleData
from trainable.errors import InputError
from trainable.losses import decide
from trainable.model.encoder import EncoderConfig
from trainable.model.pairs import DecisionCosine, NumberCosine
from trainable.model.pooling import MeanPooling
from trainable.task_config import PairDecision, PairNumber
from trainable.training.loop import Run
from trainable.training.trained_run import RUN_CONFIG

Trained = Callable[..., tuple[Run, Path]]
Asked = Callable[[Run, str, str], list[Any]]
SPLITS = ("select", "confirm", "test")
COSINE: dict[str, Any] = {
    "para": PairDecision(pooling=MeanPooling(), pair=DecisionCosine(threshold=0.8)),
    "sts": PairNumber(pooling=MeanPooling(), pair=NumberCosine()),
}


@pytest.fixture(scope="module")
def default(trained: Trained) -> tuple[Run, Path]:
    return trained()


@pytest.fixture(scope="module")
def cosine(trained: Trained) -> tuple[Run, Path]:
    return trained(tasks=COSINE)


@pytest.fixture(scope="module")
def model(default: tuple[Run, Path]) -> Model:
    return load(default[1])


def assert_equal(model: Model, run: Run, asked: Asked, splits: tuple[str, ...] = SPLITS) -> None:
    """Assert that a model says what its run said, bit for bit."""
    for split in splits:
        expected = run.probabilities(split)
        for task, values in run.decide(expected).items():
            found = model.predict(task, asked(run, split, task))
            assert torch.equal(found.values, values), (split, task)
            rows = expected[task]
            if found.probabilities is None:
                assert found.labels == values.tolist()
                continue
            assert found.labels == [found.classes[int(value)] for value in values]
            n_given = rows.shape[1]  # a pair's one number is the probability of the second class
            assert torch.equal(found.probabilities[:, -n_given:], rows), (split, task)
            torch.testing.assert_close(found.probabilities.sum(1), torch.ones(len(found)))


def test_predictions_are_those_of_the_run(
    default: tuple[Run, Path], model: Model, asked: Asked
) -> None:
    assert_equal(model, default[0], asked)


@pytest.mark.parametrize("sharing", ["shared", "per_task"])
def test_so_they_are_with_other_heads_and_encoders(
    trained: Trained, asked: Asked, sharing: str
) -> None:
    run, folder = trained(encoder=EncoderConfig(sharing=sharing), tasks=COSINE)  # type: ignore[arg-type]
    assert_equal(load(folder), run, asked, ("select",))


def test_a_folder_can_be_moved_and_needs_nothing_else(
    default: tuple[Run, Path], asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(self: SampleData) -> None:
        raise AssertionError("the data were asked for")

    shutil.copytree(default[1], tmp_path / "a b" / "moved")
    (tmp_path / "no_folder").write_text("")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "no_folder" / "cache"))
    monkeypatch.setattr(SampleData, "load", missing)
    monkeypatch.chdir(tmp_path)
    assert_equal(load("a b/moved"), default[0], asked, ("test",))


def test_rows_keep_their_order_whatever_their_lengths(
    default: tuple[Run, Path], model: Model, asked: Asked
) -> None:
    for task in model.tasks:
        sentences = asked(default[0], "select", task)[:50]
        whole = model.predict(task, sentences)
        for i in (0, 7, 49):
            alone = model.predict(task, [sentences[i]])
            assert alone.labels == pytest.approx([whole.labels[i]])
            torch.testing.assert_close(alone.values, whole.values[i : i + 1])


def test_several_seeds_are_averaged(
    default: tuple[Run, Path], cosine: tuple[Run, Path], asked: Asked, tmp_path: Path
) -> None:
    for number, (_, folder) in zip((2, 10), (default, cosine), strict=True):
        shutil.copytree(folder, tmp_path / "retrain" / f"seed_{number}")
    (tmp_path / "retrain" / "seed_3" / "checkpoint_1").mkdir(parents=True)
    model = load(tmp_path)
    assert model.runs == ("seed_2", "seed_10")
    for task, own in model.tasks.items():
        rows = [run.probabilities("select")[task] for run, _ in (default, cosine)]  # type: ignore[index]
        mean = torch.stack(rows).mean(0)
        found = model.predict(task, asked(default[0], "select", task))
        assert torch.equal(found.values, decide(mean, own, (0.5 + 0.8) / 2))
    with pytest.raises(InputError, match="averages 2 runs"):
        model.embed(["a film"])


def test_white_space_around_a_sentence_is_left_out(model: Model) -> None:
    plain = model.predict("sts", [("a film", "a plot")])
    assert torch.equal(model.predict("sts", [(" a film\t", "\u3000a plot\n")]).values, plain.values)


def test_long_sentences_are_cut_as_in_training_and_counted(model: Model) -> None:
    longest = " ".join(["film"] * 126)
    found = model.predict("sst", [longest + " good bad", longest, "a film"])
    assert found.n_cut == 1
    assert found.values[0] == found.values[1]
    with pytest.warns(UserWarning, match="2 sentences cut to 126 tokens"):
        vectors = model.embed([longest + " good", longest + " bad"])
    torch.testing.assert_close(vectors[0], vectors[1])


def test_nothing_gives_nothing(model: Model) -> None:
    assert len(model.predict("sst", [])) == 0
    assert model.predict("para", []).probabilities is not None
    assert model.embed([]).shape == (0, 64)


@pytest.mark.parametrize(
    ("task", "sentences", "fragment"),
    [
        ("stt", ["a"], "no task 'stt'; this model has sst, para, sts; did you mean"),
        ("sst", "a film", "give a list of sentences for sst, not str"),
        ("sst", [("a", "b")], "sentence 1 is ('a', 'b'), not a string"),
        ("sst", ["a", None], "sentence 2 is None, not a string"),
        ("sst", ["a", " \n"], "sentence 2 is empty"),
        ("sst", ["a", "\ud800"], "sentence 2 is not Unicode text"),
        ("para", ["a", "b"], "example 1 is 'a', no pair; give a list of pairs"),
        ("para", [("a", "b", "c")], "example 1 is ('a', 'b', 'c'), no pair"),
        ("para", "ab", "give a list of pairs of sentences for para, not str"),
        ("sts", [("a", "b"), ("c", "")], "the second sentence of pair 2 is empty"),
        ("sts", [("a", 3)], "the second sentence of pair 1 is 3, not a string"),
    ],
)
def test_what_is_wrong_is_named(model: Model, task: str, sentences: Any, fragment: str) -> None:
    with pytest.raises(InputError) as caught:
        model.predict(task, sentences)
    assert fragment in str(caught.value)


def test_each_encoder_embeds_for_its_own_task(trained: Trained) -> None:
    _, folder = trained(encoder=EncoderConfig(sharing="per_task"))
    model = load(folder)
    with pytest.raises(InputError, match="say which one is meant by task="):
        model.embed(["a film"])
    a, b = (model.embed(["a film"], task) for task in ("sst", "sts"))
    assert a.shape == (1, 64)
    assert not torch.equal(a, b)
    with pytest.raises(InputError, match="no task 'x'"):
        model.embed(["a film"], "x")


def test_folders_without_a_model_are_refused(default: tuple[Run, Path], tmp_path: Path) -> None:
    for path, fragment in (
        (tmp_path / "no", "is not there"),
        (default[1] / RUN_CONFIG, "is a file"),
        (tmp_path, "holds no trained model"),
        (default[1] / "encoder", "holds no trained model"),
    ):
        with pytest.raises(InputError, match=fragment):
            load(path)
    with pytest.raises(InputError, match="device 'gpu' cannot be used"):
        load(default[1], device="gpu")


@pytest.mark.slow
def test_nothing_is_imported_before_it_is_needed(
    default: tuple[Run, Path], repository: Path
) -> None:
    """A program that predicts one sentence does little but import, torch most of it."""
    code = """
import sys, trainable
assert "torch" not in sys.modules
trainable.load(sys.argv[1]).predict("sst", ["a fine film"])
assert "torch" in sys.modules
slow = {"matplotlib", "optuna", "ray", "scipy.stats", "torch._dynamo"}
assert not slow & set(sys.modules), slow & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code, str(default[1])], check=True, cwd=repository)
    with pytest.raises(AttributeError, match="has no attribute 'lead'"):
        _ = trainable.lead  # type: ignore[attr-defined]
