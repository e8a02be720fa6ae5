"""How long a service that does not answer is waited for: a few tries, each wait twice as long as the one before.

Only what is certain not to have happened, or is harmless when it happens twice, may be tried again: the caller says
which failures those are.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from tfx_pedigree.errors import InvalidInputError

T = TypeVar("T")

VARIABLE = "PEDIGREE_PATIENCE"
DEFAULT_SECONDS = 5.0
MOST_SECONDS = 3600.0
_FIRST_WAIT = 0.2
_SHORTEST_WAIT = 0.001
_LONGEST_WAIT = 15.0


@dataclass(frozen=True)
class RetryPolicy:
    """`seconds` are all waits together; what the tries themselves take comes on top. Zero means one try."""

    seconds: float = DEFAULT_SECONDS

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> RetryPolicy:
        text = (os.environ if environ is None else environ).get(VARIABLE)
        if not text:
            return cls()
        try:
            seconds = float(text)
        except ValueError:
            seconds = -1.0
        if not 0 <= seconds <= MOST_SECONDS:
            raise InvalidInputError(
                f"{VARIABLE} is {text!r}. Give the seconds for which a service that does not answer is waited for, "
                f"from 0 to {MOST_SECONDS:.0f}."
            )
        return cls(seconds)

    def waits(self) -> Iterator[float]:
        """The pauses between tries. Uneven, so that many who were cut off at once do not come back at once."""
        left, wait = self.seconds, min(_FIRST_WAIT, max(self.seconds / 8, _SHORTEST_WAIT))
        while left > 0:
            pause = min(left, wait * random.uniform(0.75, 1.25))  # noqa: S311  no secret
            yield pause
            left -= pause
            wait = min(2 * wait, _LONGEST_WAIT)

    def calls(
        self,
        work: Callable[[], T],
        troubles: type[Exception] | tuple[type[Exception], ...],
        lasting: Callable[[Any], bool] = lambda error: False,
    ) -> T:
        """What `work` returns, tried again while it raises one of `troubles`, but for those that are `lasting`."""
        for pause in self.waits():
            try:
                return work()
            except troubles as error:
                if lasting(error):
                    raise
            time.sleep(pause)
        return work()
