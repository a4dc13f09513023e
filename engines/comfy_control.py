"""A ControlNet unit on ComfyUI's own control models: the pack's whole touch of their internals.

The control object that the host loaded stays as it is and does the work; `UnitControl` stands around a copy
of it and decides when it runs, on which map, and how strongly each residual and each row counts. Used of
the host: `ControlBase` and the methods it calls on one, the dict of residuals, and in `transformer_options`
the keys `cond_or_uncond` and `sample_sigmas`. Tested on ComfyUI 0.3.48 and 0.3.64.
"""

# pyright: basic, reportMissingImports=false

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from comfy.controlnet import ControlBase

from ..base.errors import InvalidRequest, PictureError
from ..controlnet.unit import ControlNetUnit
from ..controlnet.weights import acts_in_pass, residual_scales
from . import comfy_rules as rules
from .comfy_rules import POSITIVE, Maps

if TYPE_CHECKING:
    import torch

Conditioning = list[Any]
WindowMode = Literal["steps", "sigma"]
_LATENT_CELL = 8  # pixels
_SDXL_TEXT = 2048  # width of SDXL's text vectors
_UNION_TYPES = (
    "OpenPose",
    "Depth",
    "Soft Edge",
    "Hard Edge",
    "Normal Map",
    "Segmentation",
    "Tile",
    "Inpaint",
)


def attach(
    positive: Conditioning,
    negative: Conditioning,
    control_net: Any,
    unit: ControlNetUnit,
    maps: Maps,
    *,
    window_mode: WindowMode = "steps",
    vae: Any = None,
) -> tuple[Conditioning, Conditioning]:
    """Attach a unit to both sides of the conditioning.

    Entries that carried the same control before share one new object: only then does the host run both
    sides in one batch, so the number of model calls stays its own. Which rows count how much is decided
    inside that batch.

    Args:
        positive, negative: conditioning; not changed.
        control_net: ComfyUI's CONTROL_NET; not changed.
        unit: weight, control mode, window, hr_option, advanced_weighting and union type count.
        maps: its control images and region mask.
        window_mode: guidance_start and guidance_end as shares of the run's steps (the web UI), or as
            ComfyUI's percent of the noise schedule.
        vae: for control models that take latents.

    Raises:
        PictureError: a map or the region mask is not finite.
        InvalidRequest: the control model belongs to another model family, advanced_weighting has not one
            number per residual, or the union model does not know the type.
        Unsupported: a control mode is asked of a kind of model it is not defined for.
    """
    _check_finite(maps)
    if unit.weight == 0 and unit.advanced_weighting is None:
        return positive, negative
    _check_kind(control_net, unit)
    _check_union(control_net, unit)
    _check_text(control_net, positive)
    made: dict[Any, UnitControl] = {}

    def with_control(conditioning: Conditioning) -> Conditioning:
        attached: Conditioning = []
        for tensor, options in conditioning:
            before = options.get("control")
            if before not in made:
                made[before] = UnitControl(control_net.copy(), unit, maps, window_mode, vae)
                made[before].set_previous_controlnet(before)
            attached.append([tensor, {**options, "control": made[before], "control_apply_to_uncond": False}])
        return attached

    return with_control(positive), with_control(negative)


def takes_union_type(control_net: Any) -> bool:
    """Whether this control model is a union model, which can be told what to act as."""
    return getattr(getattr(control_net, "control_model", None), "control_add_embedding", None) is not None


class UnitControl(ControlBase):
    """One unit around a control object of the host.

    Args:
        inner: the host's control object, a copy of its own; this object sets its hint and strength.
        unit: what was asked.
        maps: the control images.
        window_mode: how the window is read.
        vae: handed to `inner`.
    """

    def __init__(
        self, inner: Any, unit: ControlNetUnit, maps: Maps, window_mode: WindowMode, vae: Any = None
    ):
        super().__init__()
        self.inner, self.unit, self.maps = inner, unit, maps
        self.window_mode: WindowMode = window_mode
        self.inner_vae = vae
        # Read by the host and by other packs on any control object.
        self.extra_hooks = inner.extra_hooks
        self.global_average_pooling = inner.global_average_pooling
        self.compression_ratio = inner.compression_ratio
        self._given: tuple[Any, float] | None = None
        kind = _union_number(inner, unit)
        if kind is not None:
            inner.set_extra_arg("control_type", [kind])
        self._give(_host_hint(inner, maps.low), unit.weight)
        self.cond_hint_original = inner.cond_hint_original

    def copy(self) -> UnitControl:
        """Another one with the same settings and weights; like the host's copies without what came before."""
        return UnitControl(self.inner.copy(), self.unit, self.maps, self.window_mode, self.inner_vae)

    def pre_run(self, model: Any, percent_to_timestep_function: Any) -> None:
        # What an interrupted run left behind: it may be of another size or batch.
        self.inner.cond_hint = None
        if hasattr(self.inner, "control_input"):
            self.inner.control_input = None
        _check_model(self.inner, model)
        self.inner.pre_run(model, percent_to_timestep_function)
        if self.previous_controlnet is not None:
            self.previous_controlnet.pre_run(model, percent_to_timestep_function)

    def cleanup(self) -> None:
        self.inner.cleanup()
        super().cleanup()

    def get_models(self) -> list[Any]:
        return [*super().get_models(), *self.inner.get_models()]

    def inference_memory_requirements(self, dtype: Any) -> Any:
        return super().inference_memory_requirements(dtype) + self.inner.inference_memory_requirements(dtype)

    def get_control(
        self, x_noisy: Any, t: Any, cond: Any, batched_number: int, transformer_options: Any
    ) -> Any:
        before = self.previous_controlnet
        previous = before and before.get_control(x_noisy, t, cond, batched_number, transformer_options)
        own = self._own(x_noisy, t, cond, batched_number, transformer_options)
        if own is None or previous is None:
            return previous if own is None else own
        return rules.add(previous, own)

    def _own(
        self, x_noisy: Any, t: Any, cond: Any, batched_number: int, options: Any
    ) -> rules.Control | None:
        unit, sides, pooled = self.unit, options["cond_or_uncond"], bool(self.inner.global_average_pooling)
        cond_only = rules.conditional_only(unit, pooled)
        if cond_only and POSITIVE not in sides:
            return None
        hint, high = self.maps.choose(int(x_noisy.shape[-2]), int(x_noisy.shape[-1]))
        if not acts_in_pass(unit.hr_option, high) or not self._window_is_open(t, options):
            return None
        plain = rules.one_factor(unit, high)
        low_size = self._adapter_size(high)
        latent = x_noisy if low_size is None else x_noisy[..., :1, :1].expand(*x_noisy.shape[:2], *low_size)
        self._give(
            _host_hint(self.inner, hint if low_size is None else self.maps.low), unit.weight if plain else 1.0
        )
        control = self.inner.get_control(latent, t, cond, batched_number, options)
        if control is None:  # outside the window, read in sigmas
            return None
        if not plain:
            scales = rules.scales_of(unit, control, high=high, pooled=pooled)
            rules.scale(control, scales, sides, int(x_noisy.shape[0]))
        elif cond_only:
            count = sum(tensor is not None for _, _, tensor in rules.places(control))
            rules.scale(control, [(1.0, 0.0)] * count, sides, int(x_noisy.shape[0]))
        if self.maps.region is not None:
            rules.mask_region(control, self.maps.region, batched_number)
        if low_size is not None:
            rules.resize_features(control, low_size, (int(x_noisy.shape[-2]), int(x_noisy.shape[-1])))
        return control

    def _give(self, hint: torch.Tensor, strength: float) -> None:
        """Hand the host's object its map and strength, if they changed."""
        if self._given is not None and self._given[0] is hint and self._given[1] == strength:
            return
        # In steps the window is decided here, and the host's own stands open.
        window = (
            (self.unit.guidance_start, self.unit.guidance_end) if self.window_mode == "sigma" else (0.0, 1.0)
        )
        self.inner.set_cond_hint(hint, strength, window, vae=self.inner_vae)
        self._given = (hint, strength)

    def _window_is_open(self, t: Any, options: Any) -> bool:
        if self.window_mode == "sigma" or (self.unit.guidance_start, self.unit.guidance_end) == (0, 1):
            return True
        return rules.window_at(self.unit, options, float(t[0]))

    def _adapter_size(self, high: bool) -> tuple[int, int] | None:
        """Latent size at which an adapter's features are made, where that is not the pass's own."""
        if not high or not hasattr(self.inner, "t2i_model"):
            return None
        return int(self.maps.low.shape[2]) // _LATENT_CELL, int(self.maps.low.shape[3]) // _LATENT_CELL


def _host_hint(inner: Any, hint: torch.Tensor) -> torch.Tensor:
    """The hint as the host's object is to get it.

    An adapter for one-channel pictures gets the first channel, as in the web UI; the host would take the
    mean.
    """
    if getattr(inner, "channels_in", 3) != 1 or hint.shape[1] == 1:
        return hint
    gray = bool((hint == hint[:, :1]).all())
    return hint if gray else hint[:, :1]


def _check_finite(maps: Maps) -> None:
    for name, tensor in (
        ("control image", maps.low),
        ("control image", maps.high),
        ("region mask", maps.region),
    ):
        if tensor is not None and not bool(tensor.isfinite().all()):
            raise PictureError(
                f"The {name} contains NaN or infinite values.",
                "Look at the node before: its result is broken.",
            )


def _check_kind(control_net: Any, unit: ControlNetUnit) -> None:
    """Refuse, before anything runs, what this kind of control model cannot be asked."""
    pooled = bool(control_net.global_average_pooling)
    if rules.one_factor(unit, high=False) and not rules.conditional_only(unit, pooled):
        return
    count = _residual_count(control_net)
    if count is None:
        raise rules.not_defined()
    family = (
        "t2i" if hasattr(control_net, "t2i_model") else "sdxl" if count == rules.SDXL_RESIDUALS else "sd15"
    )
    residual_scales(unit.control_mode, unit.weight, family, count, unit.advanced_weighting)


def _union_number(control_net: Any, unit: ControlNetUnit) -> int | None:
    """The union model's number for the unit's type; None for other models and for "Unknown"."""
    known = takes_union_type(control_net) and unit.union_control_type.value in _UNION_TYPES
    return _UNION_TYPES.index(unit.union_control_type.value) if known else None


def _check_union(control_net: Any, unit: ControlNetUnit) -> None:
    """Refuse a type that came after this union model: the first ones know six of the eight."""
    kind = _union_number(control_net, unit)
    known = getattr(getattr(control_net, "control_model", None), "num_control_type", len(_UNION_TYPES))
    if kind is not None and kind >= known:
        raise InvalidRequest.field(
            "union_control_type",
            unit.union_control_type.value,
            "Unknown or one of " + ", ".join(_UNION_TYPES[:known]) + " with this union model",
            "The union models called ProMax know all eight.",
        )


def _residual_count(control_net: Any) -> int | None:
    """How many residuals the model makes; None for kinds without the U-Net's places."""
    if hasattr(control_net, "t2i_model"):
        return len(getattr(control_net.t2i_model, "channels", ())) or None
    if hasattr(control_net, "control_weights"):  # a ControlLoRA, which becomes a model only when it runs
        names = [name.split(".") for name in control_net.control_weights]
        return len({parts[1] for parts in names if parts[0] == "zero_convs"}) + 1
    exits = getattr(getattr(control_net, "control_model", None), "zero_convs", None)
    return None if exits is None else len(exits) + 1


def _text_width(module: Any) -> int | None:
    """Width of the text vectors that a U-Net or a ControlNet attends to."""
    for name, parameter in module.named_parameters():
        if name.endswith("attn2.to_k.weight"):
            return int(parameter.shape[1])
    return None


def _check_text(control_net: Any, positive: Conditioning) -> None:
    """Refuse a control model whose text width is not that of the wired conditioning."""
    module = getattr(control_net, "control_model", None)
    wanted = None if module is None else _text_width(module)
    for tensor, _ in positive if wanted is not None else []:
        if tensor is not None and int(tensor.shape[-1]) != wanted:
            raise _wrong_family(_family_name(wanted), _family_name(int(tensor.shape[-1])))


def _check_model(inner: Any, model: Any) -> None:
    """Refuse a control model of another family than the model that is sampled.

    ControlNets are told apart by the width of their text vectors, those without any by SDXL's size
    embedding, and adapters by SDXL's shape. Without this the host fails deep inside a matrix product, or
    leaves the control out with no more than a log line.
    """
    network = model.diffusion_model
    text = _text_width(network)
    sdxl = text == _SDXL_TEXT
    module = getattr(inner, "control_model", None)
    if module is not None:
        width = _text_width(module)
        if width is not None and text is not None and width != text:
            raise _wrong_family(_family_name(width), _family_name(text))
        sized = getattr(module, "num_classes", None) is not None
        if sized and getattr(network, "num_classes", None) is None:
            raise _wrong_family("SDXL", _family_name(text))
    adapter = getattr(inner, "t2i_model", None)
    if adapter is not None and hasattr(adapter, "xl") and bool(adapter.xl) != sdxl:
        raise _wrong_family("SDXL" if adapter.xl else "SD1.5", _family_name(text))


def _family_name(width: int | None) -> str:
    names = {768: "SD1.5", 1024: "SD2", _SDXL_TEXT: "SDXL"}
    return names.get(width or 0, f"another family (text width {width})")


def _wrong_family(control: str, model: str) -> InvalidRequest:
    return InvalidRequest(
        f"The control model was made for {control}, but the checkpoint is {model}.",
        "Choose a control model of the checkpoint's family.",
        field="model",
    )
