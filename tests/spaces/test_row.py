"""Every published row as a configuration and as a run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.resources import files

import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import trainable.data.prepare
from spaces.params import rebuild
from spaces.published import load_published
from tests.spaces.rows_written_out import FOLDER, papers
from trainable.component import Choice, Domain, Value
from trainable.data.nli import HubNli, SampleNli
from trainable.data.pos_tags import PosTagger
from trainable.data.pretraining_text import HubText, OwnText
from trainable.data.sources import Cs224nData
from trainable.errors import InputError
from trainable.model.encoder import EncoderConfig
from trainable.optim.adamw import Optimization
from trainable.partial_config import merged
from trainable.run_config import RunConfig
from trainable.stages.head_tuning import CachedHeadTuning
from trainable.stages.language_modelling import MaskedLanguageModelling
from trainable.stages.multitask import Multitask
from trainable.stages.nli_training import ContrastiveNli
from trainable.tasks import COURSE
from trainable.training.inputs import InputsSpec, RunInputs, open_inputs
from trainable.training.loop import Run

ROWS = {row.id: row for row in load_published()}
RUNNABLE = tuple(row.id for row in load_published() if not row.why_not)

# A search over the course's files, and one of a few steps on the sample.
SEARCH = RunConfig(
    seed=7,
    data=Cs224nData(dir="/data"),
    encoder=EncoderConfig(
        source="google-bert/bert-base-uncased", revision="abc", attention_dropout=0.2
    ),
    multitask=Multitask(budget_tokens=123, units=3, precision="bf16"),
)
SHORT = RunConfig(multitask=Multitask(budget_tokens=1_500, units=1))


@pytest.mark.parametrize("name", RUNNABLE)
def test_a_row_comes_back_equal_from_json(name: str) -> None:
    config = ROWS[name].config(SEARCH)
    text = json.dumps(config.to_dict(), allow_nan=False)
    assert RunConfig.from_dict(json.loads(text), "test") == config


def test_what_belongs_to_a_search_is_that_of_the_search() -> None:
    for name in RUNNABLE:
        config = ROWS[name].config(SEARCH)
        assert (config.seed, config.data) == (SEARCH.seed, SEARCH.data)
        assert config.encoder.source == SEARCH.encoder.source
        assert config.encoder.revision == SEARCH.encoder.revision
        assert config.encoder.attention_dropout == SEARCH.encoder.attention_dropout
        if config.multitask is not None:
            assert config.multitask.budget_tokens == 123
            assert config.multitask.units == 3
            assert config.multitask.precision == "bf16"
        for stage in (config.further_pretraining, config.nli):
            if stage.kind != "none":
                assert (stage.budget_tokens, stage.precision) == (123, "bf16")


def test_an_encoder_from_scratch_takes_its_learning_rates_from_the_search() -> None:
    published = ROWS["one-size/baseline"].config(SEARCH)
    assert published.multitask is not None
    assert published.multitask.optimization.lr == 2e-5
    rates = Optimization(lr=2e-3, head_lr=4e-3)
    base = SHORT.model_copy(update={"multitask": Multitask(optimization=rates)})
    scratch = ROWS["one-size/baseline"].config(base)
    assert scratch.multitask is not None
    wanted = published.multitask.optimization.model_copy(update={"lr": 2e-3, "head_lr": 4e-3})
    assert scratch.multitask.optimization == wanted


@pytest.mark.parametrize("paper", papers())
def test_every_row_is_what_is_written_out(paper: str) -> None:
    """A field that a file of a paper lost, or a default that a row leaned on and that moved."""
    expected = json.loads((FOLDER / f"{paper}.json").read_text(encoding="utf-8"))
    found = json.loads(json.dumps(papers()[paper]))
    assert list(found) == list(expected)
    for name, row in expected.items():
        assert found[name] == row, name


def test_no_row_is_written_out_that_is_not_published() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == {"defaults", *papers()}


def test_stages_read_what_the_paper_read_or_what_is_given() -> None:
    row = ROWS["college/mlm+nli-contrastive+additive"]
    as_published = row.config(SEARCH)
    assert isinstance(as_published.further_pretraining, MaskedLanguageModelling)
    assert as_published.further_pretraining.sources == (HubText(name="paws"),)
    assert isinstance(as_published.nli, ContrastiveNli)
    assert as_published.nli.source == HubNli(name="snli+multi_nli")
    offline = row.config(SEARCH, (OwnText(),), SampleNli())
    assert isinstance(offline.further_pretraining, MaskedLanguageModelling)
    assert offline.further_pretraining.sources == (OwnText(),)
    assert isinstance(offline.nli, ContrastiveNli)
    assert offline.nli.source == SampleNli()


OPTIMIZATION = {
    "layer_decay": 1.0,
    "weight_decay": 0.0,
    "schedule": {"kind": "constant"},
    "warmup": 0.0,
    "clip": {"kind": "none"},
}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "one-size/final",
            {
                "sst": {"dropout": 0.3},
                "para": {"dropout": 0.3, "pair": {"kind": "joint", "join": "sep"}},
                "sts": {
                    "pooling": {"kind": "mean"},
                    "dropout": 0.0,
                    "pair": {"kind": "cosine", "scaling": {"kind": "relu"}},
                    "loss": "mse",
                },
                "multitask": {
                    "batch_order": {"kind": "set_round_robin", "batch_size": 8, "cap": 0},
                    "optimization": {"lr": 2e-5, "head_lr": 2e-5, **OPTIMIZATION},
                },
            },
        ),
        (
            "leave/NLI+GSw+FL-ConcatB+AL",
            {
                "sst": {"dropout": 0.3, "head": (head := {
                    "kind": "mlp", "width": 768, "activation": "leaky_relu", "dropout": 0.45
                })},
                "para": {"dropout": 0.3, "pair": {"kind": "joint", "join": "sep", "head": head}},
                "sts": {
                    "dropout": 0.3,
                    "pair": {"kind": "joint", "join": "sep", "head": head},
                    "loss": "mse",
                },
                "nli": {
                    "kind": "linear",
                    "source": {"kind": "hub", "name": "multi_nli"},
                    "pooling": "cls",
                    "batch_size": 16,
                    "lr": 1e-5,
                    "head_lr": 1e-5,
                    "warmup": 0.0,
                },
                "multitask": {
                    "batch_order": {
                        "kind": "lock_step",
                        "batch_size": 16,
                        "gradients": {"kind": "pcgrad_tseng"},
                    },
                    "optimization": {"lr": 1e-5, "head_lr": 1e-5, **OPTIMIZATION},
                },
                "head_tuning": {
                    "kind": "cached",
                    "epochs": 10,
                    "batch_size": 8,
                    "lr": 1e-5,
                    "weight_decay": 0.0,
                },
            },
        ),
    ],
)  # fmt: skip
def test_a_row_adds_up_to_what_the_paper_describes(name: str, expected: dict[str, object]) -> None:
    """Written out by hand, without what the row comes from, over what no paper says."""
    own = {name: expected[name] for name in COURSE}
    others = {name: value for name, value in expected.items() if name not in COURSE}
    unsaid = yaml.safe_load((files("spaces") / "unsaid.yaml").read_text(encoding="utf-8"))
    wanted = RunConfig.model_validate(merged(unsaid, {**others, "tasks": own}))
    # Not from scratch: learning rates as published.
    encoder = wanted.encoder.model_copy(update={"source": "bert"})
    base = RunConfig(encoder=EncoderConfig(source="bert"))
    assert ROWS[name].config(base) == wanted.model_copy(update={"encoder": encoder})


@pytest.mark.parametrize("name", RUNNABLE)
def test_a_search_reaches_every_published_value(name: str) -> None:
    """A published value that lies outside the range of its field could not start a search."""

    def check(here: str, domain: Domain, current: Value) -> Value:
        if isinstance(domain, Choice):
            assert current in domain.values, here
        else:
            assert not isinstance(current, str)
            assert domain.low <= current <= domain.high, here
        return current

    rebuild(ROWS[name].config(SEARCH), check)


class Nouns:
    """Calls every word a noun; stands in for a tagger that would be downloaded."""

    def tag(self, tokens: list[str]) -> list[tuple[str, str]]:
        return [(token, "NN") for token in tokens]


def with_an_eighth(inputs: RunInputs) -> RunInputs:
    """Return inputs with the first eighth of each train set: epochs of heads end sooner."""
    corpus = inputs.corpus
    train = {
        name: replace(
            rows,
            starts=rows.starts[:, : len(rows) // 8],
            lengths=rows.lengths[:, : len(rows) // 8],
            labels=None if rows.labels is None else rows.labels[: len(rows) // 8],
            ids=rows.ids[: len(rows) // 8],
        )
        for name, rows in corpus.splits["train"].items()
    }
    return replace(inputs, corpus=corpus.with_train(train))


@pytest.fixture(scope="module")
def inputs_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., RunInputs]]:
    """Return a function from a configuration to its inputs. Rows share those, and stages."""
    opened: dict[InputsSpec, RunInputs] = {}

    def inputs_of(config: RunConfig) -> RunInputs:
        source = InputsSpec.of(config)
        if source not in opened:
            opened[source] = with_an_eighth(open_inputs(config, torch.device("cpu")))
        return opened[source]

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MTBERT_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(trainable.data.prepare, "load_tagger", lambda: PosTagger(Nouns(), "nouns"))
        yield inputs_of


def tensors(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def changed(module: nn.Module, before: dict[str, torch.Tensor]) -> bool:
    return any(not torch.equal(before[name], t) for name, t in module.state_dict().items())


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNNABLE)
def test_a_row_trains_what_it_says(name: str, inputs_of: Callable[..., RunInputs]) -> None:
    config = ROWS[name].config(SHORT, (OwnText(),), SampleNli())
    tuned: set[str] = set()
    if isinstance(config.head_tuning, CachedHeadTuning):
        tuned = set(config.head_tuning.tasks.split("+"))
        quick = config.head_tuning.model_copy(update={"epochs": 1, "batch_size": 64})
        config = config.model_copy(update={"head_tuning": quick})
    run = Run(config, inputs_of(config))
    encoders, heads = tensors(run.model.encoders), tensors(run.model.tasks)
    run.train_unit()
    assert run.done

    taught = set(config.multitask.tasks.split("+")) if config.multitask else set()
    assert run.steps >= 2 * bool(config.multitask)
    has_prefix = config.further_pretraining.kind != "none" or config.nli.kind != "none"
    assert changed(run.model.encoders, encoders) == (has_prefix or config.multitask is not None)
    for task, module in run.model.tasks.items():
        own = {key.removeprefix(f"{task}."): t for key, t in heads.items() if key.startswith(task)}
        if changed(module, own):
            assert task in taught | tuned
        else:  # not reached in a few steps, or nothing in it to train
            assert task not in tuned or not list(module.parameters())


trees = st.recursive(
    st.integers(0, 3) | st.none(),
    lambda children: (
        st.dictionaries(st.sampled_from("abc"), children, max_size=3)
        | st.tuples(st.sampled_from("xy"), children).map(lambda t: {"kind": t[0], "a": t[1]})
    ),
    max_leaves=12,
)
mappings = st.dictionaries(st.sampled_from("abc"), trees, max_size=3)


@given(mappings, mappings)
def test_a_change_made_twice_is_made_once(values: object, change: object) -> None:
    once = merged(values, change)
    assert merged(once, change) == once


@given(mappings)
def test_no_change_changes_nothing(values: object) -> None:
    assert merged(values, {}) == values


def test_another_kind_replaces_and_the_same_merges() -> None:
    pair = {"kind": "joint", "join": "sep", "head": {"kind": "mlp", "width": 64}}
    assert merged({"pair": pair}, {"pair": {"kind": "cosine"}}) == {"pair": {"kind": "cosine"}}
    same = {"pair": pair | {"join": "none"}}
    assert merged({"pair": pair}, {"pair": {"join": "none"}}) == same
    assert merged({"pair": pair}, {"pair": {"kind": "joint", "join": "none"}}) == same
    assert merged({"pair": pair}, {"pair": {"head": {"kind": "linear"}}}) == {
        "pair": pair | {"head": {"kind": "linear"}}
    }


def test_a_field_that_no_configuration_has_is_refused_with_the_row() -> None:
    row = replace(ROWS["one-size/baseline"], id="p/a", differences={"sst": {"dorpout": 0.1}})
    with pytest.raises(InputError, match=r"row p/a: .*\n*sst\.dorpout"):
        row.config(RunConfig())


def test_a_text_is_no_number_and_a_list_is_a_tuple() -> None:
    row = replace(ROWS["one-size/baseline"], differences={"sst": {"dropout": "0.3"}})
    with pytest.raises(InputError, match=r"sst\.dropout"):
        row.config(RunConfig())
    text = {"kind": "mlm", "sources": [{"kind": "hub", "name": "paws"}]}
    config = replace(row, differences={"further_pretraining": text}).config(RunConfig())
    assert getattr(config.further_pretraining, "sources", None) == (HubText(name="paws"),)


def test_a_row_with_a_reason_has_no_configuration() -> None:
    row = replace(ROWS["one-size/baseline"], id="p/a", why_not="It needs a thing.")
    with pytest.raises(InputError, match=r"row p/a cannot be run: It needs a thing\."):
        row.config(RunConfig())
