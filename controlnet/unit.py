"""The ControlNet unit: one control picture, one module, one model, and how strongly and when they act.

A unit is immutable and validated. Its defaults are those of sd-webui-controlnet 1.1.455, with one exception:
a unit that does not say `enabled` is enabled (and says so in its notices), because that is what the callers
of the Img Open API expect.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Annotated, Any, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, ValidationError

from ..base.errors import InvalidRequest
from ..base.log import scrub_link
from .modules import ModuleSpec, effective_sliders, find_module
from .spelling import (
    FIELD_ALIASES,
    ControlMode,
    HrOption,
    PulidMode,
    ResizeMode,
    UnionControlType,
    read_payload,
)

__all__ = [
    "ControlMode",
    "ControlNetUnit",
    "HrOption",
    "PulidMode",
    "ResizeMode",
    "UnionControlType",
]


def _no_bool(value: Any) -> Any:
    # JSON's true is not a number, though Python's is.
    if isinstance(value, bool):
        raise ValueError("a boolean")
    return value


_Number = Annotated[float, BeforeValidator(_no_bool), Field(allow_inf_nan=False)]
_Integer = Annotated[int, BeforeValidator(_no_bool)]

# What an error says is allowed, per field.
_ALLOWED: Mapping[str, str] = {
    "enabled": "true or false",
    "model": "the name of a control model (a string)",
    "weight": "a number from 0 to 2",
    "image": "a link, a data URL or base64 text",
    "mask": "a link, a data URL or base64 text",
    "low_vram": "true or false",
    "processor_res": "a whole number (-1 for the module's default)",
    "threshold_a": "a number (-1 for the module's default)",
    "threshold_b": "a number (-1 for the module's default)",
    "guidance_start": "a number from 0 to 1",
    "guidance_end": "a number from 0 to 1",
    "pixel_perfect": "true or false",
    "inpaint_crop_input_image": "true or false",
    "save_detected_map": "true or false",
    "advanced_weighting": "a list of numbers, one per residual, or null",
    "effective_region_mask": "a link, a data URL, base64 text, or null",
    "hr_option": " | ".join(f'"{each.value}"' for each in HrOption),
    "union_control_type": " | ".join(f'"{each.value}"' for each in UnionControlType),
    "pulid_mode": " | ".join(f'"{each.value}"' for each in PulidMode),
}


class ControlNetUnit(BaseModel):
    """One ControlNet unit.

    Made from keywords or, with `from_wire`, from a payload in any dialect. Unknown keys are kept and written
    out again. Fields that were not given have the web UI's defaults but stay out of `to_wire`.

    Attributes:
        enabled: a disabled unit does nothing.
        module: internal name of the preprocessor, see `modules.py`.
        model: name of the control model, "None" for none.
        weight: 0 to 2.
        image: the control picture as a link, data URL, base64 text or `picture:` id; None: the init image.
        mask: like image, for inpaint modules; white = repaint.
        resize_mode: how the picture is brought to the target size.
        low_vram: keep control models off the GPU between calls; never changes the result.
        processor_res: size of the picture's short side for the preprocessor, pixels; -1 = the module's
        default. threshold_a, threshold_b: the module's own numbers; -1 = the module's default.
        guidance_start, guidance_end: share of the steps the unit acts in, 0 to 1, start <= end.
        pixel_perfect: compute processor_res from the target size.
        control_mode: whether the prompt or the control model wins.
        hr_option: which pass of the hires fix the unit acts in.
        inpaint_crop_input_image: follow the crop of an "only masked" inpainting.
        save_detected_map: add the control picture to the results.
        advanced_weighting: one factor per residual, instead of weight and the soft factors.
        effective_region_mask: picture multiplied into the residuals.
        union_control_type: what a union model is told that it gets.
        pulid_mode: PuLID only.
        ipadapter_input: ready-made embeddings (base64 of saved tensors), skips the preprocessor.

    Raises:
        InvalidRequest: every problem found is named with its value and what is allowed.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    enabled: bool = True
    module: str = "none"
    model: str = "None"
    weight: Annotated[_Number, Field(ge=0, le=2)] = 1.0
    image: str | None = None
    mask: str | None = None
    resize_mode: ResizeMode = ResizeMode.CROP
    low_vram: bool = False
    processor_res: _Integer = -1
    threshold_a: _Number = -1
    threshold_b: _Number = -1
    guidance_start: Annotated[_Number, Field(ge=0, le=1)] = 0.0
    guidance_end: Annotated[_Number, Field(ge=0, le=1)] = 1.0
    pixel_perfect: bool = False
    control_mode: ControlMode = ControlMode.BALANCED
    hr_option: HrOption = HrOption.BOTH
    inpaint_crop_input_image: bool = True
    save_detected_map: bool = True
    advanced_weighting: tuple[_Number, ...] | None = None
    effective_region_mask: str | None = None
    union_control_type: UnionControlType = UnionControlType.UNKNOWN
    pulid_mode: PulidMode = PulidMode.FIDELITY
    ipadapter_input: Any = None

    _wire: dict[str, Any] = PrivateAttr(default_factory=dict[str, Any])
    _notices: tuple[str, ...] = PrivateAttr(default=())

    def __init__(self, /, **data: Any) -> None:
        reading = read_payload({key: _plain(value) for key, value in data.items()}, _KNOWN)
        try:
            super().__init__(**reading.fields, **reading.extra)
        except ValidationError as error:
            raise _explain(error) from error
        if self.guidance_start > self.guidance_end:
            raise InvalidRequest(
                f"guidance_start {self.guidance_start:g} is greater than guidance_end {self.guidance_end:g}.",
                "The window must begin before it ends.",
                field="guidance_start",
            )
        self._wire = reading.wire
        self._notices = reading.notices

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        # A picture inside the payload would make every log line and traceback megabytes long.
        extra = self.__pydantic_extra__ or {}
        for name in self.model_fields_set:
            # An unknown key may have the name of one of our methods.
            value = extra[name] if name in extra else getattr(self, name)
            if isinstance(value, str) and len(value) > 80:
                value = f"{scrub_link(value)[:60]}... ({len(value)} characters)"
            yield name, value

    @classmethod
    def from_wire(cls, data: Mapping[str, Any], *, notices: list[str] | None = None) -> ControlNetUnit:
        """A unit from a JSON payload, in Img Open's or the web UI's dialect, old or new.

        `notices` receives what the user should know: old spellings read, `enabled` missing.
        """
        if not isinstance(data, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidRequest.field("controlnet unit", data, "a JSON object with the unit's fields")
        unit = cls(**{str(key): value for key, value in data.items()})
        if notices is not None:
            notices.extend(unit.notices)
        return unit

    @property
    def notices(self) -> tuple[str, ...]:
        """How the payload was read, where that is not obvious."""
        return self._notices

    @property
    def spec(self) -> ModuleSpec:
        """The module's row of the table."""
        return find_module(self.module)

    @property
    def unknown_fields(self) -> dict[str, Any]:
        """Keys of the payload that no version known here has."""
        return copy.deepcopy(self.__pydantic_extra__ or {})

    def sliders(self) -> tuple[float, float, float, list[str]]:
        """processor_res, threshold_a and _b as the module uses them, and notices (see effective_sliders)."""
        return effective_sliders(self.module, self.processor_res, self.threshold_a, self.threshold_b)

    def to_wire(self) -> dict[str, Any]:
        """The payload: the keys it came with, set fields only, values in the one exact spelling."""
        return copy.deepcopy(self._wire)

    def to_webui(self) -> dict[str, Any]:
        """The payload in the dialect of the web UI (1.1.448 and later): its own key names, `enabled`
        explicit.
        """
        payload: dict[str, Any] = {"enabled": self.enabled}
        for key, value in self.to_wire().items():
            name = FIELD_ALIASES.get(key, key)
            # Of two names of one field the other one may be empty: the field's own value is what counts.
            payload[name] = getattr(self, name) if name in ("image", "mask") else value
        if self.mask is not None:
            payload["mask"] = self.mask
        return payload

    def replace(self, **changes: Any) -> ControlNetUnit:
        """A validated copy with fields of this class changed; the payload's keys keep their spelling."""
        payload = self.to_wire()
        for field in changes:
            if field not in _KNOWN:
                raise InvalidRequest.field(
                    "field of a ControlNet unit", field, "one of " + ", ".join(sorted(_KNOWN))
                )
        if "image" in changes or "mask" in changes:
            _spread_pictures(payload, self.image, self.mask)
        for field, value in changes.items():
            spelt = [key for key in payload if FIELD_ALIASES.get(key, key) == field]
            for other in spelt[1:]:
                del payload[other]
            payload[spelt[0] if spelt else _WRITTEN_AS.get(field, field)] = _plain(value)
        return ControlNetUnit(**payload)


_KNOWN = frozenset(ControlNetUnit.model_fields)
# New keys are written in Img Open's dialect.
_WRITTEN_AS: Mapping[str, str] = {"image": "image_link"}


def _spread_pictures(payload: dict[str, Any], image: str | None, mask: str | None) -> None:
    """Takes a value that holds picture and mask together apart, so that one of them can be changed."""
    for key in [key for key in payload if FIELD_ALIASES.get(key, key) == "image"]:
        if isinstance(payload[key], dict | list):
            payload[key] = image
            if mask is not None:
                payload["mask"] = mask


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, tuple):
        return list(cast("tuple[Any, ...]", value))
    return value


def _explain(error: ValidationError) -> InvalidRequest:
    """Pydantic's findings in the words of the other errors, all of them in one."""
    fields: list[str] = []
    sentences: list[str] = []
    for problem in error.errors(include_url=False):
        field = str(problem["loc"][0]) if problem["loc"] else "unit"
        if field in fields:
            continue
        fields.append(field)
        sentences.append(
            InvalidRequest.field(field, problem["input"], _ALLOWED.get(field, problem["msg"])).message
        )
    return InvalidRequest(" ".join(sentences), field=fields[0], fields=fields)
