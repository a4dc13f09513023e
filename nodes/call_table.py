"""ImgOpenApiCall as data."""

from __future__ import annotations

from .common_fields import PROFILE
from .fields import NodeTable, Out, integer, line, text

API_CALL = NodeTable(
    id="ImgOpenApiCall",
    title="API Call (Img Open API)",
    category="Img Open/API",
    description="Posts any JSON body to any path of the server, for everything that has no node of its own.",
    inputs=(
        PROFILE,
        line(
            "path",
            "Path after the API's prefix, such as tool/roop, or an absolute one that begins with /. No host: "
            "the server is the profile's.",
        ),
        text("body", "The body as a JSON object. Pictures are links in it; nothing is uploaded here."),
        integer(
            "run_again",
            0,
            0,
            4294967295,
            "Change this number to post, and pay, the same call once more. Otherwise an unchanged call keeps "
            "its answer, after a restart too.",
        ),
    ),
    outputs=(
        Out("STRING", "response", "The data of the server's answer as JSON, without signatures."),
        Out("STRING", "task_id", "The task id in the answer; empty when it names none."),
    ),
)
