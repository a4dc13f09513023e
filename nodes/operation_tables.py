"""One node per operation of the API whose path and fields are known, as data."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from ..api.catalogue import Catalogue, Operation
from ..api.local_catalogue import user_catalogue
from ..api.operation_outputs import published_roles
from ..base.errors import InvalidRequest
from .common_fields import PROFILE
from .fields import Field, NodeTable, Out, integer, text
from .operation_fields import Binding, bindings, chinese
from .operation_titles import TITLES
from .operation_words import GROUP_NAMES

_OUTPUTS = {
    "picture": Out("IMAGE", "images", "The pictures of the answer."),
    "mask": Out("MASK", "masks", "The masks of the answer, white = 1."),
    "text": Out("STRING", "text", "The texts of the answer, one per line."),
    "audio": Out("AUDIO", "audio", "The first sound of the answer."),
    "video": Out("VIDEO", "video", "The first film of the answer."),
}
_OUTPUTS_ZH = {
    "images": ("图像", "返回的图片。"),
    "masks": ("遮罩", "返回的遮罩，白色为 1。"),
    "text": ("文本", "返回的文本，每行一条。"),
    "audio": ("音频", "返回的第一段声音。"),
    "video": ("视频", "返回的第一段视频。"),
    "seeds": ("种子", "每张图片的种子，以逗号分隔。"),
    "audits": ("审核标签", "服务器内容审核的标签，每张图片一行。"),
    "response": ("响应", "服务器的响应，JSON 格式，不含签名。"),
    "task_id": ("任务 ID", "任务在服务器上的 ID。"),
}
_SEEDS = Out("STRING", "seeds", "The seed of each picture, separated by commas.")
_AUDITS = Out("STRING", "audits", "Labels of the server's content check, one line per picture.")
_RESPONSE = Out("STRING", "response", "The server's answer as JSON, without signatures.")
_TASK_ID = Out("STRING", "task_id", "The id under which the task runs.")
_EXTRA = text(
    "extra_json",
    "Further body fields as a JSON object, laid over the widgets (JSON merge patch: null removes a field).",
)
_DEADLINE = integer(
    "deadline",
    1800,
    10,
    86400,
    "Seconds to wait for the result. After that the node gives up with the task id; the task itself goes on.",
)
_AGAIN = integer(
    "run_again",
    0,
    0,
    4294967295,
    "Change this number to run, and pay, the same request once more. Otherwise an unchanged node keeps its "
    "result.",
)
_ASK_AGAIN = integer(
    "run_again",
    0,
    0,
    4294967295,
    "Change this number to ask once more; an unchanged node keeps its answer.",
)
_TAIL_ZH = {
    "profile": (
        "配置",
        "使用哪个服务器和哪份保存的密钥。在“设置 > Img Open”中创建；密钥绝不会进入工作流。",
    ),
    "extra_json": (
        "附加 JSON",
        "其他请求字段，JSON 对象，覆盖在控件之上（JSON merge patch：null 删除字段）。",
    ),
    "deadline": ("等待上限", "等待结果的秒数。超过后节点给出任务 ID 并停止等待，任务本身继续进行。"),
    "run_again": (
        "再次运行",
        "改变这个数字会把同样的请求再运行一次（并再次计费）；否则未改动的节点保留其结果。",
    ),
}

SD_QUERY = "query_task_info_v2"


@dataclass(frozen=True)
class OperationNode:
    """A node and the operation it stands for."""

    table: NodeTable
    operation: Operation
    parts: tuple[Binding, ...]


def node_id(operation_id: str) -> str:
    """`flux_text2image` -> `ImgOpenApiFluxText2image`. Published: never change it."""
    return "ImgOpenApi" + "".join(word[:1].upper() + word[1:] for word in operation_id.split("_"))


def operation_node(operation: Operation) -> OperationNode:
    """The node of a runnable operation."""
    parts = bindings(operation)
    asks = operation.task.mode == "sync"
    tail = (_EXTRA, _ASK_AGAIN) if asks else (_EXTRA, _DEADLINE, _AGAIN)
    inputs: list[Field] = [PROFILE]
    inputs += [part.wired for part in parts if part.wired is not None]
    inputs += [part.field for part in parts if part.field is not None]
    table = NodeTable(
        id=node_id(operation.id),
        title=f"{_title(operation)} (Img Open API)",
        category=f"Img Open/API/{group_name(operation.group)[0]}",
        description=_description(operation),
        inputs=(*inputs, *tail),
        outputs=_outputs(operation),
    )
    return OperationNode(table, operation, parts)


@lru_cache(maxsize=1)
def published_operations() -> tuple[OperationNode, ...]:
    """The nodes of the published catalogue, in its order."""
    return tuple(operation_node(operation) for operation in Catalogue.load().runnable())


def local_operations() -> tuple[OperationNode, ...]:
    """The nodes that the user's own catalogue file adds or completes."""
    known = {node.operation.id for node in published_operations()}
    return tuple(
        operation_node(operation)
        for operation in user_catalogue().runnable()
        if operation.confidence == "local" and operation.id not in known
    )


def node_of(operation_id: str) -> OperationNode:
    """The node of an operation of the published catalogue or of the user's file."""
    for node in (*published_operations(), *local_operations()):
        if node.operation.id == operation_id:
            return node
    raise InvalidRequest(
        f"The operation {operation_id} is in no catalogue any more.",
        "Restart ComfyUI after a change of your file.",
    )


def group_name(group: str) -> tuple[str, str]:
    """The vendor's group in English and Chinese."""
    plain = re.sub(r"[^A-Za-z0-9 ]", " ", group).strip().capitalize() or "Other"
    return GROUP_NAMES.get(group, (plain, plain))


def follows(operation: Operation) -> bool:
    """Whether the node waits for a result that comes after the submit's reply."""
    return operation.task.mode != "sync" and bool(operation.task.poll_with)


def chinese_words(node: OperationNode) -> dict[str, object]:
    """The node's words in Chinese, in the layout of nodeDefs.json."""
    operation = node.operation
    inputs = {name: {"name": label, "tooltip": tip} for name, (label, tip) in _TAIL_ZH.items()}
    for part in node.parts:
        inputs.update(chinese(part, operation.field(part.wire)))
    ids = [field.id for field in node.table.inputs]
    return {
        "display_name": f"{_title_zh(operation)}（Img Open 接口）",
        "description": _description_zh(operation),
        "inputs": {name: inputs[name] for name in ids},
        "outputs": {
            str(number): dict(zip(("name", "tooltip"), _OUTPUTS_ZH[out.name], strict=True))
            for number, out in enumerate(node.table.outputs)
        },
    }


def _title(operation: Operation) -> str:
    """A readable title; for a user's own operation the file's, with the version where two share one."""
    if operation.id in TITLES:
        return TITLES[operation.id].title
    title = operation.title_en
    version = re.search(r"_(v\d)$", operation.id)
    if version and version[1].lower() not in title.lower():
        title += f" {version[1]}"
    return title[:1].upper() + title[1:]


def _title_zh(operation: Operation) -> str:
    if operation.id in TITLES:
        return TITLES[operation.id].zh
    title = re.sub(r"\s*\(.*\)$", "", operation.title_zh)
    return title if re.search(r"[\u4e00-\u9fff]", title) else f"{title} 操作"


def _description(operation: Operation) -> str:
    does = f"{TITLES[operation.id].does} " if operation.id in TITLES else ""
    parts = [
        f"{does}The operation {operation.id} of the Img Open API, with exactly its published parameters."
    ]
    if operation.confidence == "local":
        parts = [f"The operation {operation.id} of your own catalogue file."]
    if operation.in_development:
        parts.append("The vendor's page marks it as in development.")
    if operation.task.mode != "sync" and not follows(operation):
        parts.append("How to ask for its result is not published: the outputs are the reply to the submit.")
    return " ".join(parts)


def _description_zh(operation: Operation) -> str:
    does = TITLES[operation.id].does_zh if operation.id in TITLES else ""
    parts = [f"{does}Img Open 接口的 {operation.id} 操作，参数与已公开的完全一致。"]
    if operation.in_development:
        parts.append("官方页面标注为开发中。")
    if operation.task.mode != "sync" and not follows(operation):
        parts.append("结果的查询方式未公开：输出即提交时的回复。")
    return "".join(parts)


def _outputs(operation: Operation) -> tuple[Out, ...]:
    """What the reply's fields say; where none are published, pictures and texts of what is followed."""
    if operation.task.mode == "sync":
        return (_RESPONSE,)
    if SD_QUERY in operation.task.poll_with:
        return (_OUTPUTS["picture"], _SEEDS, _AUDITS, _RESPONSE, _TASK_ID)
    roles = published_roles(operation)
    if not roles and follows(operation):
        roles = ("picture", "text")
    return (*(_OUTPUTS[role] for role in roles), _RESPONSE, _TASK_ID)
