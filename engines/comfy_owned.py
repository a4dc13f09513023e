"""Units that are other nodes' work: IP-Adapter, InstantID and Revision, through the nodes that own them.

IP-Adapter runs by the pack ComfyUI_IPAdapter_plus, InstantID by ComfyUI_InstantID, Revision by ComfyUI's own
nodes. What the web UI means by a unit (sd-webui-controlnet 1.1.455) decides how they are wired. Plain data,
no ComfyUI.
"""

# pyright: basic

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..base.errors import InvalidRequest, MissingDependency, MissingModel
from ..controlnet.unit import ControlMode, ControlNetUnit, HrOption
from .comfy_graph import Graph, HostFacts, Link
from .comfy_names import stem
from .comfy_owners import (
    FACES,
    INSTANT_ID_PACK,
    NODES,
    RUN_HERE,
    adapter_file,
    elsewhere,
    own_module,
    owner_of,
    plain_name,
)

if TYPE_CHECKING:
    from ..api.request import Request

# Names under which the two vision towers are published, and the file to name when there is none.
_TOWERS = {
    "clip_h": (r"vit.?h(?![a-z])|clip.?h(?![a-z])|sd1\.?5", "CLIP-ViT-H-14-laion2B-s32B-b79K.safetensors"),
    "clip_g": (
        r"big.?g|vit.?g(?![a-z])|clip.?g(?![a-z])|clip.?vision.?g|sdxl",
        "CLIP-ViT-bigG-14-laion2B-39B-b160k.safetensors",
    ),
}
_TOWER_OF = {
    "ip-adapter_clip_sd15": "clip_h",
    "ip-adapter_clip_sdxl": "clip_g",
    "ip-adapter_clip_sdxl_plus_vith": "clip_h",
    "ip-adapter_face_id": "clip_h",
    "ip-adapter_face_id_plus": "clip_h",
}
_SDXL_TEXT = "conditioner.embedders.1."  # how the names of SDXL's second text model begin
_SIDE = 224  # what the vision towers look at
_MEAN_COLOUR = 0x7B7568  # what CLIP's normalisation makes zero: 122.8, 116.7, 104.1
_NEGLIGIBLE = 1e-6  # unCLIPConditioning leaves a conditioning alone at 0


@dataclass(frozen=True)
class Seen:
    """What a unit looks at, and how.

    Attributes:
        image: IMAGE.
        mask: MASK: for inpaint modules where to repaint, for CLIP modules what not to see; or None.
        mode: resize mode, as the web UI spells it.
        module: the module that acts.
    """

    image: Link
    mask: Link | None
    mode: str
    module: str


class Owned:
    """The nodes of such units, added to a graph.

    Args:
        graph: where they go.
        request: whose units.
        host: what the host has.
    """

    def __init__(self, graph: Graph, request: Request, host: HostFacts) -> None:
        self._graph, self._request, self._host = graph, request, host

    def check(self, unit: ControlNetUnit, place: str) -> None:
        """Refuse what cannot run here, before anything is added.

        Raises:
            MissingDependency: nodes of the owner are not installed, or are not wired up by this pack.
            InvalidRequest: no model where one is needed, one that ip-adapter-auto does not know, or
                Revision on a checkpoint that is not SDXL.
        """
        name, owner = elsewhere(own_module(unit)) or ("InstantID", f"the node pack {INSTANT_ID_PACK}")
        if name not in RUN_HERE:
            raise MissingDependency(
                f"{place}: {unit.spec.label} is {name}, which is not run on this machine.",
                f"Use {owner} in a graph of your own, or send the request to a server.",
                field=f"{place}.module",
            )
        if name != "Revision" and plain_name(unit.model).lower() in ("", "none"):
            raise InvalidRequest(
                f"{place}.model is {unit.model!r}, but {unit.spec.label} needs a model.",
                "Name the adapter, such as ip-adapter_sd15 or ip-adapter_instant_id_sdxl.",
                field=f"{place}.model",
            )
        if name == "Revision":
            self._check_sdxl(place)
        wanted = NODES["IP-Adapter FaceID" if own_module(unit) in FACES else name]
        missing = [node for node in wanted if node not in self._host.node_types]
        if missing and self._host.models is not None:
            raise MissingDependency(
                f"{place}: {unit.spec.label} is {name}, which runs by {owner}. "
                f"Not here: {', '.join(missing)}.",
                "Install it (ComfyUI Manager, or a checkout in custom_nodes) and start ComfyUI again, or "
                "send the request to a server.",
                field=f"{place}.module",
            )
        if missing:
            self._graph.say(f"{place}.module", "notice", f"Where the graph runs, {owner} must be there.")

    def without_mask(self, unit: ControlNetUnit, place: str) -> ControlNetUnit:
        """The unit as its nodes can take it: those that look at faces take no mask."""
        looks_at_faces = owner_of(unit) == "InstantID" or own_module(unit) in FACES
        if unit.mask is None or not looks_at_faces:
            return unit
        self._graph.say(f"{place}.mask", "refused", "Left out: the face modules take no mask.")
        return unit.replace(mask=None)

    def ip_adapter(self, name: str, place: str, unit: ControlNetUnit, seen: Seen, model: Link) -> Link:
        """The model with an IP-Adapter on it."""
        module = own_module(unit)
        face = module in FACES
        file = adapter_file(unit, self._host)
        inputs: dict[str, Any] = {
            "model": model,
            "ipadapter": [
                self._graph.once(f"ipadapter-{file}", "IPAdapterModelLoader", ipadapter_file=file),
                0,
            ],
            "image": seen.image if face else self._square(name, seen),
            "clip_vision": self._tower(_TOWER_OF[module]),
            "weight": unit.weight,
            "start_at": unit.guidance_start,
            "end_at": unit.guidance_end,
            "weight_type": "linear",
            "combine_embeds": "average",
            "embeds_scaling": "V only",
            "attn_mask": self._region(unit),
        }
        kind = "IPAdapterFaceID" if face else "IPAdapterAdvanced"
        if face:
            loader = self._graph.once(
                "insightface", "IPAdapterInsightFaceLoader", provider="CPU", model_name="buffalo_l"
            )
            inputs |= {"insightface": [loader, 0], "weight_faceidv2": 1.0}
        if unit.advanced_weighting is not None:
            kind = "IPAdapterMS"
            inputs |= {
                "weight": 1.0,
                "weight_faceidv2": 1.0,
                "layer_weights": ",".join(
                    f"{number}:{weight:g}" for number, weight in enumerate(unit.advanced_weighting)
                ),
            }
        self._say_ip_adapter(place, unit, face)
        return [self._graph.add(name, kind, **inputs), 0]

    def face(self, name: str, place: str, unit: ControlNetUnit, seen: Seen, model: Link) -> tuple[Link, Link]:
        """The model with InstantID's face on it, and the face's tokens."""
        graph = self._graph
        file = adapter_file(unit, self._host)
        if stem(file).lower() != plain_name(unit.model).lower():
            graph.say(
                f"{place}.model", "notice", f"{file} was used, the name InstantID's adapter is published by."
            )
        loader = graph.once(f"instantid-{file}", "InstantIDModelLoader", instantid_file=file)
        analysis = graph.once("face-analysis", "InstantIDFaceAnalysis", provider="CPU")
        key = graph.add(
            name,
            "InstantIDAttentionPatch",
            instantid=[loader, 0],
            insightface=[analysis, 0],
            image=seen.image,
            model=model,
            weight=unit.weight,
            start_at=unit.guidance_start,
            end_at=unit.guidance_end,
            noise=0.0,
            mask=self._region(unit),
        )
        if unit.processor_res != -1:
            graph.say(
                f"{place}.processor_res",
                "approximated",
                "ComfyUI_InstantID looks for the face in the picture as it is.",
            )
        self._say_window(place, unit, "ComfyUI_InstantID")
        self._say_ignored(place, unit, "InstantID's face")
        if unit.advanced_weighting is not None:
            graph.say(
                f"{place}.advanced_weighting", "refused", "Left out: InstantID's nodes know one weight."
            )
        return [key, 0], [key, 1]

    def face_tokens(
        self, name: str, tokens: Link, control_net: Link | None, picture: Link, positive: Link, negative: Link
    ) -> tuple[Link, Link]:
        """Both conditionings with the face's tokens for control models to read instead of the prompt.

        The node that puts them there also brings a control model of its own. It gets a window without steps:
        the unit itself acts through ControlNet Unit, exactly as any other.
        """
        key = self._graph.add(
            f"{name}-tokens",
            "ApplyInstantIDControlNet",
            face_embeds=tokens,
            control_net=control_net,
            image_kps=picture,
            positive=positive,
            negative=negative,
            strength=1.0,
            start_at=1.0,
            end_at=1.0,
        )
        return [key, 0], [key, 1]

    def revision(
        self, name: str, place: str, unit: ControlNetUnit, seen: Seen, positive: Link, negative: Link
    ) -> tuple[Link, Link]:
        """Both conditionings with the picture's embedding in place of the prompt's pooled one."""
        graph, request = self._graph, self._request
        if unit.module == "revision_ignore_prompt" or not (request.prompt or request.negative_prompt):
            positive = [graph.add(f"{name}-no-prompt", "ConditioningZeroOut", conditioning=positive), 0]
            negative = [graph.add(f"{name}-no-negative", "ConditioningZeroOut", conditioning=negative), 0]
        encoded = graph.add(
            f"{name}-picture",
            "CLIPVisionEncode",
            clip_vision=self._tower("clip_g"),
            image=self._square(name, seen),
            crop="none",
        )
        noise = unit.sliders()[1]
        sides: list[Link] = []
        # The web UI leaves nothing of the pooled negative prompt.
        for side, conditioning, strength in (("", positive, unit.weight), ("-no", negative, _NEGLIGIBLE)):
            key = graph.add(
                f"{name}{side}",
                "unCLIPConditioning",
                conditioning=conditioning,
                clip_vision_output=[encoded, 0],
                strength=strength or _NEGLIGIBLE,
                noise_augmentation=noise,
            )
            sides.append([key, 0])
        if (unit.guidance_start, unit.guidance_end) != (0, 1):
            graph.say(
                f"{place}.guidance_start",
                "refused",
                "Revision acts in every step: ComfyUI's node has no window.",
            )
        if noise > 0:
            graph.say(
                f"{place}.threshold_a", "approximated", "ComfyUI draws other random numbers for the noise."
            )
        self._say_ignored(place, unit, "Revision")
        return sides[0], sides[1]

    def _check_sdxl(self, place: str) -> None:
        """Refuse Revision on a checkpoint of another family, where ComfyUI would quietly do nothing."""
        if self._host.models is None:
            return
        checkpoint = self._host.models.find_checkpoint(self._request.checkpoint)
        names = checkpoint.tensor_names()
        if names and not any(name.startswith(_SDXL_TEXT) for name in names):
            raise InvalidRequest(
                f"{place}: Revision works with SDXL checkpoints, and {checkpoint.name} is not one.",
                "Choose an SDXL checkpoint, or switch the unit off.",
                field=f"{place}.module",
            )

    def _square(self, name: str, seen: Seen) -> Link:
        """The picture stretched to what CLIP looks at, as the web UI does; masked parts become its zero."""
        graph = self._graph
        size = {"upscale_method": "area", "width": _SIDE, "height": _SIDE, "crop": "disabled"}
        square: Link = [graph.add(f"{name}-square", "ImageScale", image=seen.image, **size), 0]
        if seen.mask is None:
            return square
        shown = graph.add(f"{name}-hide", "MaskToImage", mask=seen.mask)
        small = graph.add(f"{name}-hide-square", "ImageScale", image=[shown, 0], **size)
        hidden = graph.add(f"{name}-hidden", "ImageToMask", image=[small, 0], channel="red")
        colour = graph.add(
            f"{name}-nothing", "EmptyImage", width=_SIDE, height=_SIDE, batch_size=1, color=_MEAN_COLOUR
        )
        key = graph.add(
            f"{name}-kept",
            "ImageCompositeMasked",
            destination=square,
            source=[colour, 0],
            x=0,
            y=0,
            resize_source=False,
            mask=[hidden, 0],
        )
        return [key, 0]

    def _region(self, unit: ControlNetUnit) -> Link | None:
        if not unit.effective_region_mask:
            return None
        return [self._graph.picture(unit.effective_region_mask), 1]

    def _tower(self, which: str) -> Link:
        """CLIP's vision tower, by the names its files go by."""
        pattern, published = _TOWERS[which]
        names = self._host.files.get("clip_vision", ())
        fitting = [name for name in names if re.search(pattern, stem(name), re.IGNORECASE)]
        if not fitting and self._host.models is not None:
            raise MissingModel(
                f"The CLIP vision model {published} is not here.",
                "Put it into ComfyUI's models/clip_vision folder. "
                f"There: {', '.join(names[:5]) or 'nothing'}.",
                name=published,
            )
        file = fitting[0] if fitting else published
        return [self._graph.once(f"clip-vision-{file}", "CLIPVisionLoader", clip_name=file), 0]

    def _say_ip_adapter(self, place: str, unit: ControlNetUnit, face: bool) -> None:
        graph = self._graph
        if face:
            graph.say(
                f"{place}.module",
                "approximated",
                "ComfyUI_IPAdapter_plus takes the surest face instead of the largest, and shows CLIP the "
                "cut-out face instead of the picture.",
            )
        graph.say(
            f"{place}.weight",
            "approximated",
            "ComfyUI_IPAdapter_plus leaves the middle block of the U-Net alone; the web UI reaches it too.",
        )
        self._say_window(place, unit, "ComfyUI_IPAdapter_plus")
        self._say_ignored(place, unit, "IP-Adapter")

    def _say_window(self, place: str, unit: ControlNetUnit, pack: str) -> None:
        text = f"{pack} reads the window in shares of the noise schedule, not of the steps."
        for name, value, whole in (
            ("guidance_start", unit.guidance_start, 0),
            ("guidance_end", unit.guidance_end, 1),
        ):
            if value != whole:
                self._graph.say(f"{place}.{name}", "approximated", text)

    def _say_ignored(self, place: str, unit: ControlNetUnit, what: str) -> None:
        """What such a unit does not react to, in the web UI either."""
        if unit.control_mode is not ControlMode.BALANCED:
            self._graph.say(
                f"{place}.control_mode", "notice", f"{what} does not react to it, as in the web UI."
            )
        if self._request.enable_hr and unit.hr_option is not HrOption.BOTH:
            self._graph.say(f"{place}.hr_option", "notice", f"{what} acts in both passes, as in the web UI.")
