"""The sampling of operations for the cache report: all of the first ones, then one in ``STRIDE`` at random distances.

The distances are random, because programs repeat themselves: every 64th operation of a loop of 64 is the same one.
"""

from __future__ import annotations

from random import Random

from redispan._core.commands import identify
from redispan._core.operation import Operation
from redispan._insight.cache_patterns import CachePatterns

FIRST = 2000
STRIDE = 64
_BATCH_LOOKED_AT = 50


class CacheSampler:
    """A sampler that feeds ``CachePatterns``."""

    def __init__(self, patterns: CachePatterns, random: Random | None = None) -> None:
        """Create a sampler.

        Args:
            patterns: Receives the sampled commands.
            random: Random number generator for the distances; by default a new one.
        """
        self.patterns = patterns
        self._random = random or Random()  # noqa: S311 - for sampling only
        self.reset()

    def reset(self) -> None:
        """Start over: sample every operation again until ``FIRST`` is reached."""
        self._first_left = FIRST

    def sample(self, operation: Operation) -> int:
        """Sample an operation.

        Returns:
            The number of operations until the next one to sample.
        """
        early = self._first_left > 0
        if early:
            batch = operation.batch
            self._first_left -= 1 if batch is None else min(len(batch.commands), _BATCH_LOOKED_AT)
        if operation.error is None:
            self._look_at(operation, 1 if early else STRIDE, early=early)
        # 1 .. 2 * STRIDE - 1, whose mean is STRIDE.
        return 1 if self._first_left > 0 else 1 + int(self._random.random() * (2 * STRIDE - 1))

    def _look_at(self, operation: Operation, weight: int, *, early: bool) -> None:
        batch = operation.batch
        if batch is None:
            self.patterns.add(operation.info, operation.args, operation.response, weight, early=early)
            return
        responses = operation.response
        if not isinstance(responses, list) or len(responses) != len(batch.commands):
            return
        step = max(1, len(responses) // _BATCH_LOOKED_AT)
        for at in range(0, len(responses), step):
            args = batch.commands[at]
            self.patterns.add(identify(args), args, responses[at], weight * step, early=early)
