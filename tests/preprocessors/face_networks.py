"""Makes `tests/golden/learned/face_detector.onnx` and `face_describer.onnx` (needs the package `onnx`).

usage: face_networks.py FOLDER

They have the inputs and outputs of InsightFace's SCRFD and ArcFace files and no training: a face is a patch
that is redder than green, the bluer the wider; a face's numbers are averages over squares of its aligned
picture. So they answer to everything the code around them does to a picture.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

# Eyes, nose, corners of the mouth of a small turned face, in strides from the cell.
POINTS = np.array([-1.4, -1.2, 1.5, -0.9, 0.1, 0.3, -1.3, 1.4, 1.1, 1.6])
BOX = np.array([2.6, 2.9, 2.5, 3.1])


def detector() -> onnx.ModelProto:
    """Averages over cells of 8, 16 and 32 pixels, then one linear map per output."""
    nodes, constants = [], []

    def constant(name: str, values: np.ndarray) -> str:
        constants.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    outputs: dict[str, list[str]] = {"score": [], "box": [], "points": []}
    for stride, sureness in ((8, 1.0), (16, 0.93), (32, 0.8)):
        tag = str(stride)
        nodes += [
            helper.make_node(
                "AveragePool", ["image"], ["pool" + tag], kernel_shape=[stride] * 2, strides=[stride] * 2
            ),
            helper.make_node("Transpose", ["pool" + tag], ["last" + tag], perm=[0, 2, 3, 1]),
            helper.make_node(
                "Reshape",
                ["last" + tag, constant("rows" + tag, np.array([-1, 3], np.int64))],
                ["cells" + tag],
            ),
        ]
        red, green, blue = np.eye(3)
        second = np.array([1.0, 0.96])
        maps = {
            "score": ((red - green)[:, None] * second * sureness / 2, np.zeros(2), 1),
            "box": (
                blue[:, None] * np.concatenate([BOX, BOX * 1.1]) * 0.3,
                np.concatenate([BOX, BOX * 1.1]),
                4,
            ),
            "points": (blue[:, None] * np.tile(POINTS, 2) * 0.3, np.tile(POINTS, 2), 10),
        }
        for what, (weight, bias, width) in maps.items():
            name = what + tag
            nodes += [
                helper.make_node(
                    "MatMul", ["cells" + tag, constant("w" + name, weight.astype(np.float32))], ["m" + name]
                ),
                helper.make_node(
                    "Add", ["m" + name, constant("b" + name, bias.astype(np.float32))], ["a" + name]
                ),
                helper.make_node(
                    "Reshape", ["a" + name, constant("s" + name, np.array([-1, width], np.int64))], [name]
                ),
            ]
            outputs[what].append(name)
    widths = {"score": 1, "box": 4, "points": 10}
    shown = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n" + name, widths[what]])
        for what, names in outputs.items()
        for name in names
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, "h", "w"])
    return _model(nodes, "detector", image, shown, constants)


def describer() -> onnx.ModelProto:
    """The first 512 of 768 averages over squares of 7 x 7 pixels."""
    numbers = [np.array(values, np.int64) for values in ([1, 768], [0], [512], [1])]
    names = ["flat", "from", "to", "axis"]
    nodes = [
        helper.make_node("AveragePool", ["image"], ["pool"], kernel_shape=[7, 7], strides=[7, 7]),
        helper.make_node("Reshape", ["pool", "flat"], ["all"]),
        helper.make_node("Slice", ["all", "from", "to", "axis"], ["numbers"]),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, 112, 112])
    shown = [helper.make_tensor_value_info("numbers", TensorProto.FLOAT, ["n", 512])]
    constants = [numpy_helper.from_array(value, name) for value, name in zip(numbers, names, strict=True)]
    return _model(nodes, "describer", image, shown, constants)


def _model(nodes: list, name: str, image: object, shown: list, constants: list) -> onnx.ModelProto:
    graph = helper.make_graph(nodes, name, [image], shown, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    return model


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    onnx.save(detector(), folder / "face_detector.onnx")
    onnx.save(describer(), folder / "face_describer.onnx")
