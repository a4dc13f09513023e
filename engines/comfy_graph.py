"""A graph in ComfyUI's API format while it is being built, and what the host has to offer. Plain data."""

# pyright: basic

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..base.errors import MissingModel
from .models import LocalModels
from .types import Info

Link = list[Any]  # [node id, output number]
Nodes = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class HostFacts:
    """What a host has.

    Attributes:
        models: its checkpoints, control models and VAEs. None: any name is taken as it is written, for a
            graph that another machine is to run.
        upscalers: files of upscale models.
        node_types: all its node types, those of other packs too.
        face_models: files of face restoration models.
        files: further file lists by the name of their models folder: clip_vision, ipadapter, instantid.
    """

    models: LocalModels | None = None
    upscalers: tuple[str, ...] = ()
    node_types: frozenset[str] = frozenset()
    face_models: tuple[str, ...] = ()
    files: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])

    def checkpoint(self, name: str) -> str:
        """The host's name of a checkpoint. Raises MissingModel, naming the nearest ones."""
        if self.models is not None:
            return self.models.find_checkpoint(name).name
        if name.strip():
            return name
        raise MissingModel(
            "The request names no checkpoint.", "Name one in alwayson_scripts.sd_model_checkpoint."
        )

    def control_model(self, name: str) -> str:
        """The host's name of a control model. Raises MissingModel, naming the nearest ones."""
        return name if self.models is None else self.models.find_controlnet(name).name

    def vae(self, name: str) -> str:
        """The host's name of a VAE. Raises MissingModel, naming the nearest ones."""
        return name if self.models is None else self.models.find_vae(name).name


@dataclass
class Graph:
    """Nodes by id. Ids are words, the same for the same request, so that the host's cache finds them again.

    Attributes:
        prefix: of every id.
        nodes: what was added, in ComfyUI's API format.
        infos: what is worth saying about fields of the request.
    """

    prefix: str = ""
    nodes: Nodes = field(default_factory=dict)
    infos: list[Info] = field(default_factory=list)
    _pictures: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, class_type: str, **inputs: Any) -> str:
        """Add a node; its full id. Inputs that are None are left out."""
        key = self.prefix + name
        given = {slot: value for slot, value in inputs.items() if value is not None}
        self.nodes[key] = {"class_type": class_type, "inputs": given}
        return key

    def once(self, name: str, class_type: str, **inputs: Any) -> str:
        """The node of this name, added unless it is there."""
        key = self.prefix + name
        return key if key in self.nodes else self.add(name, class_type, **inputs)

    def picture(self, link: str) -> str:
        """A node that gives the picture of a link: output 0 IMAGE, 1 MASK. The same link, the same node."""
        if link not in self._pictures:
            number = len(self._pictures) + 1
            self._pictures[link] = self.add(f"picture{number}", "ImgOpenPicture", link=link)
        return self._pictures[link]

    def say(self, field_name: str, verdict: Any, message: str) -> None:
        """Note something about a field of the request, once."""
        info = Info(field_name, verdict, message)
        if info not in self.infos:
            self.infos.append(info)


@dataclass(frozen=True)
class Expansion:
    """A request as a graph.

    Attributes:
        nodes: in ComfyUI's API format.
        images: link to the finished pictures, a batch in the request's order.
        control_images: links to the units' control images.
        seeds: of each picture.
        infos: field by field what is not honoured exactly.
    """

    nodes: Nodes
    images: Link
    control_images: list[Link]
    seeds: list[int]
    infos: list[Info]
