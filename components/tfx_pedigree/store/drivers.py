"""fsspec drivers: opened with the right options, retried a few times, their errors put into plain words."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import fsspec

from tfx_pedigree.errors import InvalidInputError, PedigreeError, UnavailableError
from tfx_pedigree.extras import install_command
from tfx_pedigree.retry_policy import RetryPolicy
from tfx_pedigree.store.failures import without_secrets

T = TypeVar("T")

_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs"}
_REFUSALS = (FileExistsError, IsADirectoryError, NotADirectoryError, PermissionError)
_CREDENTIALS = {
    "NoCredentialsError",
    "PartialCredentialsError",
    "TokenRetrievalError",
    "GoogleAuthError",
    "RefreshError",
}


class Driver:
    """One fsspec filesystem. Use it inside `attempt`."""

    def __init__(self, url: str, options: Mapping[str, Any]) -> None:
        self.url = without_secrets(url).rstrip("/")
        self.fs, self.root = _connect(url, self.url, dict(options))
        self._secrets = sorted(set(_strings(options)), key=len, reverse=True)
        self._patience = RetryPolicy.from_environment()

    def attempt(self, work: Callable[[], T]) -> T:
        """Tries a few times, then says in plain words what is wrong. What a store is asked for may be done twice: the
        same bytes get the same key."""
        waits = self._patience.waits()
        while True:
            try:
                return work()
            except PedigreeError:
                raise
            except transport_errors() as error:
                refused = isinstance(error, _REFUSALS) or type(error).__name__ in _CREDENTIALS
                missing = isinstance(error, FileNotFoundError)
                pause = None if refused or missing else next(waits, None)
                if pause is None:
                    raise self._refusal(error) from error
                time.sleep(pause)

    def _refusal(self, error: BaseException) -> PedigreeError:
        said = " ".join(without_secrets(str(error)).split())[:300]
        for secret in self._secrets:
            said = said.replace(secret, "***")
        if isinstance(error, FileNotFoundError):
            return UnavailableError(
                f"The store {self.url} lies in a bucket or folder that does not exist. Create it first, "
                "or correct the URL."
            )
        if isinstance(error, PermissionError) or type(error).__name__ in _CREDENTIALS:
            return UnavailableError(
                f"The store {self.url} does not let you in ({type(error).__name__}: {said}). "
                "Check the credentials that the driver finds in your environment."
            )
        return UnavailableError(
            f"The store {self.url} cannot be reached now ({type(error).__name__}: {said}). "
            "Nothing half-written was kept. Check the network and the endpoint, and try again."
        )


def _connect(url: str, safe_url: str, options: dict[str, Any]) -> tuple[Any, str]:
    protocol, _, rest = url.partition("://")
    if "::" in url:
        raise InvalidInputError(f"{safe_url} chains several filesystems. A store lies in one: give its own URL.")
    if "@" in rest.partition("/")[0] and protocol in _EXTRAS:
        raise InvalidInputError(
            f"The URL of the store {safe_url} holds credentials. Leave them out: the driver reads them "
            "from the "
            "environment, or pass them as storage_options."
        )
    if protocol in ("s3", "s3a"):
        retries = {"mode": "standard", "max_attempts": 2}
        # The older signature, which botocore still puts into addresses in some regions, is refused in most.
        config = {"connect_timeout": 10, "retries": retries, "signature_version": "s3v4"}
        options.setdefault("config_kwargs", config)
    try:
        # Listings kept from before would hide what other processes have stored since.
        fs, root = fsspec.core.url_to_fs(url, use_listings_cache=False, **options)
    except ImportError as error:
        extra = _EXTRAS.get(protocol)
        remedy = install_command(extra) if extra else f"pip install the fsspec driver for {protocol}://"
        raise UnavailableError(f"The store {safe_url} needs a driver that is not installed. Run: {remedy}") from error
    except (ValueError, TypeError) as error:
        raise InvalidInputError(
            f"{safe_url} cannot be opened as a store ({type(error).__name__}). Give a folder, or a URL "
            "such as "
            "s3://bucket/folder or gs://bucket/folder, with options that its driver knows."
        ) from error
    if not root.strip("/"):
        raise InvalidInputError(f"{safe_url} names no bucket or folder. Write it like {protocol}://bucket/folder.")
    return fs, root.rstrip("/")


def transport_errors() -> tuple[type[BaseException], ...]:
    """OSError, and the error classes of those drivers that have been loaded."""
    found: list[type[BaseException]] = [OSError, TimeoutError]
    for module, names in _DRIVER_ERRORS.items():
        loaded = sys.modules.get(module)
        found += [getattr(loaded, name) for name in names if hasattr(loaded, name)]
    return tuple(found)


_DRIVER_ERRORS = {
    "asyncio": ("TimeoutError",),
    "botocore.exceptions": ("BotoCoreError", "ClientError"),
    "aiohttp": ("ClientError",),
    "gcsfs.retry": ("HttpError",),
    "google.auth.exceptions": ("GoogleAuthError",),
}


def _strings(options: Any) -> Iterator[str]:
    """Every text among the options, however deep, that is long enough to be a secret."""
    if isinstance(options, Mapping):
        for name, value in options.items():
            if name not in ("endpoint_url", "region_name", "project"):
                yield from _strings(value)
    elif isinstance(options, str) and len(options) >= 4:
        yield options
