"""A node for tests: pictures that no stock node makes. Copied into the test server's custom_nodes."""

from __future__ import annotations

from typing import Any

import torch


class OddPicture:
    """NaN, infinity, one channel, four channels, an empty batch: what other packs hand over at times."""

    CATEGORY = "tests"
    FUNCTION = "make"
    RETURN_TYPES = ("IMAGE",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"kind": (["nan", "inf", "gray", "alpha", "empty", "tall"],)}}

    def make(self, kind: str) -> tuple[torch.Tensor]:
        picture = torch.linspace(0, 1, 48 * 32 * 3).reshape(1, 48, 32, 3).repeat(2, 1, 1, 1)
        if kind in ("nan", "inf"):
            picture[1, 3, 4, 0] = float(kind)
        if kind == "alpha":
            picture = torch.cat([picture, torch.zeros(2, 48, 32, 1)], dim=3)
        if kind == "tall":
            picture = torch.zeros(1, 8192, 1, 3)
        return (picture[..., :1] if kind == "gray" else picture[:0] if kind == "empty" else picture,)


NODE_CLASS_MAPPINGS = {"OddPicture": OddPicture}
