"""Examples of the three tasks from a small grammar: `--data sample`.

Small enough for seconds of training, with structure that a better configuration learns better:
graded sentiment with negation and contrast; paraphrases by synonyms and word order against
near misses; similarity as the share of equal parts of the meaning. Labels carry noise, so that no
run reaches a perfect score.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
from datasets import Dataset

from trainable.data.dice import Dice
from trainable.data.examples import Examples, collect
from trainable.data.sample_words import (
    ACTIONS,
    AGENTS,
    ATTRIBUTES,
    DEGREES,
    OBJECTS,
    OPENINGS,
    PLACES,
    QUESTIONS,
)
from trainable.data.schema import to_schema
from trainable.tasks import COURSE, TaskName

# The tasks have different sizes, as in the course's data, so that batch orders differ.
N_EXAMPLES: dict[TaskName, dict[str, int]] = {
    "sst": {"train": 3000, "dev": 600, "test": 200},
    "para": {"train": 5000, "dev": 600, "test": 200},
    "sts": {"train": 2000, "dev": 600, "test": 200},
}

SST_NOISE = 0.08  # share of sentiment labels moved to a neighbouring class
PARA_NOISE = 0.03  # share of paraphrase labels inverted
PARA_POSITIVES = 0.4  # as in Quora's pairs

Example = tuple[str, str, float]  # sentence1, sentence2, label


@dataclass(frozen=True)
class Meaning:
    """The meaning of a sentence of a pair; the numbers index the lists of `sample_words`.

    `target` is the thing or person that the action is done to; with `person` it indexes `AGENTS`.
    """

    agent: int
    action: int
    target: int
    place: int
    attribute: int
    question: int
    person: bool = False
    negated: bool = False


SLOTS = {
    "agent": len(AGENTS),
    "action": len(ACTIONS),
    "target": len(OBJECTS),
    "place": len(PLACES),
    "attribute": len(ATTRIBUTES),
}


def generate_sample(seed: int) -> Examples:
    """Generate a few thousand examples per task; `N_EXAMPLES` says how many.

    Args:
        seed: Equal seeds give equal examples, in every process and on every machine.
    """
    splits: dict[TaskName, dict[str, Dataset]] = {task: {} for task in COURSE}
    for task in COURSE:
        for split, n in N_EXAMPLES[task].items():
            dice = Dice(f"{seed}:{task}:{split}")
            rows = [_GENERATORS[task](dice) for _ in range(n)]
            table = pa.table(
                {
                    "id": [f"sample-{task}-{split}-{number}" for number in range(n)],
                    "sentence1": [row[0] for row in rows],
                    "sentence2": [row[1] for row in rows],
                    "label": [row[2] for row in rows],
                }
            )
            # to_schema() leaves the labels of "test" out.
            splits[task][split], _ = to_schema(table, COURSE[task], split, f"sample {task}-{split}")
    return collect(COURSE, splits)


def sst_example(dice: Dice) -> Example:
    """Return a sentence with one or two opinions, "", and its class from 0 to 4."""
    form = dice.pick(("plain", "plain", "but", "although", "and"))
    first, value = _opinion(dice, long=form == "plain")
    sentence = f"{dice.pick(OPENINGS)} {first}"
    if form != "plain":
        second, other = _opinion(dice, long=False)
        if form == "but":  # the last clause counts
            sentence, value = f"{sentence} , but {second}", other
        elif form == "although":  # the main clause counts, wherever it stands
            first_counts = dice.chance(0.5)
            sentence = (
                f"{first} , although {second}" if first_counts else f"although {second} , {first}"
            )
        else:
            sentence, value = f"{sentence} and {second}", (value + other) / 2
    # |value| < 0.6 is neutral, from 1.6 on strong; values are multiples of 1/16.
    label = 2 + (1 if value > 0 else -1) * ((abs(value) >= 0.6) + (abs(value) >= 1.6))
    if dice.chance(SST_NOISE):
        label += dice.pick((-1, 1)) if 0 < label < 4 else (1 if label == 0 else -1)
    return " ".join(sentence.split()), "", float(label)


def _opinion(dice: Dice, long: bool) -> tuple[str, float]:
    """Return a clause such as "the film was not very good" and its value from -4 to 4.

    A long one also names an owner or a place, which does not change the value.
    """
    words, strength = dice.pick(ATTRIBUTES)
    degree, factor = dice.pick(DEGREES)
    value = strength * factor
    negation = ""
    if dice.chance(0.25):
        negation = "not"
        # "not extremely good" is no worse than "not very good".
        value = max(-1.5, min(1.5, -0.75 * value))
    detail = ""
    if long:
        owner, place = dice.pick(dice.pick(AGENTS)), dice.pick(dice.pick(PLACES))
        detail = dice.pick((f"of the {owner}", f"in the {place}", f"of the {owner} in the {place}"))
    thing, verb = dice.pick(dice.pick(OBJECTS)), dice.pick(("is", "was", "seems"))
    return f"the {thing} {detail} {verb} {negation} {degree} {dice.pick(words)}", value


def para_example(dice: Dice) -> Example:
    """Return two questions and whether they ask the same (1) or not (0)."""
    first = _meaning(dice, person=dice.chance(0.25), negated=dice.chance(0.2))
    second, label = first, 1.0
    if not dice.chance(PARA_POSITIVES):
        second, label = _near_miss(dice, first), 0.0
    if dice.chance(PARA_NOISE):
        label = 1.0 - label
    return _question(dice, first), _question(dice, second), label


def _near_miss(dice: Dice, meaning: Meaning) -> Meaning:
    """Return another meaning: one to five slots changed, roles swapped, or negated."""
    kind = dice.pick(("one", "two", "three", "four", "five", "question", "negated", "swapped"))
    if kind == "swapped" and meaning.person and meaning.agent != meaning.target:
        return replace(meaning, agent=meaning.target, target=meaning.agent)
    if kind == "negated":
        return replace(meaning, negated=not meaning.negated)
    if kind == "question":
        others = [i for i in range(len(QUESTIONS)) if i != meaning.question]
        return replace(meaning, question=dice.pick(others))
    return _change(dice, meaning, {"two": 2, "three": 3, "four": 4, "five": 5}.get(kind, 1))


def sts_example(dice: Dice) -> Example:
    """Return two statements and their similarity: the number of equal slots, 0 to 5, and noise."""
    first = _meaning(dice)
    n_changed = dice.pick(range(len(SLOTS) + 1))
    second = _change(dice, first, n_changed)
    noise = dice.pick((-0.4, -0.2, -0.2, 0.0, 0.0, 0.2, 0.2, 0.4))
    label = round(min(5.0, max(0.0, len(SLOTS) - n_changed + noise)), 1)
    return _statement(dice, first), _statement(dice, second), label


def _meaning(dice: Dice, person: bool = False, negated: bool = False) -> Meaning:
    slots = {name: dice.pick(range(n)) for name, n in SLOTS.items()}
    return Meaning(
        **slots, question=dice.pick(range(len(QUESTIONS))), person=person, negated=negated
    )


def _change(dice: Dice, meaning: Meaning, n_slots: int) -> Meaning:
    """Return the meaning with n_slots of its slots set to another value."""
    changes: dict[str, Any] = {
        name: dice.pick([i for i in range(SLOTS[name]) if i != getattr(meaning, name)])
        for name in dice.sample(list(SLOTS), n_slots)
    }
    return replace(meaning, **changes)


def _phrases(dice: Dice, meaning: Meaning) -> tuple[str, str, tuple[str, str], str, str]:
    """Return agent, target, action (base, participle), place and "not " or "", synonyms drawn."""
    targets = AGENTS if meaning.person else OBJECTS
    attribute = dice.pick(ATTRIBUTES[meaning.attribute][0])
    return (
        f"the {dice.pick(AGENTS[meaning.agent])}",
        f"the {attribute} {dice.pick(targets[meaning.target])}",
        dice.pick(ACTIONS[meaning.action]),
        f"in the {dice.pick(PLACES[meaning.place])}",
        "not " if meaning.negated else "",
    )


def _question(dice: Dice, meaning: Meaning) -> str:
    """Say the meaning as a question, active or passive, the place first or last."""
    agent, target, (base, participle), place, negation = _phrases(dice, meaning)
    word = dice.pick(QUESTIONS[meaning.question])
    return dice.pick(
        (
            f"{word} will {agent} {negation}{base} {target} {place} ?",
            f"{place} , {word} will {agent} {negation}{base} {target} ?",
            f"{word} will {target} {negation}be {participle} by {agent} {place} ?",
        )
    )


def _statement(dice: Dice, meaning: Meaning) -> str:
    """Say the meaning as a statement, active or passive, the place first or last."""
    agent, target, (base, participle), place, _ = _phrases(dice, meaning)
    return dice.pick(
        (
            f"{agent} will {base} {target} {place} .",
            f"{place} , {agent} will {base} {target} .",
            f"{target} will be {participle} by {agent} {place} .",
        )
    )


_GENERATORS: dict[TaskName, Callable[[Dice], Example]] = {
    "sst": sst_example,
    "para": para_example,
    "sts": sts_example,
}
