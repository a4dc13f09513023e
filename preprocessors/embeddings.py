"""Embeddings of a picture for IP-Adapter, InstantID, PuLID, Revision and the style adapter.

CLIP's network is that of transformers; faces are found and described by InsightFace's ONNX files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base.errors import PictureError, Unsupported
from . import face_analysis, frames
from .adapter_models import module_for
from .hub_models import hub_model
from .registry import find_preprocessor, function_of

if TYPE_CHECKING:
    import torch

    from .frames import Frame
    from .runtime import Runtime

_MEAN = np.array([0.48145466, 0.4578275, 0.40821073], np.float32)
_STD = np.array([0.26862954, 0.26130258, 0.27577711], np.float32)
_SIDE = 512


@dataclass(frozen=True)
class ImageEmbedding:
    """What CLIP says of a picture, on the CPU, float32.

    Attributes:
        image_embeds: `(1, D)`, projected.
        last_hidden: `(1, tokens, width)`, after the last layer.
        penultimate: `(1, tokens, width)`, after the last but one; IP-Adapter Plus takes this.
    """

    image_embeds: torch.Tensor
    last_hidden: torch.Tensor
    penultimate: torch.Tensor


@dataclass(frozen=True)
class FaceEmbedding:
    """What ArcFace says of the largest face of a picture, on the CPU, float32.

    Attributes:
        face: `(1, 512)`; a unit vector for IP-Adapter FaceID, as it comes for InstantID and PuLID.
        clip: of the whole picture, for FaceID Plus; else None.
    """

    face: torch.Tensor
    clip: ImageEmbedding | None = None


@dataclass(frozen=True)
class PulidEmbedding:
    """What PuLID takes of a face, on the CPU, float32.

    Attributes:
        face: `(1, 512)`, ArcFace's numbers as they come.
        vector: `(1, 768)`, EVA-CLIP's unit vector of the parsed face.
        states: EVA-CLIP's states after every 4th layer, each `(1, tokens, width)`.
        shown: the parsed face, uint8 `(512, 512, 3)`: what people see of the module.
    """

    face: torch.Tensor
    vector: torch.Tensor
    states: list[torch.Tensor]
    shown: Frame


Embedding = ImageEmbedding | FaceEmbedding | PulidEmbedding


@dataclass(frozen=True)
class Look:
    """One call of an embedding module.

    Attributes:
        keys: the module's weights.
        image, mask: as `run_embedding` takes them.
        side: processor_res; only InstantID looks at it.
        runtime: device and weights.
    """

    keys: Sequence[str]
    image: Frame
    mask: Frame | None
    side: float
    runtime: Runtime


def run_embedding(
    name: str,
    image: Frame,
    *,
    mask: Frame | None = None,
    model: str = "",
    processor_res: float = _SIDE,
    runtime: Runtime,
) -> Any:
    """The embedding of one picture by an embedding module: one of `Embedding`.

    Args:
        name: module, name or label.
        image: uint8 `(H, W)` or `(H, W, C)`; a 4th channel is the mask, not alpha.
        mask: uint8 `(H, W)` of the picture's size; masked (white) means removed. Modules that look at faces
            take none.
        model: name of the IP-Adapter model, by which `ip-adapter-auto` picks; others do not look at it.
        processor_res: short side at which InstantID looks for the face; others do not look at it.
        runtime: device and weights.

    Raises:
        InvalidRequest: ip-adapter-auto without a model it knows.
        PictureError: wrong shapes, or no face where one is needed.
        MissingModel, MissingDependency: what is not there, and how to get it.
        Unsupported: the module gives a picture.
    """
    entry = find_preprocessor(name)
    if entry.name == "ip-adapter-auto":
        entry = find_preprocessor(module_for(model))
    if entry.kind != "embedding":
        raise Unsupported(
            f"The module {entry.spec.label} gives a picture, not an embedding.", "Use run_module."
        )
    describe = function_of(entry, runtime.weight_folders())
    return describe(Look(entry.weights, image, mask, processor_res, runtime))


def auto(look: Look) -> Any:
    """ip-adapter-auto itself makes nothing; `run_embedding` runs the module it stands for."""
    raise Unsupported("ip-adapter-auto stands for another module.", "Call run_embedding with a model.")


def face_id(look: Look) -> FaceEmbedding:
    """IP-Adapter FaceID: the largest face of the whole picture as a unit vector."""
    numbers = _face(look, _face_picture(look))
    return FaceEmbedding(numbers / numbers.norm())


def face_id_plus(look: Look) -> FaceEmbedding:
    """IP-Adapter FaceID Plus: the same, and CLIP-H of the whole picture."""
    whole = replace(look, keys=look.keys[2:], image=_face_picture(look))
    return FaceEmbedding(face_id(look).face, clip(whole))


def instant_id(look: Look) -> FaceEmbedding:
    """InstantID: the largest face of the picture brought to a short side of processor_res."""
    return FaceEmbedding(_face(look, frames.fit_padded(_face_picture(look), look.side)[0]))


def pulid(look: Look) -> PulidEmbedding:
    """PuLID: InstantID's numbers, and EVA-CLIP of the parsed face."""
    from .face_parsing import eva_features, face_features

    numbers = instant_id(replace(look, side=_SIDE)).face
    features = face_features(_face_picture(look), look.runtime)
    vector, states = eva_features(features, look.runtime)
    shown = (features[0].permute(1, 2, 0) * 255.0).cpu().numpy().astype(np.uint8)
    return PulidEmbedding(
        numbers, vector.float().cpu(), [state.float().cpu() for state in states], np.ascontiguousarray(shown)
    )


def _face(look: Look, picture: Frame) -> torch.Tensor:
    """`(1, 512)` of the largest face, by a detector and a recogniser."""
    import torch

    detector, recogniser = look.keys[:2]
    found = face_analysis.find_faces(picture, detector, look.runtime)
    face = face_analysis.largest_face(found, picture, look.runtime)
    return torch.from_numpy(face_analysis.describe(picture, face, recogniser, look.runtime))[None]


def _face_picture(look: Look) -> Frame:
    """RGB for a face detector; a 4th channel is dropped. A mask is refused: nothing would heed it."""
    if look.mask is not None:
        raise PictureError("The face modules take no mask.", "Leave it away, or cut the picture out.")
    return frames.to_rgb(np.ascontiguousarray(frames.check_frame(look.image)[:, :, :3]))


def clip(look: Look) -> ImageEmbedding:
    """CLIP's vision tower over the picture brought to its size."""
    import torch

    made = hub_model(look.keys[0], "CLIPVisionModelWithProjection", look.runtime)
    pixels = _prepare(look.image, look.mask, int(made.config.image_size))
    with torch.inference_mode():
        values = torch.from_numpy(pixels).to(look.runtime.device)
        output = made(pixel_values=values, output_hidden_states=True)
    return ImageEmbedding(
        output.image_embeds.float().cpu(),
        output.last_hidden_state.float().cpu(),
        output.hidden_states[-2].float().cpu(),
    )


def _prepare(image: Frame, mask: Frame | None, side: int) -> Any:
    """Stretched to a square, normalised, the masked part multiplied away: `(1, 3, side, side)`."""
    import cv2

    frame = frames.check_frame(image)
    if mask is None and frame.shape[2] == 4:
        mask = np.ascontiguousarray(frame[:, :, 3])
        frame = np.ascontiguousarray(frame[:, :, :3])
    small = cv2.resize(frames.to_rgb(frame), (side, side), interpolation=cv2.INTER_AREA)
    values = (small.astype(np.float32) / 255.0 - _MEAN) / _STD
    if mask is not None:
        alpha = frames.check_frame(mask)[:, :, 0]
        if alpha.shape != frame.shape[:2]:
            raise PictureError(
                f"The mask is {frames.size_text(alpha)}, the picture {frames.size_text(frame)}.",
                "Both must have the same size.",
            )
        kept = 255 - cv2.resize(np.ascontiguousarray(alpha), (side, side), interpolation=cv2.INTER_AREA)
        values *= kept[:, :, None].astype(np.float32) / 255.0
    return np.ascontiguousarray(values.transpose(2, 0, 1)[None])
