"""The pictures that go along with one request.

Inside a request a picture is always a text: an http(s) link, a data URL, or `picture:<hash>` for one that
lies in a `Pictures` beside the request. So requests stay plain JSON, however large their pictures.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import unquote, urlsplit

import numpy as np

from ..base.errors import InvalidRequest, LinkRefused, PictureError
from .fetch import DEFAULT_MAX_BYTES, DEFAULT_MAX_PIXELS, MEBIBYTE, Fetcher

if TYPE_CHECKING:
    from numpy.typing import NDArray

Kind = Literal["photo", "map", "mask"]
PREFIX = "picture:"
_LONGEST_PATH = 4096
_GIVE = "Give an http(s) link or the picture itself as a data URL."
_STARTS = ("ivborw0kg", "/9j/", "r0lgod", "uklgr", "qk", "suk", "tu0a")  # PNG, JPEG, GIF, WebP, BMP, TIFF


class Pictures:
    """Local pictures by link, and other links resolved.

    Args:
        fetcher: fetches http(s) links; None means one that refuses private addresses.
        allow_files: whether a path or `file:` link may be read (the command line on its user's own
            machine; never for what came over the network).
    """

    def __init__(self, fetcher: Fetcher | None = None, allow_files: bool = False) -> None:
        self._fetcher = fetcher or Fetcher()
        self._allow_files = allow_files
        self._arrays: dict[str, NDArray[np.uint8]] = {}
        self._kinds: dict[str, Kind] = {}

    def add(self, array: NDArray[Any], kind: Kind = "photo") -> str:
        """Keeps a picture and returns its link `picture:<32 hex digits>`; the same picture has the same link.

        Args:
            array: uint8 (H, W), (H, W, 1), (H, W, 3) or (H, W, 4).
            kind: `photo` may be sent with loss, `map` and `mask` never.

        Raises:
            InvalidRequest: another dtype or shape, or an empty picture.
        """
        if (
            array.dtype != np.uint8
            or array.size == 0
            or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (1, 3, 4)))
        ):
            raise InvalidRequest.field(
                "picture", f"{array.dtype} {array.shape}", "uint8 (H, W), (H, W, 3) or (H, W, 4), not empty"
            )
        if array.ndim == 3 and array.shape[2] == 1:
            array = array[:, :, 0]
        kept: NDArray[np.uint8] = np.array(array, dtype=np.uint8, order="C")
        digest = hashlib.sha256(f"{kind} {kept.shape}".encode())
        digest.update(kept.data)
        link = PREFIX + digest.hexdigest()[:32]
        self._arrays[link] = kept
        self._kinds[link] = kind
        return link

    def get(self, link: str) -> NDArray[np.uint8]:
        """The picture behind a link: uint8 (H, W) or (H, W, 3 or 4), the caller's own copy.

        A fetched link is kept, so that several uses of it in one request fetch it once.

        Raises:
            LinkRefused: the link may not be followed.
            NetworkError: it could not be fetched.
            PictureError: it is not a picture, too large, or not among these pictures.
        """
        if link not in self._arrays:
            self._arrays[link] = self._load(link)
        return np.array(self._arrays[link], dtype=np.uint8)

    def kind(self, link: str) -> Kind:
        """What `add` was told about a picture; `photo` for every other link."""
        return self._kinds.get(link, "photo")

    def is_local(self, link: str) -> bool:
        """Whether the link means nothing outside this process (`picture:`, a path) and must be turned
        into another one before the request is sent."""
        scheme = urlsplit(link).scheme.lower() if len(link) < 4096 else ""
        return link.startswith(PREFIX) or (self._allow_files and scheme not in ("http", "https", "data"))

    def _load(self, link: str) -> NDArray[np.uint8]:
        from ..base.pictures import decode_picture, from_data_url

        head = link[:16].lower()
        if head.startswith(("http:", "https:")):
            return self._fetcher.fetch_picture(link)
        if link.startswith(PREFIX):
            raise PictureError(
                f"The picture {link[:48]} is not among the pictures of this request.",
                "Hand in the pictures together with the request that names them.",
            )
        if not head.startswith("data:"):
            path = self._path(link)
            if path is not None:
                return decode_picture(_read_file(path), source=path.name)
            _refuse_what_looks_like_a_path(link)
        limits = {"max_bytes": self._fetcher.max_bytes, "max_pixels": self._fetcher.max_pixels}
        try:
            return decode_picture(from_data_url(link), source="inside the request", **limits)
        except PictureError as error:
            if head.startswith("data:") or not 0 < len(link) <= _LONGEST_PATH or head.startswith(_STARTS):
                raise
            # Words and many paths are base64 too; "not a picture" would help nobody who meant a file.
            raise PictureError(_neither(link), _GIVE) from error

    def _path(self, link: str) -> Path | None:
        """The file a link names, if files are allowed and it exists."""
        if not self._allow_files or len(link) > 4096:
            return None
        if link.lower().startswith("file:"):
            path = Path(unquote(urlsplit(link).path))
        else:
            path = Path(link).expanduser()
        try:
            exists = path.is_file()
        except (OSError, ValueError):
            exists = False  # names no file system takes, such as long base64
        return path if exists else None


def encode_for_upload(
    array: NDArray[np.uint8], kind: Kind, *, photo_format: Literal["jpg", "png"] = "jpg", quality: int = 95
) -> tuple[bytes, str]:
    """A picture as a file that another machine can read, and its MIME type.

    Maps, masks and pictures with transparency are always PNG (level 1, lossless); photographs JPEG unless
    the user wants PNG.
    """
    from ..base.pictures import encode_jpeg, encode_png

    if kind != "photo" or photo_format == "png" or (array.ndim == 3 and array.shape[2] == 4):
        return encode_png(array, level=1), "image/png"
    return encode_jpeg(array, quality=quality), "image/jpeg"


def _read_file(path: Path) -> bytes:
    size = path.stat().st_size
    if size > DEFAULT_MAX_BYTES:
        raise PictureError(
            f"{path.name} has {size // MEBIBYTE} MiB, at most {DEFAULT_MAX_BYTES // MEBIBYTE} are read.",
            f"Give a smaller picture (at most {DEFAULT_MAX_PIXELS / 1e6:.0f} megapixels).",
        )
    try:
        return path.read_bytes()
    except OSError as error:
        raise PictureError(f"{path} cannot be read: {error.strerror}.", "Check its permissions.") from error


def _refuse_what_looks_like_a_path(link: str) -> None:
    """Base64 has no such characters; saying "not base64" about a path or ftp link would help nobody."""
    if len(link) <= _LONGEST_PATH and set(link) & set(".:\\~ "):
        raise LinkRefused(_neither(link), _GIVE)


def _neither(link: str) -> str:
    shown = link if len(link) <= 120 else link[:117] + "..."
    return (
        f"{shown!r} is neither an http(s) link, a data URL, a picture in base64 nor a picture of this "
        "request, or it names a file that does not exist or may not be read here."
    )
