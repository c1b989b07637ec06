"""Inference examples from the small grammar of the sample data.

A premise names either the place or the attribute of what is done. What it entails says the same or
less; what is neutral adds the detail that the premise leaves open; what contradicts it changes one
thing, or denies it.
"""

from __future__ import annotations

from trainable.data.dice import Dice
from trainable.data.sample import SLOTS
from trainable.data.sample_words import ACTIONS, AGENTS, ATTRIBUTES, OBJECTS, PLACES

N_PREMISES = 1500  # three examples each

_CORE = ("agent", "action", "target")
_DETAILS = ("place", "attribute")

Slots = dict[str, int]  # slot -> number of the concept
NliRow = tuple[str, str, str]  # premise, hypothesis, label


def generate_nli(seed: int) -> list[NliRow]:
    """Return an entailment, a neutral one and a contradiction for each of N_PREMISES premises.

    Args:
        seed: Equal seeds give equal examples, in every process and on every machine.
    """
    dice = Dice(f"{seed}:nli")
    rows: list[NliRow] = []
    for _ in range(N_PREMISES):
        meaning = {name: dice.pick(range(n)) for name, n in SLOTS.items()}
        known, unknown = dice.sample(_DETAILS, 2)
        said = {*_CORE, known}
        premise = _say(dice, meaning, said)
        rows.append((premise, _say(dice, meaning, _perhaps(dice, said, known)), "entailment"))
        more = _perhaps(dice, {*said, unknown}, known)
        rows.append((premise, _say(dice, meaning, more), "neutral"))
        rows.append((premise, _contradiction(dice, meaning, said, known), "contradiction"))
    return rows


def _perhaps(dice: Dice, said: set[str], detail: str) -> set[str]:
    """Leave out the detail, every other time."""
    return said - {detail} if dice.chance(0.5) else said


def _contradiction(dice: Dice, meaning: Slots, said: set[str], known: str) -> str:
    """Deny the premise, or change one thing that it says."""
    changed = dice.pick((*_CORE, known, "denied"))
    if changed == "denied":
        return _say(dice, meaning, _perhaps(dice, said, known), negation="not ")
    others = [i for i in range(SLOTS[changed]) if i != meaning[changed]]
    kept = said if changed == known else _perhaps(dice, said, known)
    return _say(dice, {**meaning, changed: dice.pick(others)}, kept)


def _say(dice: Dice, meaning: Slots, said: set[str], negation: str = "") -> str:
    """Say what is to be said, in the active or the passive, with synonyms drawn."""
    agent = f"the {dice.pick(AGENTS[meaning['agent']])}"
    base, participle = dice.pick(ACTIONS[meaning["action"]])
    attribute = dice.pick(ATTRIBUTES[meaning["attribute"]][0]) if "attribute" in said else ""
    target = f"the {attribute} {dice.pick(OBJECTS[meaning['target']])}"
    place = f"in the {dice.pick(PLACES[meaning['place']])}" if "place" in said else ""
    form = dice.pick(
        (
            f"{agent} will {negation}{base} {target} {place} .",
            f"{target} will {negation}be {participle} by {agent} {place} .",
        )
    )
    return " ".join(form.split())
