"""ImgOpenPrompt: the web UI's prompt syntax on this machine."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io
from comfy_execution.graph_utils import ExecutionBlocker

from .bodies import check_choice
from .host import send_text
from .local_tables import EMPHASIS, NETWORK_TAGS, PROMPT
from .schema import schema


class ImgOpenPrompt(io.ComfyNode):
    """Text to conditioning, and the LoRA files that its tags name."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(PROMPT)

    @classmethod
    def execute(cls, **inputs: Any) -> io.NodeOutput:
        from ..engines.comfy_prompt import TextEncoder, apply_networks, conditioning, without_tags

        values = {**PROMPT.defaults(), **inputs}
        check_choice("emphasis", values["emphasis"], EMPHASIS)
        check_choice("network_tags", values["network_tags"], NETWORK_TAGS)
        text, model, clip = str(values["text"]), values["model"], values["clip"]
        told: list[str] = []
        if values["network_tags"] == "apply":
            networks = apply_networks(text, model, clip)
            text, model, clip = networks.text, networks.model, networks.clip
            told += networks.notices
        elif values["network_tags"] == "drop":
            text, told = without_tags(text)
        encoder = TextEncoder(clip, values["emphasis"], values["clip_skip"])
        made = conditioning(encoder, text, values["steps"], values["hires_steps"], values["negative"])
        if values["clip_skip"] > 1 and not encoder.skips:
            told.append("clip_skip is ignored by this kind of text model, as in the web UI.")
        told += [f"Embedding {name} was used." for name in encoder.used_embeddings]
        if told:
            send_text(cls.hidden.unique_id, "\n".join(told))
        if model is None:
            model = ExecutionBlocker("This output of Web-UI Prompt (Img Open) needs model to be wired in.")
        return io.NodeOutput(made, model, clip, "\n".join(told))
