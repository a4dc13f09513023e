"""All nodes of the pack as data. Those of the user's own catalogue file are not among them."""

from __future__ import annotations

from . import tables
from .call_table import API_CALL
from .fields import NodeTable
from .local_tables import LOCAL
from .operation_list import published_tables
from .pose_tables import POSE_RENDER
from .task_tables import TASK_NODES

NODES: tuple[NodeTable, ...] = (
    *tables.NODES,
    *published_tables().values(),
    API_CALL,
    *TASK_NODES,
    tables.GENERATE,
    *LOCAL,
    POSE_RENDER,
)
