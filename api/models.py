"""The server's answers as typed values.

Tolerant on purpose: unknown fields are kept, missing and null ones read as empty, numbers may come as text.
What a finished answer must contain is judged in `tasks.py`, not here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, cast

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field


def _text(value: Any) -> Any:
    """Ids and texts: a number becomes its digits, null the empty text."""
    if value is None:
        return ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return value


def _link(value: Any) -> Any:
    """Links nobody needs: what is no text counts as none, so that one odd row does not cost the list."""
    return cast("object", value) if isinstance(value, str) else None


def _whole(value: Any) -> Any:
    """Numbers: digits in a text are read; null and blank mean unknown."""
    if isinstance(value, str):
        stripped = value.strip()
        if not stripped:
            return None
        return int(stripped) if re.fullmatch(r"[+-]?\d+", stripped) else value
    return value


def _listed(value: Any) -> Any:
    """Lists: null means none."""
    return [] if value is None else value


def _fraction(value: Any) -> Any:
    """A share of the work as 0..1: numbers above 1 are percentages, texts may carry a percent sign."""
    if isinstance(value, str):
        text = value.strip().removesuffix("%").strip()
        try:
            value = float(text)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    share = value / 100 if value > 1 else float(value)
    return min(max(share, 0.0), 1.0) if share == share else None


def _named(*names: str) -> AliasChoices:
    return AliasChoices(*names)


Text = Annotated[str, BeforeValidator(_text)]
Link = Annotated[str | None, BeforeValidator(_link)]
Whole = Annotated[int | None, BeforeValidator(_whole)]


class Reply(BaseModel):
    """Base of the answers: immutable, unknown fields kept, fields by their Python or wire name."""

    model_config = ConfigDict(frozen=True, extra="allow", populate_by_name=True)


class Envelope(Reply):
    """What every answer is wrapped in. `code` is text ("200" = success); a bare number is read too."""

    code: Text = ""
    msg: Text = ""
    data: Any = None

    @property
    def ok(self) -> bool:
        """Whether the envelope says success."""
        return self.code == "200"


class SubmitReply(Reply):
    """`data` of a submit: the task's id under any of its names."""

    task_id: Text = Field(
        default="", validation_alias=_named("task_id", "taskId", "id_task", "businessTaskId")
    )
    status: Whole = None


class Audit(Reply):
    """One finding of the server's content check; the meaning of the labels is not published."""

    label: Text = ""
    confidence: float | str | None = None


class ImageReply(Reply):
    """One picture of a finished task.

    Attributes:
        image_url: where it can be fetched; None when the server hands out none.
        seed: the seed used, None when not told.
        image_status: not documented; 1 on a finished picture.
        audit_status: not documented; True together with the label nonLabel.
        audits: findings of the content check.
    """

    image_url: str | None = Field(default=None, validation_alias=_named("image_url", "imageUrl"))
    seed: Whole = None
    image_status: Whole = None
    audit_status: bool | int | str | None = Field(
        default=None, validation_alias=_named("img_audit_status", "audit_status")
    )
    audits: Annotated[list[Audit], BeforeValidator(_listed)] = Field(
        default=[], validation_alias=_named("img_audit", "audits")
    )


class TemporaryImage(Reply):
    """State of a running task. The cloud's shape is not published; this is the gateway dialect.

    Attributes:
        progress: 0..1, None when not told.
        image: intermediate picture as a link or data URL.
        stage: a word for what is going on.
    """

    progress: Annotated[float | None, BeforeValidator(_fraction)] = None
    image: str | None = Field(default=None, validation_alias=_named("image", "image_url", "imageUrl"))
    stage: Text = ""


def _temporary(value: Any) -> Any:
    # The published page shows only null; anything but an object is kept out of the way.
    return cast("object", value) if isinstance(value, Mapping | TemporaryImage) else None


class TaskInfo(Reply):
    """`data` of both task queries of the sd family.

    Attributes:
        task_id: `id_task` of the live query, `task_id` of the older one.
        status: 2 = success; the rest of the table is not published.
        desc: the server's own words.
        temporary: progress and intermediate picture while the task runs.
        images: one per picture.
        infos: gateway dialect: what was not honoured exactly, as {field, verdict, message}.
        control_image_urls: gateway dialect: the control pictures.
    """

    task_id: Text = Field(
        default="", validation_alias=_named("id_task", "task_id", "taskId", "businessTaskId")
    )
    status: Whole = None
    desc: Text = ""
    temporary: Annotated[TemporaryImage | None, BeforeValidator(_temporary)] = Field(
        default=None, validation_alias=_named("temporaryImageDto", "temporary")
    )
    images: Annotated[list[ImageReply], BeforeValidator(_listed)] = Field(
        default=[], validation_alias=_named("differentialImageRspList", "images")
    )
    infos: Annotated[list[dict[str, Any]], BeforeValidator(_listed)] = []
    control_image_urls: Annotated[list[str], BeforeValidator(_listed)] = []


class ModelRow(Reply):
    """One model of the server.

    Attributes:
        checkpoint: the value for `alwayson_scripts.sd_model_checkpoint`.
        cover_url: a signed link that expires; never stored.
    """

    id: int | str | None = None
    checkpoint: Text = Field(default="", validation_alias=_named("sdModelCheckpoint", "checkpoint"))
    name: Text = Field(default="", validation_alias=_named("sdModelName", "name"))
    base_model: Text = Field(default="", validation_alias=_named("modelBaseModel", "base_model"))
    hash: Text = Field(default="", validation_alias=_named("modelHash", "hash"))
    type: Text = Field(default="", validation_alias=_named("modelType", "type"))
    version: Text = Field(default="", validation_alias=_named("modelVersion", "version"))
    status: Whole = Field(default=None, validation_alias=_named("modelStatus", "status"))
    upload_status: Whole = Field(default=None, validation_alias=_named("modelUploadStatus", "upload_status"))
    cover_url: Link = Field(default=None, validation_alias=_named("modelImgUrl2", "cover_url"))


class ModelListReply(Reply):
    """`data` of the model list: one page. `total` counts the rows of all pages."""

    rows: Annotated[list[ModelRow], BeforeValidator(_listed)] = []
    total: Whole = None
    page_size: Whole = Field(default=None, validation_alias=_named("pageSize", "page_size"))
    page_number: Whole = Field(default=None, validation_alias=_named("pageNum", "page_number"))


# What finished tools are known to hand back; every other shape stays reachable through `outputs`.
_ABOUT_THE_TASK = {"task_id", "taskid", "id_task", "businesstaskid", "status", "desc", "tooltask"}
_PICTURE_KEY = re.compile(r"(image|img|picture|result|output)(_?(s|urls?|links?|list))*$", re.IGNORECASE)


class ToolTask(Reply):
    """`data` of the tool query. Only some tools' results are published, so outputs are found by their nature.

    Attributes:
        status: 1 and 0 both occur together with finished output; a tool is finished when there is output.
    """

    task_id: Text = Field(default="", validation_alias=_named("taskId", "task_id", "id_task"))
    business_task_id: Text = Field(default="", validation_alias=_named("businessTaskId", "business_task_id"))
    status: Whole = None
    desc: Text = ""
    temporary: Annotated[TemporaryImage | None, BeforeValidator(_temporary)] = Field(
        default=None, validation_alias=_named("temporaryImageDto", "temporary")
    )

    @property
    def outputs(self) -> dict[str, Any]:
        """Everything in the answer that is not about the task itself and not empty."""
        return {
            name: value
            for name, value in (self.model_extra or {}).items()
            if name.lower() not in _ABOUT_THE_TASK and value not in (None, "", [], {})
        }

    @property
    def finished(self) -> bool:
        """Whether there is output."""
        return bool(self.outputs)

    @property
    def pictures(self) -> list[str]:
        """Links (http, data URL) in fields named like pictures, in the answer's order."""
        return [link for name, value in self.outputs.items() for link in _links(name, value)]

    @property
    def texts(self) -> list[str]:
        """Captions, prompts and other texts among the outputs."""
        pictures = set(self.pictures)
        return [text for value in self.outputs.values() for text in _texts(value) if text not in pictures]


def _links(name: str, value: Any) -> list[str]:
    if isinstance(value, str):
        is_link = value.startswith(("http://", "https://", "data:image/", "/"))
        return [value] if is_link and _PICTURE_KEY.search(name) else []
    if isinstance(value, list):
        return [link for item in cast("list[Any]", value) for link in _links(name, item)]
    if isinstance(value, Mapping):
        inner = cast("Mapping[str, Any]", value)
        return [link for key, item in inner.items() for link in _links(key, item)]
    return []


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value] if value else []
    if isinstance(value, list):
        return [text for item in cast("list[Any]", value) for text in _texts(item)]
    if isinstance(value, Mapping):
        return [text for item in cast("Mapping[str, Any]", value).values() for text in _texts(item)]
    return []
