"""What the processes of this room share: the order that they read, the functions that it names, and how they end."""

from __future__ import annotations

import importlib
import json
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tfx_pedigree.errors import InvalidInputError, NotFoundError, PedigreeError

FAILED = 1
Order = dict[str, Any]


def carry_out(work: Callable[[Order], None]) -> int:
    """Reads the order, one JSON object (PipelineConfig's form and more), from standard input; gives the exit code. What
    went wrong is one sentence on standard error, and all of it in the log."""
    order = json.load(sys.stdin)
    sys.path.insert(0, order["path"])
    try:
        work(order)
    except (Exception, SystemExit) as error:  # noqa: BLE001  a user's pipeline may raise anything
        if not isinstance(error, PedigreeError) or error.__cause__ is not None:
            with Path(order["log"]).open("a", encoding="utf-8") as file:
                traceback.print_exception(error, file=file)
        sys.stderr.write(f"Error: {refusal_in(error) or error}\n")
        return FAILED
    return 0


def refusal_in(error: BaseException) -> PedigreeError | None:
    """A component's own refusal is what a person needs; TFX may have wrapped it."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, PedigreeError):
        cause = cause.__cause__ or cause.__context__
    return cause


def function(name: str) -> Callable[[dict[str, Any]], Any]:
    """`package.module:function`, found and loaded."""
    module_name, _, attribute = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and not f"{module_name}.".startswith(f"{error.name}."):
            raise  # the module is there, but something that it imports is not
        raise NotFoundError(
            f"There is no module {module_name}. Set `pipeline.path` in the config file to the folder that holds it."
        ) from error
    found = getattr(module, attribute, None)
    if not callable(found):
        raise InvalidInputError(f"The module {module_name} has no function {attribute}.")
    result: Callable[[dict[str, Any]], Any] = found
    return result
