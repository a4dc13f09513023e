# SPDX-License-Identifier: Apache-2.0
"""Auxiliary heads that teach which colour belongs to which object.

With several objects the UNet must recognise each shape in the control image to know which of the
prompt's colours is meant. The denoising loss alone is slow to ask for that. So small heads on the
features before and after a cross-attention have to name the shape and the colour at each place; they
are thrown away after the training.
"""

from __future__ import annotations

import networks
import numpy as np
import torch
import torch.nn.functional as F
import vocabulary

#: Weight of each head's loss beside the denoising loss.
WEIGHT = 0.05


class Probe(torch.nn.Module):
    """Heads on the 8x8 level: in each ControlNet's encoder and in the UNet's decoder.

    Args:
        learners: module dictionary with ``unet`` and the ControlNets.
    """

    def __init__(self, learners):
        super().__init__()
        width = networks.UNET["block_out_channels"][1]
        names = ("unet", *networks.CONTROLS)
        self.shapes = torch.nn.ModuleDict(
            {name: torch.nn.Conv2d(width, len(vocabulary.SHAPES), 1) for name in names}
        )
        self.colours = torch.nn.ModuleDict(
            {name: torch.nn.Conv2d(width, len(vocabulary.COLOURS), 1) for name in names}
        )
        self._before: dict[str, torch.Tensor] = {}
        self._after: dict[str, torch.Tensor] = {}
        attentions = {name: learners[name].down_blocks[1].attentions for name in networks.CONTROLS}
        attentions["unet"] = learners["unet"].up_blocks[1].attentions
        for name, modules in attentions.items():
            modules[0].register_forward_hook(self._keeper(self._before, name, incoming=True))
            modules[-1].register_forward_hook(self._keeper(self._after, name, incoming=False))

    @staticmethod
    def _keeper(store: dict[str, torch.Tensor], name: str, incoming: bool):
        def keep(module, inputs, outputs):
            store[name] = inputs[0] if incoming else outputs[0]

        return keep

    def losses(self, cache, rows, captions: list[str], parts: dict[str, slice]) -> dict[str, torch.Tensor]:
        """Weighted cross-entropies of the last forward pass, on the cells that objects cover.

        Args:
            cache: :class:`joint.Cache`.
            rows: the batch's scenes.
            captions: its prompts; where one says nothing, no colour is asked.
            parts: the rows of each kind, those without a control image first.
        """
        shapes, colours = list(vocabulary.SHAPES), list(vocabulary.COLOURS)
        wanted = np.full((2, len(rows), 8, 8), -100, np.int64)
        for index, (folder, row) in enumerate(rows):
            label = cache.arrays[folder]["labels"][row][1::2, 1::2]
            for number, (colour, shape) in enumerate(cache.words[folder][row][1], 1):
                wanted[0, index][label == number] = shapes.index(shape)
                if "background" in captions[index] or "背景" in captions[index]:
                    wanted[1, index][label == number] = colours.index(colour)
        targets = torch.from_numpy(wanted)
        free, found = parts["none"].stop, {"shape": [], "colour": []}
        for name in ("unet", *networks.CONTROLS):
            part = slice(free, len(rows)) if name == "unet" else parts[name]
            before = self._before[name][free:] if name == "unet" else self._before[name]
            after = self._after[name][free:] if name == "unet" else self._after[name]
            found["shape"].append(F.cross_entropy(self.shapes[name](before), targets[0, part]))
            found["colour"].append(F.cross_entropy(self.colours[name](after), targets[1, part]))
        return {name: WEIGHT * torch.stack(values).sum() for name, values in found.items()}
