"""Pictures as objects in an S3-compatible bucket, read by the server through presigned links.

The object's key is the content's hash, so the same picture goes up once, however many tasks share it. The
links work without a login until they expire, and give nothing but that one object.
"""

from __future__ import annotations

import hashlib
import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from ..base.command import pip
from ..base.errors import ImgOpenError, MissingDependency, NetworkError, ProfileError
from ..base.log import register_secret, scrub
from .options import typed_options

T = TypeVar("T")

_DAY_S = 24 * 3600
_LONGEST_LINK_S = 7 * _DAY_S  # what signature version 4 allows
_CLOCK_TOLERANCE_S = 300
_REFRESH_AFTER_S = _DAY_S
_ENDINGS = {"image/png": "png", "image/jpeg": "jpg"}
_RIGHTS = {
    "403",
    "AccessDenied",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "AccountProblem",
    "ExpiredToken",
}


@dataclass(frozen=True)
class S3Options:
    """Where the pictures go.

    Attributes:
        bucket: its name.
        endpoint_url: of another provider than AWS, with scheme; empty means AWS.
        region: empty means the provider's default.
        prefix: put before every key.
        access_key_id, secret_access_key: empty means boto3's own search (environment, `~/.aws`, roles).
        link_seconds: life of a link, 60 to 604800; longer than a task may take. Default: a day.
        path_style: `https://host/bucket/key` instead of `https://bucket.host/key`.
    """

    bucket: str
    endpoint_url: str = ""
    region: str = ""
    prefix: str = "img-open/"
    access_key_id: str = field(default="", repr=False)
    secret_access_key: str = field(default="", repr=False)
    link_seconds: int = _DAY_S
    path_style: bool = False

    @classmethod
    def from_mapping(cls, options: Mapping[str, Any]) -> S3Options:
        """From a profile's `storage_options`; keys that are not ours are left alone.

        Raises:
            ProfileError: names the option.
        """
        known = typed_options(cls, options)
        if not known.get("bucket"):
            raise ProfileError("The storage option bucket is missing.", "Name the bucket for pictures.")
        made = cls(**known)
        if not 60 <= made.link_seconds <= _LONGEST_LINK_S:
            raise ProfileError(
                f"The storage option link_seconds is {made.link_seconds}.",
                f"It must be 60 to {_LONGEST_LINK_S}.",
            )
        if made.endpoint_url and not made.endpoint_url.startswith(("http://", "https://")):
            raise ProfileError(
                "The storage option endpoint_url has no scheme.", "Write it with https:// in front."
            )
        if bool(made.access_key_id) != bool(made.secret_access_key):
            raise ProfileError(
                "Of access_key_id and secret_access_key only one is set.", "Set both, or neither."
            )
        return made


class S3Linker:
    """Uploads pictures and presigns links. Safe to use from several threads; connects at first use."""

    def __init__(self, options: S3Options) -> None:
        for secret in (options.access_key_id, options.secret_access_key):
            register_secret(secret)
        self._options = options
        self._client: Any = None
        self._lock = threading.Lock()
        self._uploads = [threading.Lock() for _ in range(16)]

    def link_for(self, data: bytes, mime: str) -> str:
        """Uploads the picture unless it is there already, and returns a presigned GET link.

        Raises:
            ProfileError: bucket, rights or keys; or this machine's clock is off, so that links would be dead.
            NetworkError: the storage does not answer.
            MissingDependency: boto3 is not installed.
        """
        digest = hashlib.sha256(data).hexdigest()
        key = f"{self._options.prefix}{digest}.{_ENDINGS.get(mime, 'bin')}"
        with self._uploads[int(digest[0], 16)]:  # two threads with one picture: the second finds it there
            if not self._is_there(key):
                self._call(
                    lambda client: client.put_object(
                        Bucket=self._options.bucket, Key=key, Body=data, ContentType=mime
                    )
                )
        return self._call(
            lambda client: str(
                client.generate_presigned_url(
                    "get_object",
                    Params={"Bucket": self._options.bucket, "Key": key},
                    ExpiresIn=self._options.link_seconds,
                )
            )
        )

    def _is_there(self, key: str) -> bool:
        """Whether the object exists and is young enough not to be swept away under the link."""
        from botocore.exceptions import ClientError  # pyright: ignore

        def head(client: Any) -> dict[str, Any] | None:
            try:
                return client.head_object(Bucket=self._options.bucket, Key=key)
            except ClientError as error:
                response: Any = error.response  # pyright: ignore
                status = response["ResponseMetadata"]["HTTPStatusCode"]
                self._check_clock(response)
                # Without the right to list, a missing object is "forbidden"; the upload will tell.
                if status in (403, 404):
                    return None
                raise

        found = self._call(head)
        if found is None:
            return False
        self._check_clock(found)
        age = datetime.now(timezone.utc) - found["LastModified"]
        return age.total_seconds() < _REFRESH_AFTER_S

    def _check_clock(self, response: Any) -> None:
        date = response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
        if not date:
            return
        off = (datetime.now(timezone.utc) - parsedate_to_datetime(date)).total_seconds()
        if abs(off) > _CLOCK_TOLERANCE_S:
            minutes, side = math.ceil(abs(off) / 60), "ahead" if off > 0 else "behind"
            raise ProfileError(
                f"This machine's clock is {minutes} minutes {side}, so links it signs would not work.",
                "Set the clock.",
            )

    def _call(self, action: Callable[[Any], T]) -> T:
        try:
            return action(self._connected())
        except ImgOpenError:
            raise
        except Exception as error:
            raise self._typed(error) from error

    def _connected(self) -> Any:
        with self._lock:
            if self._client is None:
                self._client = _client(self._options)
            return self._client

    def _typed(self, error: Exception) -> ImgOpenError:
        import botocore.exceptions as known  # pyright: ignore

        bucket = self._options.bucket
        if isinstance(error, known.ClientError):
            code = str(error.response.get("Error", {}).get("Code", ""))  # pyright: ignore
            if code == "NoSuchBucket":
                return ProfileError(f"There is no bucket {bucket!r}.", "Create it or correct its name.")
            if code in _RIGHTS:
                return ProfileError(
                    f"The bucket {bucket!r} does not accept these keys for reading and writing ({code}).",
                    "Give keys with the rights to get and put objects.",
                )
            return NetworkError(f"The storage answered {code}: {scrub(str(error))}", "Try again later.")
        if isinstance(error, (known.NoCredentialsError, known.PartialCredentialsError)):
            return ProfileError(
                f"There are no keys for the bucket {bucket!r}.",
                "Set access_key_id and secret_access_key in the profile's storage_options.",
            )
        if isinstance(error, (known.ParamValidationError, ValueError)):
            return ProfileError(f"The storage options cannot be used: {scrub(str(error))}", "Correct them.")
        if isinstance(error, (known.BotoCoreError, OSError)):
            return NetworkError(f"The storage does not answer: {scrub(str(error))}", "Try again later.")
        raise error


def _client(options: S3Options) -> Any:
    try:
        import boto3  # pyright: ignore
        from botocore.config import Config  # pyright: ignore
    except ImportError as error:
        raise MissingDependency(
            "The storage s3 needs the package boto3.", f"Install it: {pip('install boto3')}"
        ) from error
    config: Any = Config(
        signature_version="s3v4",
        connect_timeout=10,
        read_timeout=60,
        retries={"max_attempts": 3, "mode": "standard"},
        s3={"addressing_style": "path" if options.path_style else "auto"},
        # Newer checksums are AWS's own; other providers refuse them.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    # A session of its own: the default one is not safe between threads.
    session: Any = boto3.Session()  # pyright: ignore
    return session.client(
        "s3",
        config=config,
        endpoint_url=options.endpoint_url or None,
        region_name=options.region or None,
        aws_access_key_id=options.access_key_id or None,
        aws_secret_access_key=options.secret_access_key or None,
    )
