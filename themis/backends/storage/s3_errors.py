"""What S3 and its driver say, made into errors that tell what to do."""

from __future__ import annotations

from typing import Any

from botocore import exceptions as boto

from themis.core.errors import AccessDenied, RecordRefused, StorageError, StoreFull, StoreUnreachable
from themis.core.masking import masked

_LONGEST = 500

NO_BUCKET = "NoSuchBucket"
NOT_THERE = frozenset({"404", "NoSuchKey", "NotFound"})
"""HEAD has no body to say it in, so its code is the status."""
UNMET = frozenset({"412", "PreconditionFailed"})
"""A condition did not hold: somebody else was faster."""
CROSSED = frozenset({"409", "ConditionalRequestConflict", "OperationAborted"})
"""Two conditional writes came at the very same time: worth asking again."""
UNEXPLAINED = frozenset({"301", "307", "400", "401", "403"})
"""What HEAD says where any other request would give the reason."""
UNKNOWN_CONDITION = frozenset({"NotImplemented", "InvalidArgument", "InvalidRequest", "501", "400"})
"""What servers say to a conditional write that they cannot do."""
NO_BULK_DELETE = frozenset(
    {"MissingContentMD5", "NotImplemented", "InvalidDigest", "MethodNotAllowed", "501"}
)
"""What servers say to a deletion of many keys that they cannot do, or not with today's checksums."""

CUT_SHORT = (
    boto.IncompleteReadError,
    boto.ResponseStreamingError,
    boto.ReadTimeoutError,
    boto.ConnectionClosedError,
)
"""A body that ended too early: the driver repeats requests, and no bodies."""

_KEY = (AccessDenied, "the access key is unknown to it, or the secret does not belong to it. Look at {keys}.")
_EXPIRED = (
    AccessDenied,
    "the credentials have expired. Renew them (aws sso login, or a new session token) and go on: what was "
    "saved meanwhile waits on this machine.",
)
_DENIED = (
    AccessDenied,
    "these credentials may not do that. docs/s3.md has the policy they need; without s3:ListBucket S3 says "
    "the same of what does not exist.",
)
_REGION = (StorageError, "the bucket is in {region}. Say so: region=…, in the profile or after ?")
_BUSY = (StoreUnreachable, "it asks to be asked less often. It is tried again by and by.")
_AWAY = (StoreUnreachable, "it failed for now. It is tried again by and by.")
_FULL = (StoreFull, "it has no room left, or a quota is used up. What was saved before is whole.")

_ANSWERS: dict[str, tuple[type[StorageError], str]] = {
    NO_BUCKET: (StorageError, "there is no such bucket there. Is its name right? aws s3 mb makes one."),
    "InvalidBucketName": (StorageError, "that is no name of a bucket."),
    "InvalidAccessKeyId": _KEY,
    "SignatureDoesNotMatch": _KEY,
    "AuthFailure": _KEY,
    "401": _KEY,
    "InvalidToken": _EXPIRED,
    "ExpiredToken": _EXPIRED,
    "ExpiredTokenException": _EXPIRED,
    "TokenRefreshRequired": _EXPIRED,
    "RequestExpired": _EXPIRED,
    "AccessDenied": _DENIED,
    "AllAccessDisabled": _DENIED,
    "AccountProblem": _DENIED,
    "403": _DENIED,
    "PermanentRedirect": _REGION,
    "TemporaryRedirect": _REGION,
    "AuthorizationHeaderMalformed": _REGION,
    "IllegalLocationConstraintException": _REGION,
    "301": _REGION,
    "RequestTimeTooSkewed": (
        StorageError,
        "this machine's clock and the server's differ by more than a quarter of an hour. Set the clock "
        "(timedatectl set-ntp true).",
    ),
    "SlowDown": _BUSY,
    "Throttling": _BUSY,
    "ThrottlingException": _BUSY,
    "TooManyRequests": _BUSY,
    "RequestLimitExceeded": _BUSY,
    "BandwidthLimitExceeded": _BUSY,
    "ServiceUnavailable": _BUSY,
    "503": _BUSY,
    "429": _BUSY,
    "InternalError": _AWAY,
    "RequestTimeout": _AWAY,
    "500": _AWAY,
    "502": _AWAY,
    "504": _AWAY,
    "QuotaExceeded": _FULL,
    "InsufficientStorage": _FULL,
    "XMinioStorageFull": _FULL,
    "507": _FULL,
    "EntityTooLarge": (RecordRefused, "a record is larger than the server takes."),
    "ObjectLocked": (AccessDenied, "the bucket locks its objects against being changed."),
    "InvalidObjectState": (StorageError, "the object was moved to an archive. Restore it first."),
}
"""What the server calls it, to what is raised and said."""

_CREDENTIALS = (
    boto.NoCredentialsError,
    boto.PartialCredentialsError,
    boto.CredentialRetrievalError,
    boto.TokenRetrievalError,
    boto.SSOTokenLoadError,
    boto.UnauthorizedSSOTokenError,
    boto.NoAuthTokenError,
    boto.ProfileNotFound,
)
_OUR_FAULT = (boto.ParamValidationError, boto.InvalidEndpointConfigurationError)


def code_of(exc: BaseException) -> str:
    """What the server calls the error; empty if it was not the server."""
    return str(exc.response.get("Error", {}).get("Code", "")) if isinstance(exc, boto.ClientError) else ""


def is_of_keys(exc: BaseException) -> bool:
    """Whether other credentials might help: the ones in use are wrong, too old, or there are none."""
    return isinstance(exc, _CREDENTIALS) or _ANSWERS.get(code_of(exc)) in (_KEY, _EXPIRED)


def translated(exc: Exception, place: str, doing: str, keys: str) -> StorageError:
    """What an error during ``doing``, such as ``"save records"``, means.

    ``keys``: where the credentials were looked for, in words.
    """
    if isinstance(exc, boto.ClientError):
        error, mend = _answer(exc)
        said = mend.format(keys=keys, region=_region(exc.response))
    elif isinstance(exc, _CREDENTIALS):
        error = AccessDenied
        said = f"there are no credentials to use in {keys}. aws configure, or aws sso login, makes them."
    elif isinstance(exc, boto.SSLError):
        error, said = StoreUnreachable, "no encrypted connection could be agreed on. Look at AWS_CA_BUNDLE."
    elif isinstance(exc, boto.ProxyConnectionError):
        error, said = StoreUnreachable, "the proxy does not answer. Look at HTTPS_PROXY and NO_PROXY."
    elif isinstance(exc, (boto.ConnectTimeoutError, boto.ReadTimeoutError)):
        error, said = StoreUnreachable, "it did not answer in time. Is a firewall between?"
    elif isinstance(exc, (boto.HTTPClientError, boto.ConnectionError, *CUT_SHORT)):
        error, said = StoreUnreachable, "it cannot be reached. Is the address right, and is there a network?"
    elif isinstance(exc, _OUR_FAULT):
        error, said = StorageError, "bucket, region or endpoint cannot be so."
    else:
        error, said = StorageError, "the driver refused."
    return error(f"{place}: could not {doing}: {said} ({_words(exc)})")


def _answer(exc: boto.ClientError) -> tuple[type[StorageError], str]:
    status = exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    # A server of another make may have a name of its own for what the status says well enough.
    return _ANSWERS.get(code_of(exc)) or _ANSWERS.get(str(status)) or (StorageError, "it refused.")


def _region(response: dict[str, Any]) -> str:
    headers = response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    named = headers.get("x-amz-bucket-region") or response.get("Error", {}).get("Region")
    return f"the region {named}" if named else "another region"


def _words(exc: Exception) -> str:
    return masked(" ".join(str(exc).split()))[:_LONGEST] or type(exc).__name__
