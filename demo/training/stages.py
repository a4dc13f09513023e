# SPDX-License-Identifier: Apache-2.0
"""The stages before the joint training: VAE, text encoder, conditioning embeddings, cache.

Each stage is a function of ``(run, ...)`` that starts from its own checkpoint if there is one, works
for its share of minutes and leaves ``<stage>.pt`` in the work folder.
"""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import networks
import numpy as np
import scenes
import torch
import torch.nn.functional as F
import vocabulary
from bookkeeping import Average, Run

LANGUAGES = ("en", "zh", "tags")


def pictures(first: int, count: int) -> torch.Tensor:
    """Scenes as float32 ``(count, 3, 128, 128)``, -1..1, channels last in memory."""
    batch = np.stack([scenes.make_scene(seed).picture for seed in range(first, first + count)])
    return torch.from_numpy(batch).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def _slopes(batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Differences of neighbours, along x and along y."""
    return batch[..., 1:] - batch[..., :-1], batch[..., 1:, :] - batch[..., :-1, :]


def difference(decoded: torch.Tensor, batch: torch.Tensor) -> torch.Tensor:
    """How unlike two batches of pictures are, with weight on their edges."""
    slopes = sum(F.l1_loss(a, b) for a, b in zip(_slopes(decoded), _slopes(batch), strict=True))
    return F.l1_loss(decoded, batch) + 2 * F.mse_loss(decoded, batch) + slopes


def train_vae(work: Path, minutes: float, seed: int) -> None:
    """Train the autoencoder on crops of 32, then 64, then 128 pixels.

    The gradient loss keeps edges sharp, the only thing the control image speaks about. The
    log-variance starts at -5: otherwise the posterior's noise drowns the latents of the first steps.
    """
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    vae = networks.build(seed)["vae"].to(memory_format=torch.channels_last)
    with torch.no_grad():
        vae.quant_conv.weight[4:] *= 0.1
        vae.quant_conv.bias[4:] = -5
    optimizer = torch.optim.AdamW(vae.parameters(), 1e-3, betas=(0.9, 0.99), weight_decay=1e-4)
    average = Average(vae.parameters(), 0.995)
    run = Run(work, "vae", minutes, 3e-3)
    parts = {"vae": vae, "optimizer": optimizer, "average": average}
    run.restore(parts)
    pool, fresh = pictures(0, 1500), 1500
    while run.progress < 1:
        size, count = next(
            entry[1:] for entry in ((0.25, 32, 48), (0.55, 64, 16), (1.1, 128, 6)) if run.progress < entry[0]
        )
        if run.step % 2 == 0:
            # A trickle of new scenes keeps the pool from being learnt by heart.
            pool[int(random.integers(len(pool)))] = pictures(fresh, 1)[0]
            fresh += 1
        x, y = random.integers(0, scenes.SIZE - size + 1, 2)
        batch = pool[torch.from_numpy(random.choice(len(pool), count, replace=False))][
            :, :, y : y + size, x : x + size
        ]
        batch = batch.contiguous(memory_format=torch.channels_last)
        posterior = vae.encode(batch).latent_dist
        decoded = vae.decode(posterior.sample()).sample
        divergence = posterior.kl().mean() / posterior.mean[0].numel()
        loss = difference(decoded, batch) + 2e-4 * divergence
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = run.learning_rate()
        optimizer.step()
        average.update()
        run.log(loss=loss.item(), l1=F.l1_loss(decoded, batch).item(), kl=divergence.item(), size=size)
        run.save(parts)
    run.save(parts, force=True)


def train_decoder(work: Path, minutes: float, seed: int) -> None:
    """Train the decoder on, alone and on whole pictures.

    The latents stay what they were, so this may run at any time, also after the joint stage.
    """
    torch.manual_seed(seed)
    random = np.random.default_rng([seed, 5])
    vae = load_vae(work, seed, decoder=False)
    learner = torch.nn.ModuleList([vae.post_quant_conv, vae.decoder]).train()
    optimizer = torch.optim.AdamW(learner.parameters(), 1e-3, betas=(0.9, 0.99), weight_decay=1e-4)
    average = Average(learner.parameters(), 0.99)
    run = Run(work, "decoder", minutes, 1.5e-3)
    parts = {"decoder": learner, "optimizer": optimizer, "average": average}
    run.restore(parts)
    pool = pictures(0, 1500)
    with torch.inference_mode():
        latents = torch.cat([vae.encode(part).latent_dist.mean for part in pool.split(50)])
    latents = latents.clone()  # an inference tensor could not take part in training
    while run.progress < 1:
        chosen = torch.from_numpy(random.choice(len(pool), 6, replace=False))
        # A little noise: sampled latents are never exactly those of a picture.
        noisy = latents[chosen] + 0.05 * latents.std() * torch.randn_like(latents[chosen])
        loss = difference(
            vae.decode(noisy).sample, pool[chosen].contiguous(memory_format=torch.channels_last)
        )
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learner.parameters(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = run.learning_rate()
        optimizer.step()
        average.update()
        run.log(25, loss=loss.item())
        run.save(parts)
    run.save(parts, force=True)


def load_vae(work: Path, seed: int, decoder: bool = True):
    """The trained autoencoder, averaged weights, scaled so that latents have deviation 1.

    Args:
        decoder: with the decoder of :func:`train_decoder`, if there is one.
    """
    vae = networks.build(seed)["vae"]
    parts = [("vae", vae.parameters())]
    if decoder and (work / "decoder.pt").exists():
        parts.append(("decoder", torch.nn.ModuleList([vae.post_quant_conv, vae.decoder]).parameters()))
    for name, parameters in parts:
        average = Average(parameters, 0)
        average.load_state_dict(
            torch.load(work / f"{name}.pt", map_location="cpu", weights_only=True)["average"]
        )
        average.apply()
    vae = vae.eval().to(memory_format=torch.channels_last)
    with torch.no_grad():
        deviation = vae.encode(pictures(0, 128)).latent_dist.mean.std().item()
    vae.register_to_config(scaling_factor=round(1 / deviation, 5))
    return vae


def tokenizer(work: Path):
    """The model's tokenizer, written to and read from the work folder."""
    from transformers import CLIPTokenizer

    networks.write_tokenizer(work / "tokenizer")
    return CLIPTokenizer.from_pretrained(work / "tokenizer")


def tokens(tokenizer, captions: list[str]) -> torch.Tensor:
    """Token numbers ``(len(captions), 77)``, padded the way the diffusers pipeline pads."""
    return tokenizer(
        captions, padding="max_length", max_length=networks.TEXT_LENGTH, truncation=True, return_tensors="pt"
    ).input_ids


class Reader(torch.nn.Module):
    """Auxiliary heads of the text warm-up: background and up to three objects, read by attention.

    Values are the token states themselves, so what the heads can read a UNet's attention can read.
    """

    def __init__(self):
        super().__init__()
        width = networks.TEXT_WIDTH
        self.queries = torch.nn.Parameter(torch.randn(4, width))
        self.keys = torch.nn.Linear(width, width)
        self.colours = torch.nn.Linear(width, len(vocabulary.COLOURS) + 1)
        self.shapes = torch.nn.Linear(width, len(vocabulary.SHAPES) + 1)

    def forward(self, states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """States ``(B, 77, 96)`` to colour logits ``(B, 4, 9)`` and shape logits ``(B, 4, 10)``."""
        attention = (self.queries @ self.keys(states).transpose(1, 2) / networks.TEXT_WIDTH**0.5).softmax(-1)
        read = attention @ states
        return self.colours(read), self.shapes(read)


def habits(random: np.random.Generator) -> str:
    """Some words that say nothing about a scene, such as "best, quality": what a prompt may also hold."""
    return ", ".join(
        random.choice(vocabulary.EXTRA_WORDS, int(random.integers(1, 5)), replace=False).tolist()
    )


def _random_caption(random: np.random.Generator):
    """A caption and what it says: four colours and four shapes, background first, 0 = nothing."""
    if random.random() < 0.05:
        return habits(random) if random.random() < 0.6 else "", [0] * 4, [0] * 4
    colours, shapes = list(vocabulary.COLOURS), list(vocabulary.SHAPES)
    count = int(random.choice([1, 2, 3], p=[0.5, 0.3, 0.2]))
    picked, kinds = random.permutation(len(colours))[: count + 1], random.integers(len(shapes), size=count)
    text = vocabulary.caption(
        [(colours[c], shapes[s]) for c, s in zip(picked[1:], kinds, strict=False)],
        colours[picked[0]],
        str(random.choice(LANGUAGES, p=[0.4, 0.4, 0.2])),
        int(random.integers(20)),
    )
    if random.random() < 0.15:
        text = f"{text}, {habits(random)}" if random.random() < 0.7 else f"{habits(random)}, {text}"
    none = [0] * (3 - count)
    return text, [int(c) + 1 for c in picked] + none, [0] + [int(s) + 1 for s in kinds] + none


def train_text(work: Path, minutes: float, seed: int) -> None:
    """Teach the text encoder to put colour and shape of each object into its token states."""
    torch.manual_seed(seed)
    random = np.random.default_rng([seed, 1])
    encoder, reader, tokenize = networks.build(seed)["text_encoder"].train(), Reader(), tokenizer(work)
    parameters = [*encoder.parameters(), *reader.parameters()]
    optimizer = torch.optim.AdamW(parameters, 1e-3, betas=(0.9, 0.99))
    run = Run(work, "text", minutes, 1.5e-3)
    parts = {"text_encoder": encoder, "reader": reader, "optimizer": optimizer}
    run.restore(parts)
    while run.progress < 1:
        captions, colours, shapes = zip(*(_random_caption(random) for _ in range(64)), strict=False)
        numbers = tokens(tokenize, list(captions))
        if random.random() < 0.75:
            numbers = numbers[:, :32]  # the encoder is causal: shorter padding changes no earlier state
        logits = reader(encoder(input_ids=numbers).last_hidden_state)
        losses = [
            F.cross_entropy(part.flatten(0, 1), torch.tensor(target).flatten())
            for part, target in zip(logits, (colours, shapes), strict=False)
        ]
        right = (logits[0].argmax(-1) == torch.tensor(colours)).all(-1) & (
            logits[1].argmax(-1) == torch.tensor(shapes)
        ).all(-1)
        optimizer.zero_grad()
        sum(losses).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        for group in optimizer.param_groups:
            group["lr"] = run.learning_rate()
        optimizer.step()
        run.log(colour_loss=losses[0].item(), shape_loss=losses[1].item(), right=right.float().mean().item())
        run.save(parts)
    run.save(parts, force=True)


def control_maps(scene: scenes.Scene, random: np.random.Generator) -> dict[str, np.ndarray]:
    """The scene's control images, uint8 ``(128, 128)``; one canny map in four a little unlike the rest.

    Other thresholds, thicker lines and a lower contrast depth map are what other preprocessor settings
    and hand-drawn control images bring.
    """
    canny, depth = scene.canny, scene.depth
    choice = random.random()
    if choice < 0.12:
        canny = cv2.Canny(scene.picture, *random.choice([(50, 100), (80, 160), (150, 250)]).tolist())
    elif choice < 0.25:
        canny = cv2.dilate(canny, np.ones((2, 2) if random.random() < 0.5 else (3, 3), np.uint8))
    if random.random() < 0.2:
        depth = cv2.GaussianBlur(depth, (0, 0), random.uniform(0.5, 1.5))
    return {"canny": canny, "depth": depth}


def _control_batch(maps: list[np.ndarray]) -> torch.Tensor:
    """Maps as the ControlNet wants them: float32 ``(B, 3, 128, 128)``, 0..1."""
    return torch.from_numpy(np.stack(maps)).float().div_(255)[:, None].expand(-1, 3, -1, -1)


def train_embedding(work: Path, name: str, minutes: float, seed: int) -> None:
    """Teach a ControlNet's conditioning embedding to keep the map: a head must draw it again.

    Without this warm-up the ControlNet did not begin to learn. Targets per 8x8 cell: the map itself
    and, for canny, how near the next line is.
    """
    torch.manual_seed(seed)
    random = np.random.default_rng([seed, 2])
    embedding = networks.build(seed)[name].controlnet_cond_embedding.to(memory_format=torch.channels_last)
    torch.nn.init.kaiming_normal_(embedding.conv_out.weight)
    head = torch.nn.Conv2d(48, 128, 3, padding=1)
    parameters = [*embedding.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(parameters, 1e-3, betas=(0.9, 0.99), weight_decay=1e-3)
    run = Run(work, f"embedding_{name}", minutes, 3e-3)
    parts = {"embedding": embedding, "head": head, "optimizer": optimizer}
    run.restore(parts)
    seeds = iter(range(50_000_000 + run.step * 16, scenes.UNSEEN))
    while run.progress < 1:
        maps = [control_maps(scenes.make_scene(next(seeds)), random)[name] for _ in range(16)]
        batch = _control_batch(maps)
        near = [
            cv2.distanceTransform((one == 0).astype(np.uint8), cv2.DIST_L2, 3)
            if name == "canny"
            else cv2.GaussianBlur(one, (0, 0), 2).astype(np.float32) / 64
            for one in maps
        ]
        features = embedding(batch)
        drawn = F.pixel_shuffle(head(features), 8)
        first, second = drawn[:, 0], drawn[:, 1]
        if name == "canny":
            loss = F.binary_cross_entropy_with_logits(first, batch[:, 0], pos_weight=torch.tensor(3.0))
            loss = loss + F.l1_loss(second, torch.from_numpy(np.stack(near)).clamp(max=4) / 4)
        else:
            loss = 4 * F.l1_loss(first, batch[:, 0]) + F.l1_loss(second, torch.from_numpy(np.stack(near)))
        # Features of about unit size: the UNet's first convolution gives the same.
        loss = loss + 0.01 * (features.pow(2).mean() - 1).pow(2)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        for group in optimizer.param_groups:
            group["lr"] = run.learning_rate()
        optimizer.step()
        run.log(loss=loss.item(), size=features.pow(2).mean().item())
        run.save(parts)
    run.save(parts, force=True)


def load_embedding(work: Path, name: str, seed: int):
    """A trained conditioning embedding, its output scaled to deviation 0.7, like a UNet's first layer."""
    embedding = networks.build(seed)[name].controlnet_cond_embedding
    state = torch.load(work / f"embedding_{name}.pt", map_location="cpu", weights_only=True)
    embedding.load_state_dict(state["embedding"])
    embedding = embedding.eval().to(memory_format=torch.channels_last)
    with torch.no_grad():
        maps = [getattr(scenes.make_scene(index), name) for index in range(64)]
        factor = 0.7 / embedding(_control_batch(maps)).std()
        embedding.conv_out.weight *= factor
        embedding.conv_out.bias *= factor
    return embedding


def label_map(scene: scenes.Scene) -> np.ndarray:
    """Which object covers most of each latent cell: ``(16, 16)``, 1 for the first, 0 for none."""
    labels = np.zeros((16, 16), np.uint8)
    for number, thing in enumerate(scene.things, 1):
        labels[cv2.resize(thing.mask.astype(np.float32), (16, 16), interpolation=cv2.INTER_AREA) > 0.5] = (
            number
        )
    return labels


def cache(work: Path, seed: int, first: int, count: int) -> Path:
    """Compute what the joint stage needs of scenes ``first .. first + count - 1``, once.

    Writes a folder ``cache_<first>_<count>`` of fp16 arrays: ``latents (n, 4, 16, 16)``, the two frozen
    conditioning embeddings ``canny``, ``depth`` ``(n, 48, 16, 16)``, and ``labels (n, 16, 16)``: which
    object covers a cell. A finished part is kept.
    """
    folder = work / f"cache_{first}_{count}"
    if (folder / "done").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng([seed, 3, first])
    vae = load_vae(work, seed)
    embeddings = {name: load_embedding(work, name, seed) for name in networks.CONTROLS}
    shapes = {"latents": (4, 16, 16), "labels": (16, 16)} | dict.fromkeys(networks.CONTROLS, (48, 16, 16))
    arrays = {
        name: np.lib.format.open_memmap(folder / f"{name}.npy", "w+", np.float16, (count, *shape))
        for name, shape in shapes.items()
    }
    words = []
    with torch.inference_mode():
        for start in range(0, count, 32):
            batch = [scenes.make_scene(first + i) for i in range(start, min(count, start + 32))]
            stop = start + len(batch)
            picture = torch.from_numpy(np.stack([one.picture for one in batch])).permute(0, 3, 1, 2).float()
            latents = vae.encode(picture / 127.5 - 1).latent_dist.mean * vae.config.scaling_factor
            arrays["latents"][start:stop] = latents.numpy()
            maps = [control_maps(one, random) for one in batch]
            arrays["labels"][start:stop] = np.stack([label_map(one) for one in batch])
            for name, embedding in embeddings.items():
                arrays[name][start:stop] = embedding(_control_batch([one[name] for one in maps])).numpy()
            words += [
                [one.background, [[thing.colour, thing.shape] for thing in one.things]] for one in batch
            ]
            if start % 1600 == 0:
                print(f"cache {first}: {stop} of {count}", flush=True)
    (folder / "words.json").write_text(json.dumps(words), encoding="utf-8")
    (folder / "done").touch()
    return folder
