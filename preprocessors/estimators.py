"""Which estimator finds the people of the openpose modules: the choices, and which module takes which."""

from __future__ import annotations

from ..base.errors import InvalidRequest

AUTO, DWPOSE, MOVENET = "auto", "dwpose", "movenet"
OPENPOSE = "openpose (non-commercial)"  # its label is the consent: nothing chooses it but the user
ESTIMATORS = (AUTO, DWPOSE, MOVENET, OPENPOSE)

_WITH_PARTS = (AUTO, DWPOSE, OPENPOSE)  # MoveNet knows bodies only
_TAKES = {
    "openpose": ESTIMATORS,
    "openpose_hand": _WITH_PARTS,
    "openpose_face": _WITH_PARTS,
    "openpose_faceonly": _WITH_PARTS,
    "openpose_full": _WITH_PARTS,
    "dw_openpose_full": (AUTO, DWPOSE),
}

_TOLD = {
    MOVENET: "The pose was made by MoveNet (comes with the pack): body only. Fetch dw_pose for DWPose.",
    DWPOSE: "The pose was made by DWPose.",
    OPENPOSE: "The pose was made by OpenPose's own networks. Their weights are for non-commercial use only.",
}


def made_by(module: str, estimator: str) -> str:
    """What to tell about a map; empty where no estimator is involved, or `auto` has a choice."""
    if estimator == AUTO and module in _TAKES and module != "openpose":
        estimator = DWPOSE
    return _TOLD.get(estimator, "")


def check_estimator(module: str, estimator: str) -> None:
    """Raise `InvalidRequest` if the module (its name) cannot be made by this estimator."""
    allowed = _TAKES.get(module, (AUTO,))
    if estimator not in allowed:
        raise InvalidRequest.field(f"estimator of {module}", estimator, " or ".join(allowed))
