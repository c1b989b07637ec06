from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from spaces.catalogue import SPACE_NAMES, make_space
from spaces.edit_space import edit_space, moved
from spaces.edits import Edits, parse_edits
from spaces.params import Param, all_params
from spaces.space import Space
from spaces.space_file import read_space_file
from trainable.component import Choice, FloatRange, IntRange, Value
from trainable.errors import InputError
from trainable.run_config import RunConfig

BASE = RunConfig()
SPACES = {name: make_space(name, BASE) for name in SPACE_NAMES}
KNOWN = {param.name: param for param in all_params(BASE)}
REACHED = {name: [p.name for p in space.reachable] for name, space in SPACES.items()}
LR = "multitask.optimization.lr"


def edited(name: str = "full", **texts: list[str]) -> Space:
    return edit_space(SPACES[name], parse_edits(**texts))


def refusal(name: str = "full", **texts: list[str]) -> str:
    with pytest.raises(InputError) as caught:
        edited(name, **texts)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def drawn(space: Space, seed: int) -> tuple[dict[str, Value], RunConfig]:
    """Draw params as random search does, and return them with their configuration."""
    generator, params = random.Random(seed), {}
    for param in space.params():
        if all(params.get(parent) == kind for parent, kind in param.parents):
            params[param.name] = param.domain.draw(generator)
    return params, space.config_of(params)


def values(config: RunConfig) -> dict[str, Value]:
    return Space("", config, ("*",)).params_of(config)


def text_of(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def option_of(draw: st.DataObject, param: Param) -> tuple[str, str]:
    """Draw an option for a param, and the text that follows the name and `=`."""
    domain = param.domain
    if isinstance(domain, Choice):
        if draw.draw(st.booleans()):
            return "fix", text_of(draw.draw(st.sampled_from(domain.values)))
        some = st.lists(st.sampled_from(domain.values), min_size=2, unique=True)
        return "choices", ",".join(map(text_of, draw.draw(some)))
    numbers = (
        st.integers(domain.low, domain.high)
        if isinstance(domain, IntRange)
        else st.floats(domain.low, domain.high)
    )
    low, high = sorted((draw.draw(numbers), draw.draw(numbers)))
    if low == high:
        return "fix", str(low)
    return "range", f"{low}..{high}"


def draw_options(draw: st.DataObject, name: str) -> dict[str, list[str]]:
    some = st.sampled_from(REACHED[name])
    names = draw.draw(st.lists(some, min_size=1, max_size=3, unique=True), label="names")
    options: dict[str, list[str]] = {"fix": [], "range": [], "choices": [], "vary": []}
    for name in names:
        option, text = option_of(draw, KNOWN[name])
        options[option].append(f"{name}={text}")
    if draw.draw(st.booleans(), label="vary"):
        options["vary"] = draw.draw(st.lists(st.sampled_from(["*.lr", "*.dropout", "*.pair*"])))
    return options


def accepted(name: str, options: dict[str, list[str]]) -> Space:
    """Return the edited space; what does not go together is no example of these properties."""
    try:
        return edited(name, **options)
    except InputError:
        assume(False)
        raise


@pytest.mark.slow
@settings(max_examples=20)
@given(st.data(), st.sampled_from(sorted(SPACES)), st.integers(0, 99))
def test_every_suggestion_is_as_the_user_wants(draw: Any, name: str, seed: int) -> None:
    options = draw_options(draw, name)
    space = accepted(name, options)
    params, config = drawn(space, seed)
    found = values(config)
    for text in options["fix"]:
        path, _, value = text.partition("=")
        assert path not in params
        assert path not in found or text_of(found[path]) == value
    for text in options["range"]:
        path, _, ends = text.partition("=")
        low, high = map(float, ends.split(".."))
        assert path not in found or low <= found[path] <= high
    for text in options["choices"]:
        path, _, some = text.partition("=")
        assert path not in found or text_of(found[path]) in some.split(",")


@pytest.mark.slow
@settings(max_examples=20)
@given(st.data(), st.sampled_from(sorted(SPACES)), st.integers(0, 99))
def test_an_edited_space_is_a_space_like_any_other(draw: Any, name: str, seed: int) -> None:
    """What it announces is what it suggests, and it holds its suggestions and its base."""
    space = accepted(name, draw_options(draw, name))
    params, config = drawn(space, seed)
    assert space.params_of(config) == params
    assert space.why_not(config) is None
    assert space.why_not(space.base) is None
    assert space.config_of(space.params_of(space.base)) == space.base
    base = values(space.base)
    for path, value in values(config).items():
        if path not in params and path not in space.fixed and path in base:
            assert value == base[path]


@pytest.mark.slow
@settings(max_examples=20)
@given(st.data(), st.sampled_from(sorted(SPACES)))
def test_a_file_means_what_the_options_mean(
    tmp_path_factory: pytest.TempPathFactory, draw: Any, name: str
) -> None:
    options = draw_options(draw, name)
    space = accepted(name, options)
    content: dict[str, Any] = {"from": name, "vary": options["vary"]}
    for key in ("fix", "range", "choices"):
        pairs = (text.partition("=")[::2] for text in options[key])
        content[key] = {
            path: value.split(",") if key == "choices" else value for path, value in pairs
        }
    path = tmp_path_factory.mktemp("space") / "own.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    start, edits = read_space_file(path)
    assert start == name
    assert edit_space(SPACES[start], edits) == space


@pytest.mark.parametrize("name", sorted(SPACES))
def test_without_changes_a_space_stays_as_it_is(name: str) -> None:
    assert edit_space(SPACES[name], Edits()) is SPACES[name]
    assert edited(name) is SPACES[name]


def test_a_pattern_fixes_all_that_match() -> None:
    space = edited(fix=["*.pooling=mean"])
    assert {values(space.base)[f"{task}.pooling"] for task in ("sst", "para", "sts")} == {"mean"}
    assert not any(param.name.endswith(".pooling") for param in space.params())


def test_vary_takes_the_place_of_what_the_space_varies() -> None:
    names = {param.name for param in edited(vary=["sst.*"]).params()}
    assert names == {p.name for p in SPACES["full"].params() if p.name.startswith("sst.")}
    more = edited(vary=["sst.*"], range=[f"{LR}=1e-5..1e-4"])
    assert {param.name for param in more.params()} == names | {LR}


def test_a_range_lets_vary_what_did_not() -> None:
    assert not SPACES["smoke"].varies("sst.dropout")
    (added,) = {
        p.name: p for p in edited("smoke", range=["sst.dropout=0..0.9"]).params()
    }.keys() - {param.name for param in SPACES["smoke"].params()}
    assert added == "sst.dropout"


def test_a_range_may_be_wider_than_the_usual_one_and_not_than_the_field_allows() -> None:
    assert KNOWN["sst.dropout"].domain == FloatRange(0.0, 0.8)
    wide = edited(range=["sst.dropout=0..0.95"])
    assert wide.narrowed["sst.dropout"] == FloatRange(0.0, 0.95)
    message = refusal(range=["sst.dropout=0..1"])
    assert (
        "--range 'sst.dropout=0..1': sst.dropout cannot be 1.0: it should be less than 1" in message
    )


def test_a_base_outside_a_range_moves_into_it_and_that_is_said() -> None:
    start = edited(fix=[f"{LR}=3e-5", "sst.pooling=cls"])
    before = make_space("full", start.base)
    texts = parse_edits(range=[f"{LR}=1e-5..2e-5"], choices=["sst.pooling=max,mean"])
    space = edit_space(before, texts)
    assert space.base.multitask is not None
    assert space.base.multitask.optimization.lr == 2e-5
    assert values(space.base)["sst.pooling"] == "max"
    found = [note.split(" is outside")[0] for note in moved(before, space)]
    assert found == [
        "the first trial has sst.pooling = max, because cls",
        f"the first trial has {LR} = 2e-05, because 3e-05",
    ]


def test_a_param_below_another_component_than_that_of_the_base_is_fixed_there() -> None:
    space = edited(fix=["sst.head.mlp.width=512"])
    assert values(space.base)["sst.head"] == "linear"
    config = space.config_of({**space.params_of(space.base), **mlp(space)})
    assert values(config)["sst.head.mlp.width"] == 512
    assert space.why_not(config) is None
    other = edited(fix=["sst.head.mlp.width=64"])
    assert "width is 512, the space has 64" in str(other.why_not(config))


def mlp(space: Space) -> dict[str, Value]:
    names = [p for p in space.params() if p.name.startswith("sst.head.mlp.")]
    return {"sst.head": "mlp", **{p.name: p.domain.draw(random.Random(0)) for p in names}}


def test_changes_of_a_file_give_way_to_those_of_the_command_line() -> None:
    file = edited(fix=["sst.dropout=0.2", "para.dropout=0.3"], range=[f"{LR}=1e-5..1e-4"])
    both = edit_space(file, parse_edits(fix=[f"{LR}=2e-5"], range=["sst.dropout=0..0.1"]))
    assert both.fixed == {"para.dropout": 0.3, LR: 2e-5}
    assert both.varies("sst.dropout")


REFUSED = {
    "a misspelt name": ({"fix": ["sst.poolin=mean"]}, ["'sst.poolin'", "mean 'sst.pooling'?"]),
    "a misspelt pattern": ({"fix": ["*.poolin=mean"]}, ["'*.poolin'", "mean '*.pooling'?"]),
    "a pattern far from all": ({"vary": ["qqq?"]}, ["'qqq?'", "--dry-run lists them"]),
    "an unknown component": ({"fix": ["sst.pooling=mena"]}, ["cannot be mena", "mean 'mean'?"]),
    "an unknown choice": ({"fix": ["para.loss=huber"]}, ["para.loss", "'bce' or 'mse'"]),
    "a component of one task only": ({"fix": ["*.pair=bilinear"]}, ["bilinear", "joint"]),
    "too much": ({"fix": ["sst.dropout=1"]}, ["sst.dropout cannot be 1.0", "less than 1"]),
    "too little": ({"range": [f"{LR}=-1..1"]}, [LR, "logarithm"]),
    "zero of a logarithm": ({"range": [f"{LR}=0..1e-4"]}, [LR, "more than 0"]),
    "a word for a number": ({"fix": ["sst.dropout=low"]}, ["a number, not 'low'", "0 .. 0.8"]),
    "NaN": ({"fix": ["sst.dropout=nan"]}, ["sst.dropout cannot be nan", "finite"]),
    "infinity": ({"fix": ["*.depth=inf"]}, ["a whole number, not 'inf'"]),
    "a part of a number": ({"fix": ["*.depth=1.5"]}, ["a whole number, not '1.5'"]),
    "no truth": ({"fix": ["*.amsgrad=yes"]}, ["true or false, not 'yes'"]),
    "a range of words": ({"range": ["sst.pooling=1..2"]}, ["give --choices", "attention,cls"]),
    "twice": ({"fix": ["sst.pooling=cls", "*.pooling=cls"]}, ["sst.pooling is set already by"]),
    "fixed and ranged": (
        {"fix": ["sst.dropout=0.1"], "range": ["sst.dropout=0..0.5"]},
        ["--range", "is set already by --fix 'sst.dropout=0.1'"],
    ),
    "fixed and varied": (
        {"fix": ["sst.dropout=0.1"], "vary": ["sst.dropout"]},
        ["--vary 'sst.dropout'", "is fixed", "drop one"],
    ),
    "a child of another component": (
        {"fix": ["sst.pooling=mean"], "vary": ["sst.pooling.cls.*"]},
        ["sst.pooling.cls.pooler exists only where sst.pooling is cls, and here it is mean"],
    ),
    "a child of what is no choice": (
        {"choices": ["sst.pooling=mean,max"], "fix": ["sst.pooling.cls.pooler=true"]},
        ["--fix", "only where sst.pooling is cls, and here it is mean | max"],
    ),
    "a child of a stage that is left out": ({"fix": ["nli.linear.lr=1e-4"]}, ["nli is linear"]),
    "what does not go together": (
        {"fix": ["*.largest=4"]},
        ["largest = 4 does not go with", "smallest = 8", "both can be suggested"],
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused_by_name(case: str) -> None:
    texts, fragments = REFUSED[case]
    message = refusal(**texts)
    for fragment in fragments:
        assert fragment in message


def test_a_value_for_many_is_not_refused_for_what_no_suggestion_has() -> None:
    """`nli.contrastive.pooling` cannot be the maximum."""
    poolings = {name for name in REACHED["full"] if name.endswith(".pooling")}
    assert edited(fix=["*.pooling=max"]).fixed == dict.fromkeys(poolings, "max")
    several = edited(choices=["*.pooling=mean,max"]).narrowed
    found = {name: domain for name, domain in several.items() if name.endswith(".pooling")}
    assert found == dict.fromkeys(poolings, Choice(("mean", "max")))


def test_a_value_for_many_is_refused_for_what_a_suggestion_has() -> None:
    alone = refusal(fix=["nli.contrastive.pooling=max"])
    reached = refusal(fix=["nli=contrastive", "*.pooling=max"])
    for message in (alone, reached, refusal("stages", fix=["*.pooling=max"])):
        assert "nli.contrastive.pooling cannot be max" in message


def test_a_space_in_which_nothing_varies_is_refused() -> None:
    message = refusal("smoke", fix=[f"{LR}=1e-3", "*.pair=joint"])
    assert "nothing is left to vary" in message


@pytest.mark.slow
def test_values_that_go_together_only_when_the_base_moves_are_allowed() -> None:
    space = edited(choices=["*.smallest=8,32", "*.largest=32,64"])
    for seed in range(20):
        drawn(space, seed)


def test_a_word_of_yaml_that_became_a_truth_is_named(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("fix: {nli: off}\n")
    with pytest.raises(InputError, match="not False; YAML reads yes, no, on and off as true"):
        edit_space(SPACES["full"], read_space_file(path)[1])
