"""A request's units as nodes: picture, crop, control model, ControlNet Unit. Plain data, no ComfyUI.

Units that are other nodes' work (IP-Adapter, InstantID, Revision) are wired by `comfy_owned`.
"""

# pyright: basic

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..base.errors import InvalidRequest
from ..controlnet.unit import ControlNetUnit
from ..preprocessors.postprocess import needs_post_process
from .comfy_graph import Graph, HostFacts, Link
from .comfy_owned import Owned, Seen
from .comfy_owners import KEYPOINTS, check_model_without_module, is_map, owner_of

if TYPE_CHECKING:
    from ..api.request import Request

_NO_MODEL = ("", "none")
# What the request's own resize_mode means for a unit that uses the init picture; 3 (latent) stretches.
_REQUEST_MODES = ("Just Resize", "Crop and Resize", "Resize and Fill", "Just Resize")


@dataclass(frozen=True)
class InitLinks:
    """The init picture of a request and its mask, ready for units.

    Attributes:
        image: IMAGE as given.
        mask: MASK, inverted and blurred as asked, of the picture's size; None without.
    """

    image: Link
    mask: Link | None = None


@dataclass
class Wires:
    """What units change on their way.

    Attributes:
        model, positive, negative: what is sampled with.
        maps: the units' control images.
        finish: the chain of units, where one of them has something to do after decoding; else None.
        face: the tokens of InstantID's face, if the unit just before gave them.
    """

    model: Link
    positive: Link
    negative: Link
    maps: list[Link] = field(default_factory=list)
    finish: Link | None = None
    face: Link | None = None


def unit_place(index: int) -> str:
    """Wire name of the unit at `index`."""
    return f"alwayson_scripts.controlnet.args[{index}]"


@dataclass(frozen=True)
class Units:
    """The units of a request, and what they are attached to.

    Attributes:
        graph: where nodes go.
        request: whose units.
        host: what the host has.
        latent: what will be sampled; only its size is read.
        vae: of the checkpoint, for control models that work on latents.
        init: the init picture, or None.
        seed: of the first picture, for modules that draw random numbers.
    """

    graph: Graph
    request: Request
    host: HostFacts
    latent: Link
    vae: Link
    init: InitLinks | None
    seed: int

    def add(self, wires: Wires, tag: str = "") -> None:
        """Add every enabled unit, one behind the other; `wires` then lead out of the last one.

        Raises:
            InvalidRequest: a unit without a picture, or without a model where its module needs one.
            MissingModel: its model is not there.
            MissingDependency: it is the work of nodes that are not there.
        """
        chained: Link | None = None
        enabled = [(index, unit) for index, unit in enumerate(self.request.units) if unit.enabled]
        for index, unit in enabled:
            name = f"{tag}unit{index + 1}"
            check_model_without_module(unit, unit_place(index))
            face, wires.face = wires.face, None
            if owner_of(unit):
                self._add_owned(wires, name, index, unit, face)
            else:
                seen = self._seen(name, index, unit)
                chained = [self._add(wires, name, index, unit, seen, chained), 3]
        if any(unit.enabled and needs_post_process(self._module(unit)) for unit in self.request.units):
            wires.finish = chained

    def _add(
        self, wires: Wires, name: str, index: int, unit: ControlNetUnit, seen: Seen, before: Link | None
    ) -> str:
        graph, module = self.graph, seen.module
        region = [graph.picture(unit.effective_region_mask), 1] if unit.effective_region_mask else None
        key = graph.add(
            name,
            "ImgOpenControlNetApply",
            positive=wires.positive,
            negative=wires.negative,
            control_net=self._control_net(index, unit),
            vae=self.vae,
            image=seen.image,
            mask=seen.mask,
            latent=self.latent,
            units=before,
            effective_region_mask=region,
            sd_model=wires.model if _works_in_the_model(module) else None,
            seed=self.seed if _draws(module) else None,
            **unit_widgets(unit, module, seen.mode),
            **self._second_pass(),
        )
        wires.positive, wires.negative = [key, 0], [key, 1]
        if _works_in_the_model(module):
            wires.model = [key, 4]
        if unit.save_detected_map:
            wires.maps.append([key, 2])
        self._say_general(index, unit)
        return key

    def _add_owned(
        self, wires: Wires, name: str, index: int, unit: ControlNetUnit, face: Link | None
    ) -> None:
        """A unit that is other nodes' work; `face`: of the unit just before."""
        owned, place = Owned(self.graph, self.request, self.host), unit_place(index)
        owned.check(unit, place)
        self._say_general(index, unit)
        unit = owned.without_mask(unit, place)
        owner = owner_of(unit)
        if owner == "InstantID" and is_map(unit):
            self._add_instant_id(owned, wires, name, index, unit, face)
            return
        seen = self._seen(name, index, unit)
        if owner == "Revision":
            sides = owned.revision(name, place, unit, seen, wires.positive, wires.negative)
            wires.positive, wires.negative = sides
        elif owner == "InstantID":
            wires.model, wires.face = owned.face(name, place, unit, seen, wires.model)
        else:
            wires.model = owned.ip_adapter(name, place, unit, seen, wires.model)

    def _add_instant_id(
        self, owned: Owned, wires: Wires, name: str, index: int, unit: ControlNetUnit, face: Link | None
    ) -> None:
        """InstantID's control model: as any other, but it reads the face's tokens instead of the prompt."""
        place = unit_place(index)
        if face is None:
            raise InvalidRequest(
                f"{place} is InstantID's control model, but the unit before it gives no face.",
                "Put a unit with the module instant_id_face_embedding directly before it.",
                field=f"{place}.module",
            )
        self._say_one_text(index)
        seen = self._seen(name, index, unit)
        if unit.module == KEYPOINTS:
            width, height = self.request.width // 8 * 8, self.request.height // 8 * 8
            points = self.graph.add(
                f"{name}-points",
                "ImgOpenPreprocessor",
                image=seen.image,
                module=unit.module,
                processor_res=unit.processor_res,
                pixel_perfect=unit.pixel_perfect,
                resize_mode=seen.mode,
                width=width,
                height=height,
            )
            seen = Seen([points, 0], None, seen.mode, "none")
        control = self._control_net(index, unit)
        sides = owned.face_tokens(name, face, control, seen.image, wires.positive, wires.negative)
        wires.positive, wires.negative = sides
        self._add(wires, name, index, unit, seen, None)

    def _say_one_text(self, index: int) -> None:
        """Beside InstantID's control model every other one reads the face too."""
        for other, unit in enumerate(self.request.units):
            if unit.enabled and other != index and not owner_of(unit) and not unit.spec.model_free:
                self.graph.say(
                    f"{unit_place(other)}.model",
                    "approximated",
                    "Beside InstantID this control model reads the face instead of the prompt too: ComfyUI "
                    "has one text for all of them.",
                )

    def _say_general(self, index: int, unit: ControlNetUnit) -> None:
        """What is said of any unit."""
        for text in unit.notices:
            self.graph.say(unit_place(index), "notice", text)
        if unit.low_vram:
            text = "ComfyUI decides what stays in memory; the result is the same."
            self.graph.say(f"{unit_place(index)}.low_vram", "notice", text)

    def _seen(self, name: str, index: int, unit: ControlNetUnit) -> Seen:
        """What a unit looks at, cut to what an "only masked" inpainting looks at."""
        seen = self._pictures(index, unit)
        if self.init is None or self.init.mask is None or not _follows_crop(self.request, unit):
            return seen
        mask, mode = seen.mask, seen.mode
        crop = self._crop(f"{name}-crop", self.init.mask, seen.image, mode)
        if mask is not None and mask != self.init.mask:
            mask = self._cropped_mask(name, self.init.mask, mask, mode)
        elif mask is not None:
            mask = [crop, 1]
        return Seen([crop, 0], mask, mode, seen.module)

    def _module(self, unit: ControlNetUnit) -> str:
        """The module that acts."""
        if unit.module == "inpaint_only" and self.init is not None and self.init.mask is not None:
            # The init mask already repaints only its inside: blending a second time would fight with it.
            return "inpaint"
        return unit.module

    def _pictures(self, index: int, unit: ControlNetUnit) -> Seen:
        """Picture, mask, resize mode and module of a unit; the init picture stands in for a missing one."""
        init, module = self.init, self._module(unit)
        if unit.image is not None:
            mask = None if unit.mask is None else [self.graph.picture(unit.mask), 1]
            return Seen([self.graph.picture(unit.image), 0], mask, unit.resize_mode.value, module)
        if init is None:
            raise InvalidRequest(
                f"{unit_place(index)} ({unit.module}) is enabled, but there is no picture for it.",
                "Give the unit an image, or the request an init picture.",
                field=f"{unit_place(index)}.image_link",
            )
        mask = init.mask if unit.spec.is_inpaint else None
        return Seen(init.image, mask, _REQUEST_MODES[self.request.resize_mode], module)

    def _second_pass(self) -> dict[str, Any]:
        """What the node has to know of the hires fix, to choose map, factors and hr_option by itself."""
        request = self.request
        if not request.enable_hr:
            return {}
        return {
            "hr_scale": request.hr_scale,
            "hr_resize_x": request.hr_resize_x,
            "hr_resize_y": request.hr_resize_y,
        }

    def _crop(self, name: str, mask: Link, image: Link, mode: str) -> str:
        """The part of a control picture that an "only masked" inpainting looks at."""
        return self.graph.add(
            name,
            "ImgOpenCropMasked",
            image=image,
            mask=mask,
            width=self.request.width // 8 * 8,
            height=self.request.height // 8 * 8,
            padding=self.request.inpaint_full_res_padding,
            resize_mode=mode,
        )

    def _cropped_mask(self, name: str, init_mask: Link, mask: Any, mode: str) -> Link:
        shown = self.graph.add(f"{name}-mask", "MaskToImage", mask=mask)
        cropped = self._crop(f"{name}-mask-crop", init_mask, [shown, 0], mode)
        return [
            self.graph.add(f"{name}-mask-cropped", "ImageToMask", image=[cropped, 0], channel="red"),
            0,
        ]

    def _control_net(self, index: int, unit: ControlNetUnit) -> Link | None:
        if unit.model.strip().lower() in _NO_MODEL:
            if unit.spec.model_free:
                return None
            names = "" if self.host.models is None else ", ".join(self.host.models.names("controlnet")[:8])
            raise InvalidRequest(
                f"{unit_place(index)}.model is {unit.model!r}, but {unit.spec.label} needs a control model.",
                f"Control models here: {names or 'none installed'}.",
                field=f"{unit_place(index)}.model",
            )
        name = self.host.control_model(unit.model)
        return [self.graph.once(f"control-{name}", "ControlNetLoader", control_net_name=name), 0]


def unit_widgets(unit: ControlNetUnit, module: str, mode: str) -> dict[str, Any]:
    """The widget values of a ControlNet Unit node."""
    weights = unit.advanced_weighting
    return {
        "enabled": True,
        "module": module,
        "weight": unit.weight,
        "resize_mode": mode,
        "low_vram": unit.low_vram,
        "processor_res": unit.processor_res,
        "threshold_a": unit.threshold_a,
        "threshold_b": unit.threshold_b,
        "guidance_start": unit.guidance_start,
        "guidance_end": unit.guidance_end,
        "pixel_perfect": unit.pixel_perfect,
        "control_mode": unit.control_mode.value,
        "window_mode": "steps",
        "hr_option": unit.hr_option.value,
        "advanced_weighting": "" if weights is None else ",".join(f"{weight:g}" for weight in weights),
        "union_control_type": unit.union_control_type.value,
        "pulid_mode": unit.pulid_mode.value,
    }


def _works_in_the_model(module: str) -> bool:
    """Modules with a part in the model or in its latents, beside or instead of a control model."""
    return module.startswith(("reference", "tile_colorfix", "inpaint_only"))


def _draws(module: str) -> bool:
    """Modules that draw random numbers; the others stay in the host's cache when the seed changes."""
    return module.startswith(("shuffle", "reference"))


def _follows_crop(request: Request, unit: ControlNetUnit) -> bool:
    return request.inpaint_full_res and unit.inpaint_crop_input_image and "reference" not in unit.module
