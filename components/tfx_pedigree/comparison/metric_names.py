"""A metric's name with all that it may say: `late/precision_at_recall(0.8)@class_id=3`.

Before the slash the output of a model with several, in brackets the metric's own parameter, after each @ what it is
taken of: one class, the k-th or the k best predictions, or an average over classes. This is how the results of TFMA are
named here, so a policy names what it reads. Law: `str(MetricName.parse(text)) == text` for whatever can be parsed, in
which the numbers are written as `str` writes them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tfx_pedigree.errors import InvalidInputError

AVERAGES = ("micro_average", "macro_average", "weighted_macro_average")
# In the order in which they stand in a name.
SUB_KEYS = ("class_id", "k", "top_k")
_FORM = re.compile(r"(?:(?P<output>[^@]+)/)?(?P<base>[^@/()]+)(?:\((?P<parameter>[0-9.]+)\))?(?P<of>(?:@[a-z_0-9=]+)*)")


@dataclass(frozen=True)
class MetricName:
    base: str
    parameter: float | None = None
    output: str = ""
    class_id: int | None = None
    k: int | None = None
    top_k: int | None = None
    average: str = ""

    @classmethod
    def parse(cls, text: str) -> MetricName:
        found = _FORM.fullmatch(text)
        if found is None:
            raise InvalidInputError(f"`{text}` is no name of a metric. {_LIKE}")
        of: dict[str, int | str] = {}
        for part in found["of"].split("@")[1:]:
            key, sign, value = part.partition("=")
            name = "average" if not sign and key in AVERAGES else key if sign and key in SUB_KEYS else ""
            if not name or name in of or (sign and not value.isdigit()):
                raise InvalidInputError(f"`{text}`: `@{part}` is not known. {_LIKE}")
            of[name] = int(value) if sign else key
        try:
            parameter = None if found["parameter"] is None else float(found["parameter"])
        except ValueError:
            raise InvalidInputError(f"`{text}`: ({found['parameter']}) is no number. {_LIKE}") from None
        return cls(found["base"], parameter, found["output"] or "", **of)  # type: ignore[arg-type]

    @property
    def with_parameter(self) -> str:
        """What TFMA is told to call it; output and classes are added by TFMA."""
        return self.base if self.parameter is None else f"{self.base}({self.parameter!r})"

    @property
    def suffix(self) -> str:
        numbers = {key: getattr(self, key) for key in SUB_KEYS}
        parts = [f"@{key}={value}" for key, value in numbers.items() if value is not None]
        return "".join([*parts, f"@{self.average}" if self.average else ""])

    def __str__(self) -> str:
        return f"{f'{self.output}/' if self.output else ''}{self.with_parameter}{self.suffix}"


_LIKE = (
    "Write it as `auc`, `late/auc` for one output, `auc@class_id=3`, `recall@top_k=5`, `auc@macro_average` or "
    "`precision_at_recall(0.8)`."
)


def base_of(text: str) -> str:
    """The bare name, also of what cannot be parsed: it is then its own."""
    found = parsed(text)
    return text if found is None else found.base


def output_of(text: str) -> str:
    """The output that the metric is one of; empty where it names none."""
    found = parsed(text)
    return "" if found is None else found.output


def parsed(text: str) -> MetricName | None:
    """None for what is no name of a metric of ours."""
    try:
        return MetricName.parse(text)
    except InvalidInputError:
        return None
