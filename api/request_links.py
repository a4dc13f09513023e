"""Where a unit keeps its pictures: under several names, as a link or nested with its mask."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

# Img Open says image_link; the web UI image or input_image, mask or mask_image.
IMAGE_KEYS = ("image_link", "image", "input_image")
PICTURE_KEYS = (*IMAGE_KEYS, "mask", "mask_image", "mask_link", "effective_region_mask")


def unit_links(unit: Mapping[str, Any], place: str) -> list[tuple[str, str]]:
    """The pictures of a unit in wire form, as (place, link)."""
    return [found for key in PICTURE_KEYS if key in unit for found in _find(unit[key], f"{place}.{key}")]


def map_unit_links(unit: Mapping[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
    """The unit with every picture link replaced by `change(link)`; blank ones stay."""
    return {key: _map(value, change) if key in PICTURE_KEYS else value for key, value in unit.items()}


def _find(value: Any, place: str) -> list[tuple[str, str]]:
    if isinstance(value, str):
        return [(place, value)] if value else []
    if isinstance(value, list):
        items = cast("list[Any]", value)
        return [found for number, item in enumerate(items) for found in _find(item, f"{place}[{number}]")]
    if isinstance(value, Mapping):
        inner = cast("Mapping[str, Any]", value)
        return [found for key, item in inner.items() for found in _find(item, f"{place}.{key}")]
    return []


def _map(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value) if value else value
    if isinstance(value, list):
        return [_map(item, change) for item in cast("list[Any]", value)]
    if isinstance(value, Mapping):
        return {key: _map(item, change) for key, item in cast("Mapping[str, Any]", value).items()}
    return value
