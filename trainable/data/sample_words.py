"""The words of the sample data: concepts with their synonyms, and adjectives with a strength.

All three tasks speak about the same things with the same words, as sentences of real tasks do, so
that a model can use the synonyms that it learned from one task in the others.
"""

from __future__ import annotations

# Each concept is a tuple of synonyms; concepts of one list exclude each other.
Concept = tuple[str, ...]

AGENTS: tuple[Concept, ...] = (
    ("doctor", "physician"),
    ("teacher", "instructor"),
    ("child", "kid"),
    ("writer", "author"),
    ("driver", "chauffeur"),
    ("thief", "robber"),
)

OBJECTS: tuple[Concept, ...] = (
    ("car", "automobile"),
    ("film", "movie"),
    ("house", "home"),
    ("song", "tune"),
    ("boat", "ship"),
    ("story", "tale"),
)

# Verbs as (base, participle) of each synonym: "will repair", "will be repaired".
ACTIONS: tuple[tuple[tuple[str, str], ...], ...] = (
    (("repair", "repaired"), ("fix", "fixed")),
    (("purchase", "purchased"), ("acquire", "acquired")),
    (("like", "liked"), ("enjoy", "enjoyed")),
    (("wash", "washed"), ("clean", "cleaned")),
    (("destroy", "destroyed"), ("ruin", "ruined")),
)

PLACES: tuple[Concept, ...] = (
    ("city", "town"),
    ("forest", "woods"),
    ("shop", "store"),
    ("garden", "yard"),
)

# Adjectives as concepts, with the sentiment they carry: -2 (awful) to 2 (wonderful).
ATTRIBUTES: tuple[tuple[Concept, int], ...] = (
    (("wonderful", "superb"), 2),
    (("good", "fine"), 1),
    (("nice", "pleasant"), 1),
    (("red", "crimson"), 0),
    (("old", "ancient"), 0),
    (("bad", "poor"), -1),
    (("dull", "boring"), -1),
    (("awful", "terrible"), -2),
)

# Adverbs of degree and what they do to the strength of an adjective.
DEGREES: tuple[tuple[str, float], ...] = (
    ("", 1.0),
    ("", 1.0),
    ("slightly", 0.5),
    ("somewhat", 0.5),
    ("very", 1.5),
    ("really", 1.5),
    ("extremely", 2.0),
    ("incredibly", 2.0),
)

QUESTIONS: tuple[Concept, ...] = (
    ("why", "for what reason"),
    ("how", "in what way"),
    ("when", "at what time"),
)

OPENINGS: tuple[str, ...] = ("", "", "", "honestly ,", "i think", "in short ,", "they say")
