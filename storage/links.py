"""From a picture to a link that the remote side can read."""

from __future__ import annotations

from typing import Protocol

from ..base.errors import ProfileError


class Linker(Protocol):
    """One way of making links. Implementations are safe to call from several threads."""

    def link_for(self, data: bytes, mime: str) -> str:
        """Publishes an encoded picture and returns the link under which the server can read it.

        Args:
            data: the file's bytes.
            mime: `image/png` or `image/jpeg`.

        Raises:
            ProfileError: this way of making links is not set up.
            NetworkError: the picture could not be brought there.
        """
        ...


class InlineLinker:
    """The picture inside the request, as a data URL. For gateways of ours; the cloud may not take it."""

    def link_for(self, data: bytes, mime: str) -> str:
        """`data:<mime>;base64,...`"""
        from ..base.pictures import to_data_url

        return to_data_url(data, mime)


class NoLinker:
    """For profiles that name no storage: only pictures that are links already can be sent."""

    def link_for(self, data: bytes, mime: str) -> str:
        """Always refuses, and says what to set up."""
        raise ProfileError(
            f"The profile names no storage, so a local picture ({mime}, {len(data)} bytes) cannot be sent.",
            "Settings > Img Open > add a profile with storage (docs/storage.md says which), and choose it on "
            "the node; for a gateway it is inline. Or give the picture as a link.",
        )
