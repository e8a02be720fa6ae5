"""Addresses from which whoever is given one may read an object for a while: signed by the key of a bucket's user."""

from __future__ import annotations

from typing import Any, Protocol

from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.text import plain

_ASKS_IAM = "https://www.googleapis.com/auth/cloud-platform"


class Signer(Protocol):
    def __call__(self, path: str, seconds: int) -> str: ...


def signer_for(protocol: str, fs: Any) -> Signer | None:
    """Of the filesystem's own credentials; None where a protocol knows no such addresses."""
    if protocol in ("s3", "s3a"):
        return lambda path, seconds: str(fs.sign(path, expiration=seconds))
    return GoogleSigner(fs) if protocol in ("gs", "gcs") else None


class GoogleSigner:
    """With the key of a service account, or, for a workload that has no key, by IAM in the account's name."""

    def __init__(self, fs: Any) -> None:
        self._fs = fs
        self._workload: Any = None

    def __call__(self, path: str, seconds: int) -> str:
        from google.auth.credentials import Signing  # noqa: PLC0415  only for those who have such a bucket
        from google.auth.exceptions import TransportError  # noqa: PLC0415

        held = self._fs.credentials.credentials
        by_iam = {} if isinstance(held, Signing) else self._account(held)
        try:
            return str(self._fs.sign(path, expiration=seconds, version="v4", **by_iam))
        except TransportError as error:
            raise InvalidInputError(
                f"Google's IAM signs no addresses for {by_iam.get('service_account_email')}: {plain(str(error), 200)}. "
                "That service account needs the role roles/iam.serviceAccountTokenCreator on itself, and the project "
                "the API iamcredentials.googleapis.com."
            ) from error

    def _account(self, held: Any) -> dict[str, str]:
        """The service account as which a workload runs, and what lets IAM know that it does."""
        from google.auth.transport.requests import Request  # noqa: PLC0415  as above

        if self._workload is None and held is not None:
            # What reaches the bucket does not reach IAM.
            self._workload = held.with_scopes([_ASKS_IAM]) if hasattr(held, "with_scopes") else held
        account = None
        if self._workload is not None and hasattr(self._workload, "service_account_email"):
            if not self._workload.valid:
                self._workload.refresh(Request())
            account = self._workload.service_account_email
        if not account:
            raise InvalidInputError(
                "The credentials with which the bucket is read belong to no service account, and only such an account "
                "signs addresses. Give its key as GOOGLE_APPLICATION_CREDENTIALS, or run where Google gives one, or "
                "leave out --presigned."
            )
        return {"service_account_email": account, "access_token": self._workload.token}
