"""Runs the pipeline that a config names, in a process of its own: what `pedigree pipeline run` starts.

Reads one JSON object from standard input (PipelineConfig's form, with `span` and `pedigree` put into the settings),
writes a line for each component to standard error, and ends with the exit code of docs/cli.md.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tfx_pedigree.errors import InvalidInputError, NotFoundError, PedigreeError
from tfx_pedigree.tfx_runner.local_run import run_local

FAILED = 1


def main() -> int:
    order = json.load(sys.stdin)
    sys.path.insert(0, order["path"])
    settings = order["settings"]
    try:
        if order["prepare"]:
            function(order["prepare"])(settings)
        # Loading the pipeline's module loads TensorFlow: that belongs where the noise goes into the log.
        run_local(lambda: function(order["create"])(settings), Path(order["log"]))
    except PedigreeError as error:
        sys.stderr.write(f"Error: {error}\n")
        return FAILED
    except Exception as error:  # noqa: BLE001  a user's pipeline may raise anything; the log has the traceback
        tell(error, Path(order["log"]))
        return FAILED
    return 0


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


def tell(error: Exception, log: Path) -> None:
    """A component's own refusal is what a person needs; TFX may have wrapped it."""
    import traceback  # noqa: PLC0415

    with log.open("a", encoding="utf-8") as file:
        traceback.print_exception(error, file=file)
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, PedigreeError):
        cause = cause.__cause__ or cause.__context__
    sys.stderr.write(f"Error: {cause or error}\n")


if __name__ == "__main__":
    sys.exit(main())
