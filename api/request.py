"""A request: what to make, in the words of the Img Open API.

Field names, nesting and spelling are those of the pages "sd controlnet", "sd text2image" and
"sd Image to Image" (version 2). Where a body leaves a field out, its value here is the A1111 web UI's API
default, except `steps` (20; the web UI's API has 50).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, cast

from pydantic import ModelWrapValidatorHandler, model_validator
from typing_extensions import Self

from ..base.errors import InvalidRequest
from ..controlnet.unit import ControlNetUnit
from .problems import raise_errors, raise_problems
from .request_cloud import check_cloud_ranges
from .request_fields import (
    ALWAYS_ON,
    BODY,
    CLIP_SKIP,
    body_problems,
    output_format,
    text_problems,
    too_deep,
    whole_numbers,
)
from .request_links import map_unit_links, unit_links
from .request_parts import ALWAYS_ON_PLACE, AlwaysOn, WireModel

__all__ = ["UNSET", "OperationId", "Request", "check_cloud_ranges"]

OperationId = Literal["sd_controlnet", "sd_text2image_v2", "sd_image2image_v2"]


class _Unset:
    def __repr__(self) -> str:
        return "UNSET"


UNSET = _Unset()
"""For `Request.replace`: take the field out of the body."""


class Request(WireModel):
    """One request. Immutable; unknown fields are kept at every level, unset fields stay unset on the wire.

    Sizes are pixels, strengths 0..1, `n_iter * batch_size` pictures are made. `hr_resize_x` is a width and
    `hr_resize_y` a height, as in the web UI (the vendor's page describes them the other way round).
    """

    prompt: str = ""
    n_iter: int = 1
    batch_size: int = 1
    steps: int = 20
    seed: int | str = -1
    restore_faces: bool = False
    enable_hr: bool = False
    hr_scale: int | float = 2.0
    width: int = 512
    height: int = 512
    negative_prompt: str = ""
    cfg_scale: int | float = 7.0
    sampler_index: str = "Euler"
    hr_second_pass_steps: int = 0
    hr_resize_x: int = 0
    hr_resize_y: int = 0
    hr_upscaler: str | None = None
    denoising_strength: int | float = 0.75
    resize_mode: int = 0
    mask_blur: int = 4
    mask_blur_x: int | None = None
    mask_blur_y: int | None = None
    inpainting_fill: int = 0
    inpaint_full_res: bool = True
    inpaint_full_res_padding: int = 0
    inpainting_mask_invert: int = 0
    initial_noise_multiplier: int | float | None = None
    image_cfg_scale: int | float | None = None
    alwayson_scripts: AlwaysOn = AlwaysOn()

    @model_validator(mode="wrap")
    @classmethod
    def _check_values(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if not isinstance(data, Mapping):
            return handler(data)
        values = dict(cast("Mapping[str, Any]", data))
        scripts = values.get("alwayson_scripts")
        raise_problems(
            body_problems({**values, "alwayson_scripts": None if isinstance(scripts, AlwaysOn) else scripts})
        )
        if isinstance(scripts, Mapping):
            values["alwayson_scripts"] = AlwaysOn.from_wire(cast("Mapping[str, Any]", scripts))
        return handler(whole_numbers(values, BODY))

    def __hash__(self) -> int:
        return hash(self.canonical_hash())

    # --- wire ---

    @classmethod
    def from_wire(cls, data: Mapping[str, Any], *, notices: list[str] | None = None) -> Request:
        """Read a body.

        Args:
            data: the JSON body of one of the three operations.
            notices: receives what is worth telling the user (defaults assumed, keys in the wrong place).

        Raises:
            InvalidRequest: wrong types or values that no engine could use; every problem is listed.
        """
        if not isinstance(data, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidRequest.field("the request", data, "a JSON object")
        values = dict(data)
        if too_deep(values):
            raise InvalidRequest("The request is nested more than 32 levels deep.", "No field needs that.")
        raise_problems(text_problems(values))
        scripts = values.get("alwayson_scripts")
        errors = [problem.error() for problem in body_problems(values)]
        if isinstance(scripts, Mapping):
            read = AlwaysOn.from_wire(cast("Mapping[str, Any]", scripts), notices, errors)
            values["alwayson_scripts"] = read
        raise_errors(errors)
        if notices is not None:
            notices += [
                f"{name}: at the top level this does nothing; it belongs into {ALWAYS_ON_PLACE}."
                for name in values
                if name in ALWAYS_ON or name.lower() == "controlnet"
            ]
        return cls.model_validate(values)

    def to_wire(self) -> dict[str, Any]:
        """The body as JSON values: `from_wire(body).to_wire() == body` if unit values are spelt exactly."""
        values = self.set_values()
        if values.get("alwayson_scripts") is not None:
            values["alwayson_scripts"] = self.alwayson_scripts.to_wire()
        return values

    def replace(self, **changes: Any) -> Request:
        """A copy with other values, validated.

        Args:
            changes: wire names of the body, or of `alwayson_scripts` (`sd_vae=…` goes there); `UNSET` takes
                a field out.
        """
        wire = self.to_wire()
        inner: dict[str, Any] | None = None
        for name, value in changes.items():
            if name in ALWAYS_ON:
                inner = dict(wire.get("alwayson_scripts") or {}) if inner is None else inner
                _put(inner, name, value)
                wire["alwayson_scripts"] = inner
            else:
                _put(wire, name, value)
        return Request.from_wire(wire)

    def with_units(self, units: Sequence[ControlNetUnit]) -> Request:
        """The same request with these units; without any, the script is taken out."""
        always_on = self.alwayson_scripts
        wire = self.to_wire()
        inner = dict(wire.get("alwayson_scripts") or {})
        script = dict(inner.pop(always_on.script_name, None) or {})
        if units:
            script["args"] = [unit.to_wire() for unit in units]
            inner[always_on.script_name] = script
        wire["alwayson_scripts"] = inner
        return Request.from_wire(wire)

    def with_id_task(self, id_task: str) -> Request:
        """The same request under the caller's task id."""
        return self.replace(id_task=id_task)

    def canonical_hash(self) -> str:
        """SHA-256 (hex) of what the request asks for: the task id, key order, 7 or 7.0, and the spelling of
        seed and script name do not matter. A random seed (-1) is hashed as such: resolve it first."""
        wire = self.without_id_task().to_wire()
        if "seed" in wire:
            wire["seed"] = self.seed_number
        inner = wire.get("alwayson_scripts")
        if isinstance(inner, dict) and self.alwayson_scripts.script_name in inner:
            scripts = cast("dict[str, Any]", inner)
            scripts["controlnet"] = scripts.pop(self.alwayson_scripts.script_name)
        text = json.dumps(_plain_numbers(wire), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def without_id_task(self) -> Request:
        """The same request with no task id."""
        return self.replace(id_task=UNSET) if "id_task" in self.alwayson_scripts.set_values() else self

    # --- meaning ---

    @property
    def seed_number(self) -> int:
        """The seed as a number; -1 means random (also for a blank or missing one)."""
        seed = self.seed
        if isinstance(seed, str):
            return int(seed) if seed.strip() else -1
        return seed

    @property
    def checkpoint(self) -> str:
        """The model's name or code; empty when none is named."""
        return self.alwayson_scripts.sd_model_checkpoint or str(
            self.override_settings.get("sd_model_checkpoint") or ""
        )

    @property
    def vae(self) -> str:
        """The VAE's name; empty when none is named. "None" and "Automatic" are the web UI's words."""
        return self.alwayson_scripts.sd_vae or str(self.override_settings.get("sd_vae") or "")

    @property
    def id_task(self) -> str:
        """The caller's task id; empty when none is given."""
        return self.alwayson_scripts.id_task

    @property
    def override_settings(self) -> dict[str, Any]:
        """The web UI's settings for this request only."""
        return self.alwayson_scripts.override_settings

    @property
    def clip_skip(self) -> int:
        """CLIP_stop_at_last_layers, 1..12; 1 = the last layer."""
        return int(self.override_settings.get(CLIP_SKIP) or 1)

    @property
    def output_format(self) -> Literal["jpg", "png"]:
        """The picture format asked for; jpg when unset, as the page says."""
        return "png" if output_format(self.alwayson_scripts.output_image_format) == "png" else "jpg"

    @property
    def init_image(self) -> str | None:
        """Link of the picture that image-to-image starts from."""
        return self.alwayson_scripts.image_link or None

    @property
    def init_mask(self) -> str | None:
        """Link of the mask for inpainting (white = repaint)."""
        return self.alwayson_scripts.mask_link or None

    @property
    def units(self) -> tuple[ControlNetUnit, ...]:
        """All units, disabled ones included."""
        return self.alwayson_scripts.controlnet.args

    @property
    def mask_blur_xy(self) -> tuple[int, int]:
        """Blur of the mask per axis: the axis' own value, else `mask_blur`."""
        x = self.mask_blur if self.mask_blur_x is None else self.mask_blur_x
        y = self.mask_blur if self.mask_blur_y is None else self.mask_blur_y
        return x, y

    @property
    def image_count(self) -> int:
        """How many pictures are asked for."""
        return self.n_iter * self.batch_size

    @property
    def operation(self) -> OperationId:
        """The operation that takes this body: by an enabled unit, else by an init image."""
        if any(unit.enabled for unit in self.units):
            return "sd_controlnet"
        return "sd_image2image_v2" if self.init_image else "sd_text2image_v2"

    @property
    def unknown_fields(self) -> dict[str, Any]:
        """What this pack has no meaning for, by dotted name: for engines that report what they leave out."""
        found = dict(self.unknown())
        found.update(
            {f"{ALWAYS_ON_PLACE}.{name}": item for name, item in self.alwayson_scripts.unknown().items()}
        )
        for number, unit in enumerate(self.units):
            place = f"{self._units_place}[{number}]"
            found.update({f"{place}.{name}": item for name, item in unit.unknown_fields.items()})
        return found

    @property
    def _units_place(self) -> str:
        return f"{ALWAYS_ON_PLACE}.{self.alwayson_scripts.script_name}.args"

    # --- pictures ---

    def links(self) -> list[tuple[str, str]]:
        """Every picture of the request as (place in the body, link), in the body's order."""
        found = [
            (f"{ALWAYS_ON_PLACE}.{name}", link)
            for name, link in (("image_link", self.init_image), ("mask_link", self.init_mask))
            if link
        ]
        for number, unit in enumerate(self.units):
            found += unit_links(unit.to_wire(), f"{self._units_place}[{number}]")
        return found

    def map_links(self, change: Callable[[str], str]) -> Request:
        """The same request with every link replaced by `change(link)`; unset ones stay unset."""
        changes = {
            name: change(link)
            for name, link in (("image_link", self.init_image), ("mask_link", self.init_mask))
            if link
        }
        request = self.replace(**changes) if changes else self
        if not any(unit_links(unit.to_wire(), "") for unit in self.units):
            return request
        return request.with_units(
            [ControlNetUnit.from_wire(map_unit_links(unit.to_wire(), change)) for unit in self.units]
        )


def _put(target: dict[str, Any], name: str, value: Any) -> None:
    if value is UNSET:
        target.pop(name, None)
    else:
        target[name] = value


def _plain_numbers(value: Any) -> Any:
    """The same JSON value with 7.0 written as 7, so that equal bodies hash equal."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: _plain_numbers(item) for name, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_plain_numbers(item) for item in cast("list[Any]", value)]
    return value
