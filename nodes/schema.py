"""From the tables to ComfyUI's V3 schema. Imports ComfyUI."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from .fields import Field, NodeTable, Out


def schema(table: NodeTable, **flags: Any) -> io.Schema:
    """The schema of one node; `flags` go to `io.Schema` (is_output_node, hidden ...)."""
    return io.Schema(
        node_id=table.id,
        display_name=table.title,
        category=table.category,
        description=table.description,
        inputs=[build_input(field) for field in table.inputs],
        outputs=[build_output(out) for out in table.outputs],
        hidden=[io.Hidden.unique_id],
        **flags,
    )


def build_input(field: Field) -> io.Input:
    """One input. Optional ones may be left out of a prompt and then have their default."""
    common: dict[str, Any] = {"optional": not field.required, "tooltip": field.tooltip}
    if field.kind == "socket":
        return _type(field.socket).Input(field.id, **common)
    common["default"] = field.default
    if field.kind == "combo":
        return io.Combo.Input(field.id, options=_options(field), **common)
    if field.kind == "bool":
        return io.Boolean.Input(field.id, **common)
    if field.kind in ("string", "text"):
        return io.String.Input(field.id, multiline=field.kind == "text", **common)
    bounds = {"min": field.minimum, "max": field.maximum, "step": field.step}
    if field.kind == "int":
        if field.id == "seed":
            # The front-end would add "control after generate: randomize" by itself, and every Run would pay
            # for new pictures. -1 draws a seed, run_again asks for another run.
            common["control_after_generate"] = False
        return io.Int.Input(field.id, **common, **{key: int(value or 0) for key, value in bounds.items()})
    return io.Float.Input(field.id, **common, **bounds)


def build_output(out: Out) -> io.Output:
    """One output. It gets no id of its own: V3 wants ids that no input has."""
    return _type(out.socket).Output(display_name=out.name, tooltip=out.tooltip)


def _options(field: Field) -> list[str]:
    """A combo's entries; its default is always among them, or the front-end would show nothing."""
    options = field.choices()
    return options if field.default in options else [field.default, *options]


_TYPES: dict[str, Any] = {
    "IMAGE": io.Image,
    "MASK": io.Mask,
    "LATENT": io.Latent,
    "CONDITIONING": io.Conditioning,
    "CONTROL_NET": io.ControlNet,
    "VAE": io.Vae,
    "STRING": io.String,
    "INT": io.Int,
}


def _type(name: str) -> Any:
    """ComfyUI's type of that name, or a type of the pack's own."""
    return _TYPES.get(name) or io.Custom(name)
