# SPDX-License-Identifier: Apache-2.0
"""A sampler of its own for the evaluation: DDIM, classifier-free guidance, ControlNet units.

Deliberately independent of the pack's engine, so that the two check each other. Control modes are
those of the web UI's ControlNet extension.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import networks
import numpy as np
import torch

MODES = ("balanced", "prompt", "control")


@dataclass(frozen=True)
class Unit:
    """One control image per picture.

    Args:
        name: ``"canny"`` or ``"depth"``.
        maps: uint8 ``(B, 128, 128)``.
        weight: strength, 0..2.
        start, end: window as shares of the steps, 0..1.
        mode: ``"balanced"``; ``"prompt"``: my prompt is more important; ``"control"``: ControlNet is
            more important.
    """

    name: str
    maps: np.ndarray
    weight: float = 1.0
    start: float = 0.0
    end: float = 1.0
    mode: str = "balanced"


class Sampler:
    """Pictures from a diffusers folder.

    Args:
        folder: as written by :func:`networks.save`.
    """

    def __init__(self, folder: str | Path):
        from diffusers import DDIMScheduler
        from transformers import CLIPTokenizer

        self.networks = networks.load(folder)
        self.tokenizer = CLIPTokenizer.from_pretrained(Path(folder) / "tokenizer")
        self.scheduler = DDIMScheduler.from_pretrained(Path(folder) / "scheduler")

    def _states(self, prompts: list[str]) -> torch.Tensor:
        numbers = self.tokenizer(
            prompts,
            padding="max_length",
            max_length=networks.TEXT_LENGTH,
            truncation=True,
            return_tensors="pt",
        ).input_ids
        return self.networks["text_encoder"](input_ids=numbers).last_hidden_state

    @staticmethod
    def _factors(unit: Unit, count: int) -> list[float]:
        """Weight of each residual, the middle block's last."""
        if unit.mode not in MODES:
            raise ValueError(f"unknown control mode {unit.mode!r}: use one of {', '.join(MODES)}")
        soft = 1.0 if unit.mode == "balanced" else 0.825
        return [unit.weight * soft ** (count - 1 - index) for index in range(count)]

    @torch.inference_mode()
    def __call__(
        self,
        prompts: list[str],
        units: tuple[Unit, ...] = (),
        seeds=None,
        steps: int = 20,
        guidance: float = 3.0,
    ) -> np.ndarray:
        """Sample one picture per prompt.

        Args:
            prompts: ``B`` prompts.
            units: control units, their maps in the prompts' order.
            seeds: ``B`` noise seeds (default 0, 1, ...): a picture does not depend on its neighbours.
            steps: 1..1000.
            guidance: classifier-free guidance scale.

        Returns:
            uint8 RGB ``(B, 128, 128, 3)``.
        """
        unet, size = self.networks["unet"], networks.PICTURE_SIZE // 8
        text = torch.cat([self._states([""] * len(prompts)), self._states(prompts)])
        sample = torch.cat(
            [
                torch.randn(1, 4, size, size, generator=torch.Generator().manual_seed(int(seed)))
                for seed in (seeds if seeds is not None else range(len(prompts)))
            ]
        )
        features = []
        for unit in units:
            maps = torch.from_numpy(unit.maps).float().div(255)[:, None].expand(-1, 3, -1, -1)
            features.append(self.networks[unit.name].controlnet_cond_embedding(maps).repeat(2, 1, 1, 1))
        self.scheduler.set_timesteps(steps)
        for index, time in enumerate(self.scheduler.timesteps):
            both, total = sample.repeat(2, 1, 1, 1), None
            for unit, feature in zip(units, features, strict=False):
                if not unit.weight or index / steps < unit.start or (index + 1) / steps > unit.end:
                    continue
                residuals = self._residuals(unit, feature, both, time, text)
                total = residuals if total is None else [a + b for a, b in zip(total, residuals, strict=True)]
            extra = (
                {}
                if total is None
                else {
                    "down_block_additional_residuals": total[:-1],
                    "mid_block_additional_residual": total[-1],
                }
            )
            empty, asked = unet(both, time, text, **extra).sample.chunk(2)
            sample = self.scheduler.step(empty + guidance * (asked - empty), time, sample).prev_sample
        vae = self.networks["vae"]
        decoded = vae.decode(sample / vae.config.scaling_factor).sample
        return ((decoded.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()

    def _residuals(
        self, unit: Unit, feature: torch.Tensor, both: torch.Tensor, time, text: torch.Tensor
    ) -> list:
        """The unit's weighted residuals for the empty-prompt rows and the prompt rows."""
        network = self.networks[unit.name]
        embedding, network.controlnet_cond_embedding = network.controlnet_cond_embedding, torch.nn.Identity()
        try:
            down, middle = network(both, time, text, controlnet_cond=feature, return_dict=False)
        finally:
            network.controlnet_cond_embedding = embedding
        factors = self._factors(unit, len(down) + 1)
        residuals = [one * factor for one, factor in zip([*down, middle], factors, strict=True)]
        if unit.mode == "control":
            # Guidance then amplifies the control image like it amplifies the prompt.
            residuals = [
                torch.cat([torch.zeros_like(one[: len(one) // 2]), one[len(one) // 2 :]]) for one in residuals
            ]
        return residuals
