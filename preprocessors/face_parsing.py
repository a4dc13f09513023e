"""What PuLID sees of a face: found and cut out by facexlib's networks, described by EVA-CLIP.

facexlib (RetinaFace, BiSeNet) and consisid_eva_clip (EVA-CLIP) bring the networks; both need torchvision. The
steps between them follow sd-webui-controlnet 1.1.455 and its EVA-CLIP extension.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base.command import command, pip
from ..base.errors import MissingDependency, PictureError
from . import frames, networks, weight_files

if TYPE_CHECKING:
    import torch

    from .frames import Frame
    from .runtime import Runtime

_SIDE = 512
_SURE = 0.97
# Where the eyes, the nose and the corners of the mouth lie in FFHQ's 512 x 512 pictures.
_FFHQ_POINTS = np.array(
    [
        [192.98138, 239.94708],
        [318.90277, 240.1936],
        [256.63416, 314.01935],
        [201.26117, 371.41043],
        [313.08905, 371.15118],
    ]
)
_AROUND = (132, 133, 135)  # gray, where the turned picture ends
# Of the parser's 19 classes: background, ears and their rings, neck, necklace, clothes, hair and hat.
_NOT_FACE = (0, 7, 8, 9, 14, 15, 16, 18)
_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
_CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
_EVA = "EVA02-CLIP-L-14-336"


def face_features(picture: Frame, runtime: Runtime) -> torch.Tensor:
    """The face nearest to the middle of an RGB frame: float `(1, 3, 512, 512)` in 0..1, gray on white.

    Raises `PictureError` without a face, `MissingModel` and `MissingDependency`.
    """
    import torch

    aligned = _aligned(frames.fit_padded(picture, _SIDE)[0], runtime)
    parser = _network("face_parser", "facexlib.parsing.bisenet", _parser, runtime)
    values = torch.from_numpy(np.ascontiguousarray(aligned)).permute(2, 0, 1)[None].float() / 255.0
    values = values.to(runtime.device)
    with torch.inference_mode():
        classes = parser(_normalised(values, _IMAGENET_MEAN, _IMAGENET_STD))[0].argmax(dim=1, keepdim=True)
    gray = 0.299 * values[:, 0:1] + 0.587 * values[:, 1:2] + 0.114 * values[:, 2:3]
    outside = torch.isin(classes, torch.tensor(_NOT_FACE, device=classes.device))
    return torch.where(outside, torch.ones_like(values), gray.repeat(1, 3, 1, 1))


def eva_features(face: torch.Tensor, runtime: Runtime) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """EVA-CLIP of a face `(1, 3, H, W)`: the unit vector `(1, 768)`, and the states after every 4th layer."""
    import torch

    tower = _network("eva_clip", "consisid_eva_clip", _eva_tower, runtime)
    side = tower.image_size if isinstance(tower.image_size, tuple) else (tower.image_size,) * 2
    sized = torch.nn.functional.interpolate(
        face, size=side, mode="bicubic", align_corners=False, antialias=True
    )
    with torch.inference_mode():
        vector, states = tower(
            _normalised(sized, _CLIP_MEAN, _CLIP_STD),
            return_all_features=False,
            return_hidden=True,
            shuffle=False,
        )
    return vector / vector.norm(2, 1, True), list(states)


def _aligned(picture: Frame, runtime: Runtime) -> Frame:
    """The face in the middle of an RGB frame, turned upright into 512 x 512."""
    import cv2
    import torch

    detector = _network("face_finder", "facexlib.detection.retinaface", _detector, runtime)
    with torch.inference_mode():
        found = detector.detect_faces(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), _SURE)
    if not len(found):
        raise PictureError(
            f"No face was found in the picture ({frames.size_text(picture)} pixels).",
            "Give a picture in which one face is seen from the front and is not cut off.",
        )
    middle = np.array([picture.shape[1], picture.shape[0]]) / 2
    distances = np.linalg.norm((found[:, :2] + found[:, 2:4]) / 2 - middle, axis=1)
    points = found[int(distances.argmin()), 5:15].reshape(5, 2)
    turned: Any = cv2.estimateAffinePartial2D(points, _FFHQ_POINTS, method=cv2.LMEDS)[0]
    if turned is None:
        raise PictureError("The five points of the face do not form one: it cannot be aligned.")
    return cv2.warpAffine(picture, turned, (_SIDE, _SIDE), borderValue=_AROUND)


def _normalised(values: torch.Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> torch.Tensor:
    import torch

    shape = (1, 3, 1, 1)
    centre = torch.tensor(mean, device=values.device).view(shape)
    return (values - centre) / torch.tensor(std, device=values.device).view(shape)


def _network(key: str, module: str, build: Any, runtime: Runtime) -> Any:
    """The network of weight `key`, made by a library's module. The file is looked for before the import."""
    import torch

    @torch.inference_mode(False)  # as in networks.network
    def made() -> Any:
        path = weight_files.require(key, runtime)
        network = build(_imported(module), runtime)
        state = networks.read_state(path)
        if any(name.startswith("visual.") for name in state):
            state = {name[7:]: value for name, value in state.items() if name.startswith("visual.")}
        own = network.state_dict()
        # Tables that follow from the shape are in some files and not in others.
        state.update({name: value for name, value in own.items() if "rope.freqs" in name})
        networks.fill(network, state, path)
        return network.eval().requires_grad_(False)

    return runtime.load(f"preprocessor/{key}", made)


def _imported(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except Exception as error:  # torchvision of another torch fails in its own ways
        package = module.partition(".")[0]
        raise MissingDependency(
            f"The Python package {package} cannot be imported: {str(error).strip().splitlines()[0][:200]}",
            f"It needs torchvision that fits the installed torch: {pip(f'install {package} torchvision')}. "
            f"`{command('doctor')}` recognises a torchvision that does not fit.",
            package=package,
        ) from error


def _detector(library: Any, runtime: Runtime) -> Any:
    return library.RetinaFace(network_name="resnet50", device=runtime.device)


def _parser(library: Any, runtime: Runtime) -> Any:
    return library.BiSeNet(num_class=19)


def _eva_tower(library: Any, runtime: Runtime) -> Any:
    return library.create_model(_EVA, pretrained="", force_custom_clip=True).visual
