"""Independent seeds from one: a run has several generators and one seed."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor


def derive(seed: int, *names: str | int) -> int:
    """Return a seed in [0, 2**63) for the named purpose, the same on every machine."""
    text = ":".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


class ExampleOrder:
    """Numbers of examples in shuffled order, pass after pass.

    The order of a pass depends on the seed and the number of the pass only, so the state is one
    number.

    Args:
        n_examples: Size of the train set, at least 1.
        seed: Seed of the orders.
    """

    def __init__(self, n_examples: int, seed: int) -> None:
        self.n_examples = n_examples
        self.seed = seed
        self.position = 0
        self._pass = -1
        self._order = torch.empty(0, dtype=torch.int64)

    def take(self, n: int) -> Tensor:
        """Return the next n numbers, (n,) int64; a new pass begins where one ends."""
        parts = []
        while n > 0:
            number, offset = divmod(self.position, self.n_examples)
            if number != self._pass:
                generator = torch.Generator().manual_seed(derive(self.seed, number))
                self._order = self._draw_pass(generator)
                self._pass = number
            parts.append(self._order[offset : offset + n])
            self.position += len(parts[-1])
            n -= len(parts[-1])
        return torch.cat(parts)

    def _draw_pass(self, generator: torch.Generator) -> Tensor:
        return torch.randperm(self.n_examples, generator=generator)


class ReplacementOrder(ExampleOrder):
    """Numbers of examples drawn with replacement: each is as likely at every draw.

    A "pass" is only how many numbers are drawn at once.
    """

    def _draw_pass(self, generator: torch.Generator) -> Tensor:
        return torch.randint(self.n_examples, (self.n_examples,), generator=generator)
