"""What travels on an IMGOPEN_UNITS wire: units and their pictures, from one node to the next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..base.errors import InvalidRequest

if TYPE_CHECKING:
    import torch

    from ..storage.pictures import Kind, Pictures


@dataclass(frozen=True)
class WiredUnit:
    """One unit and the pictures wired to it.

    Attributes:
        body: the unit in the API's words, without the pictures below.
        image: IMAGE (B, H, W, C) or None.
        mask, region: MASK (B, H, W) or None; region is `effective_region_mask`.
    """

    body: dict[str, Any]
    image: torch.Tensor | None = None
    mask: torch.Tensor | None = None
    region: torch.Tensor | None = None

    def complete(self, pictures: Pictures) -> dict[str, Any]:
        """The whole body; its pictures are put into `pictures` and named by their links.

        Raises:
            PictureError: a batch where one picture is wanted, or a broken one.
        """
        from .pixels import frames, masks, single

        body = dict(self.body)
        if self.image is not None:
            # A picture that is a control image already must not lose a single level on the way.
            kind: Kind = "map" if body.get("module", "none") == "none" else "photo"
            body["image_link"] = pictures.add(
                single(frames(self.image, "the unit's image"), "the unit's image"), kind
            )
        for key, mask in (("mask", self.mask), ("effective_region_mask", self.region)):
            if mask is not None:
                body[key] = pictures.add(single(masks(mask, key), key), "mask")
        return body


Chain = tuple[WiredUnit, ...]


def chain(value: object) -> Chain:
    """What came in at a `units` socket; nothing wired is an empty chain."""
    if value is None:
        return ()
    if not isinstance(value, tuple) or not all(isinstance(one, WiredUnit) for one in value):
        raise InvalidRequest.field(
            "units", type(value).__name__, "the units output of a ControlNet Unit node"
        )
    return value
