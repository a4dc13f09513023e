"""Faces: InsightFace's files through onnxruntime, beside what insightface and the web UI make of the same.

`tests/golden/learned/faces.json` was written by sd-webui-controlnet's own code with insightface 2.1. Its two
ONNX files (see face_networks.py) stand in for the trained ones: same inputs and outputs, and no training.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from img_open.base.errors import InvalidRequest, MissingDependency, MissingModel, PictureError, Unsupported
from img_open.base.pictures import decode_picture
from img_open.preprocessors import embeddings, face_analysis, face_parsing, faces, run
from img_open.preprocessors.adapter_models import AUTO_MODULES, module_for
from img_open.preprocessors.registry import available, find_preprocessor
from img_open.preprocessors.runtime import PlainRuntime
from img_open.preprocessors.weights_table import WEIGHTS

LEARNED = Path(__file__).parents[1] / "golden" / "learned"
GOLDEN = json.loads((LEARNED / "faces.json").read_text("utf-8"))
SCENES = sorted(GOLDEN["scenes"])
NETWORKS = {
    "det_10g.onnx": "face_detector.onnx",
    "scrfd_10g_bnkps.onnx": "face_detector.onnx",
    "w600k_r50.onnx": "face_describer.onnx",
    "glintr100.onnx": "face_describer.onnx",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, made in NETWORKS.items():
        shutil.copy(LEARNED / made, tmp_path / name)
    return tmp_path


@pytest.fixture
def faces_here(folder: Path) -> PlainRuntime:
    return PlainRuntime("cpu", folders=[folder])


def picture(name: str):
    return decode_picture((LEARNED / name).read_bytes())


def scene(name: str):
    return picture(GOLDEN["scenes"][name]["picture"])


def keypoints(image, runtime):
    return run.run_module(
        "instant_id_face_keypoints",
        image,
        processor_res=512,
        threshold_a=-1,
        threshold_b=-1,
        runtime=runtime,
    )


@pytest.mark.parametrize("name", SCENES)
def test_the_faces_are_those_insightface_finds(name, faces_here):
    wanted = GOLDEN["scenes"][name]
    found = face_analysis.find_faces(scene(name), "buffalo_detector", faces_here)
    assert len(found) == wanted["count"]
    for face, known in zip(found, wanted["faces"], strict=False):
        assert face.score == pytest.approx(known["score"], abs=1e-5)
        np.testing.assert_allclose(face.box, known["box"], atol=2e-3)
        np.testing.assert_allclose(face.points, known["points"], atol=2e-3)


@pytest.mark.parametrize("name", SCENES)
def test_the_largest_face_counts_and_others_are_mentioned(name, faces_here):
    image = scene(name)
    found = face_analysis.find_faces(image, "buffalo_detector", faces_here)
    largest = face_analysis.largest_face(found, image, faces_here)
    np.testing.assert_allclose(largest.box, GOLDEN["scenes"][name]["largest"], atol=2e-3)
    assert largest.area == max(face.area for face in found)
    assert largest.score < found[0].score  # not the surest one
    assert any("largest one is used" in text for text in faces_here.notices)


@pytest.mark.parametrize("name", SCENES)
def test_embeddings_are_the_originals(name, faces_here):
    """Every 37th number of the face's description, whole picture for FaceID, short side 512 for InstantID."""
    wanted = GOLDEN["scenes"][name]
    unit = embeddings.run_embedding("ip-adapter_face_id", scene(name), runtime=faces_here)
    assert unit.face.shape == (1, 512)
    assert unit.clip is None
    assert float(unit.face.norm()) == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(unit.face[0, ::37], wanted["face_id"], atol=2e-5)
    raw = embeddings.run_embedding("instant_id_face_embedding", scene(name), runtime=faces_here).face
    np.testing.assert_allclose(raw[0, ::37], wanted["instant_id_512"], atol=2e-4)
    assert float(raw.norm()) > 2  # as it comes
    smaller = embeddings.run_embedding(
        "instant_id_face_embedding", scene(name), processor_res=256, runtime=faces_here
    )
    assert not torch.equal(smaller.face, raw)


@pytest.mark.parametrize("name", SCENES)
def test_key_points_are_the_originals_picture(name, faces_here):
    made = keypoints(scene(name), faces_here)
    wanted = picture(f"faces_{name}_points_512.png")
    assert made.shape == wanted.shape
    assert np.array_equal(made, wanted)


@pytest.mark.parametrize("case", GOLDEN["drawings"], ids=lambda case: "x".join(map(str, case["size"])))
def test_drawing_is_the_originals_to_the_pixel(case):
    """Also with points outside the picture, and with all of them at one place."""
    height, width = case["size"]
    made = faces.draw_points(np.array(case["points"], np.float32), height, width)
    assert hashlib.sha256(made.tobytes()).hexdigest() == case["sha256"]


def test_a_batch_is_its_pictures(faces_here):
    first = scene("one")
    images = np.stack([first, first[:, ::-1], first])
    batch = run.run_batch(
        "instant_id_face_keypoints",
        torch.from_numpy(images.astype(np.float32) / 255),
        processor_res=512,
        threshold_a=-1,
        threshold_b=-1,
        runtime=faces_here,
    )
    for made, image in zip(batch, images, strict=True):
        single = keypoints(np.ascontiguousarray(image), faces_here)
        assert np.array_equal((made.numpy() * 255).round(), single)
    assert not torch.equal(batch[0], batch[1])


def face_id(image, runtime):
    return embeddings.run_embedding("ip-adapter_face_id", image, runtime=runtime)


@pytest.mark.parametrize("make", [face_id, keypoints])
def test_no_face_is_said(make, faces_here):
    empty = np.zeros((40, 56, 3), np.uint8)
    with pytest.raises(PictureError, match=r"No face was found.*seen from the front"):
        make(empty, faces_here)


def test_one_face_is_not_mentioned(faces_here):
    found = face_analysis.find_faces(scene("one"), "buffalo_detector", faces_here)
    assert face_analysis.largest_face(found[:1], scene("one"), faces_here) is found[0]
    assert not faces_here.notices


def test_a_fourth_channel_is_dropped_and_a_mask_refused(faces_here):
    image = scene("one")
    alpha = np.dstack([image, np.zeros(image.shape[:2], np.uint8)])
    plain = embeddings.run_embedding("ip-adapter_face_id", image, runtime=faces_here)
    cut = embeddings.run_embedding("ip-adapter_face_id", alpha, runtime=faces_here)
    assert torch.equal(plain.face, cut.face)
    with pytest.raises(PictureError, match="no mask"):
        embeddings.run_embedding("ip-adapter_face_id", image, mask=alpha[:, :, 3], runtime=faces_here)


@pytest.mark.parametrize("name", ["ip-adapter_face_id", "instant_id_face_embedding"])
def test_missing_weights_are_named(name, runtime):
    runs, reason = available(name)
    assert not runs
    with pytest.raises(MissingModel) as caught:
        embeddings.run_embedding(name, np.zeros((8, 8, 3), np.uint8), runtime=runtime)
    text = str(caught.value)
    assert reason in text
    entry = WEIGHTS[find_preprocessor(name).weights[0]]
    for part in (Path(entry.file).name, "non-commercial", entry.link, f"models pull {entry.key}"):
        assert part in text


def test_a_truncated_file_names_itself(folder, faces_here):
    whole = (folder / "det_10g.onnx").read_bytes()
    (folder / "det_10g.onnx").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(MissingModel, match=r"det_10g\.onnx cannot be read"):
        embeddings.run_embedding("ip-adapter_face_id", scene("one"), runtime=faces_here)


@pytest.mark.parametrize(
    ("file", "other", "says"),
    [
        ("det_10g.onnx", "face_describer.onnx", "cannot take"),
        ("w600k_r50.onnx", "face_detector.onnx", "ArcFace"),
    ],
)
def test_another_networks_file_is_refused(folder, faces_here, file, other, says):
    shutil.copy(LEARNED / other, folder / file)
    with pytest.raises(MissingModel, match=says):
        embeddings.run_embedding("ip-adapter_face_id", scene("one"), runtime=faces_here)


def test_insightfaces_own_folders_are_looked_through(tmp_path):
    for place, names in (
        ("buffalo_l", ("det_10g.onnx", "w600k_r50.onnx")),
        ("antelopev2", ("scrfd_10g_bnkps.onnx", "glintr100.onnx")),
    ):
        inside = tmp_path / "insightface" / "models" / place
        inside.mkdir(parents=True)
        for name in names:
            shutil.copy(LEARNED / NETWORKS[name], inside / name)
    for name in ("ip-adapter_face_id", "instant_id_face_embedding", "instant_id_face_keypoints"):
        assert available(name, [tmp_path]) == (True, "")


def test_alignment_turns_scales_and_shifts():
    target = np.array([[0, 0], [10, 0], [10, 20], [3, 7], [5, 5]], float)
    turn = np.array([[0.0, -2.0], [2.0, 0.0]])
    source = (target - [4, -3]) @ np.linalg.inv(turn).T
    found = face_analysis.similarity(source, target)
    np.testing.assert_allclose(found, [[0, -2, 4], [2, 0, -3]], atol=1e-9)
    with pytest.raises(PictureError, match="one point"):
        face_analysis.similarity(np.ones((5, 2)), target)


@pytest.mark.parametrize(
    ("model", "module"),
    [
        ("ip-adapter_sd15", "ip-adapter_clip_sd15"),
        ("ip-adapter_sd15 [6a3f6166]", "ip-adapter_clip_sd15"),
        ("ip-adapter/ip-adapter_sdxl.safetensors", "ip-adapter_clip_sdxl"),
        ("ip-adapter_sd15_vit-G.bin", "ip-adapter_clip_sdxl"),
        ("ip-adapter-plus-face_sdxl_vit-h", "ip-adapter_clip_sd15"),
        ("ip-adapter-faceid_sd15", "ip-adapter_face_id"),
        ("ip-adapter-faceid-plusv2_sdxl", "ip-adapter_face_id_plus"),
        ("ip-adapter_pulid_sdxl_fp16", "ip-adapter_pulid"),
    ],
)
def test_auto_goes_by_the_models_name(model, module):
    assert module_for(model) == module


def test_auto_knows_only_published_models_and_real_modules():
    assert {find_preprocessor(module).kind for module in AUTO_MODULES.values()} == {"embedding"}
    with pytest.raises(InvalidRequest, match=r"my-adapter.*ip-adapter_clip_sd15.*ip-adapter_"):
        module_for("my-adapter")


def test_auto_runs_the_module_it_stands_for(faces_here):
    named = embeddings.run_embedding("ip-adapter_face_id", scene("one"), runtime=faces_here)
    picked = embeddings.run_embedding(
        "ip-adapter-auto", scene("one"), model="ip-adapter-faceid_sd15 [0123abcd]", runtime=faces_here
    )
    assert torch.equal(named.face, picked.face)
    with pytest.raises(InvalidRequest, match="goes by the model's name"):
        embeddings.run_embedding("ip-adapter-auto", scene("one"), runtime=faces_here)
    with pytest.raises(Unsupported, match="stands for another"):
        embeddings.auto(None)


@pytest.mark.parametrize(
    ("package", "name"), [("facexlib", "facexlib"), ("consisid_eva_clip", "ip-adapter_pulid")]
)
def test_pulids_parts_name_their_package(package, name, runtime, monkeypatch):
    from img_open.preprocessors import registry

    monkeypatch.setattr(registry, "_missing_packages", lambda packages: [package])
    with pytest.raises(MissingDependency, match=rf"needs the Python package {package}\. .*torchvision"):
        registry.function_of(find_preprocessor(name))
    monkeypatch.undo()
    with pytest.raises(MissingDependency, match=r"not_there_at_all.*torchvision"):
        face_parsing._imported("not_there_at_all")
