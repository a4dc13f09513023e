"""From a canvas workflow (what people save and share) to the API graph the front-end would queue."""

from __future__ import annotations

from typing import Any

from comfy_host import Host

WIDGETS = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"}
NOTES = {"MarkdownNote", "Note"}  # live in the front-end only


def to_graph(host: Host, workflow: dict[str, Any]) -> dict[str, Any]:
    """The API graph; widget values are taken by position, as the front-end does."""
    info = host.get("/object_info")
    sources = {link[0]: [str(link[1]), link[2]] for link in workflow["links"]}
    graph: dict[str, Any] = {}
    for node in workflow["nodes"]:
        if node["type"] in NOTES:
            continue
        spec = info[node["type"]]
        wired = {slot["name"]: sources[slot["link"]] for slot in node["inputs"] if slot.get("link")}
        values = _by_name(spec, list(node.get("widgets_values") or []))
        graph[str(node["id"])] = {"class_type": node["type"], "inputs": {**values, **wired}}
    return graph


def _by_name(spec: dict[str, Any], values: list[Any]) -> dict[str, Any]:
    """Widget values by input; widgets that the front-end adds on its own are dropped: the one after
    a seed, and upload buttons, which come last."""
    named: dict[str, Any] = {}
    for part in ("required", "optional"):
        for name, declared in spec["input"].get(part, {}).items():
            kind, options = declared[0], declared[1] if len(declared) > 1 else {}
            if not (isinstance(kind, list) or kind in WIDGETS) or options.get("forceInput") or not values:
                continue
            named[name] = values.pop(0)
            seed = name in ("seed", "noise_seed") and kind == "INT"
            if options.get("control_after_generate", seed):
                values.pop(0)
    return named
