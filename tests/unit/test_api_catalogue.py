"""The catalogue: what is published is there, nothing else is, and bodies are checked against it."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from img_open.api.catalogue import PREFIX, Catalogue, local_catalogue_files
from img_open.api.catalogue_docs import operations_markdown, with_operations
from img_open.api.catalogue_fields import FieldSpec
from img_open.base.errors import InvalidRequest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue.load()


def test_every_published_operation_is_there(catalogue: Catalogue) -> None:
    assert len(catalogue) == 51
    statuses = [operation.status for operation in catalogue]
    assert statuses.count("runnable") == 22
    assert statuses.count("path not published") == 26
    assert {operation.id for operation in catalogue if operation.status == "fields not published"} == {
        "hair_change",
        "text2music",
        "vocal_synthesize",
    }


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("sd_controlnet", "/sd/v2/controlnet"),
        ("sd_text2image_v2", "/sd/v2/text2image"),
        ("sd_text2image_v3", "/sd/v3/text2Image"),
        ("sd_image2image_v2", "/sd/v2/image2image"),
        ("query_task_info_v1", "/sd/queryTaskInfo"),
        ("query_task_info_v2", "/sd/v2/queryTaskInfo"),
        ("query_model_list", "/sd/v2/queryModelList"),
        ("cnt_preview", "/tool/cnt/preview"),
        ("flux_text2image", "/tool/comfyui/text2image"),
        ("submit_training_job", "/modelTraining/submitTraining/Job"),
    ],
)
def test_paths(catalogue: Catalogue, name: str, path: str) -> None:
    operation = catalogue.operation(name)
    assert operation.path == PREFIX + path
    assert operation.url_path() == operation.path
    assert catalogue.for_path(PREFIX + path) is operation


def test_tool_query_keeps_the_slash_of_a_tool_code(catalogue: Catalogue) -> None:
    query = catalogue.operation("query_tool_task")
    assert catalogue.operation("cnt_preview").tool_code == "cnt/preview"
    assert query.url_path(toolCode="cnt/preview") == f"{PREFIX}/tool/cnt/preview/queryTask"
    assert catalogue.for_path(f"{PREFIX}/tool/cnt/preview/queryTask") is query
    for bad in ("../x", "", "a//b", "a?b", "/a"):
        with pytest.raises(InvalidRequest, match="toolCode"):
            query.url_path(toolCode=bad)


def test_unpublished_operation_says_what_to_do(catalogue: Catalogue) -> None:
    operation = catalogue.operation("background_remove")
    assert operation.path is None
    assert operation.fields is None
    assert not operation.runnable
    with pytest.raises(InvalidRequest, match="local catalogue file"):
        operation.url_path()


def test_unknown_operation_names_the_nearest(catalogue: Catalogue) -> None:
    with pytest.raises(InvalidRequest, match="sd_controlnet"):
        catalogue.operation("sd_controlnett")


def test_in_development_and_titles(catalogue: Catalogue) -> None:
    flagged = {operation.id for operation in catalogue if operation.in_development}
    assert flagged == {"sd_text2image_v3", "sd_image2image_v3", "text2music", "vocal_synthesize"}
    assert catalogue.operation("cnt_preview").title_zh == "CNT预览"
    assert catalogue.operation("translate").title_en == "Translate"


def test_the_examples_of_the_catalogue_are_valid(catalogue: Catalogue) -> None:
    for operation in catalogue:
        if operation.example is not None and operation.id != "submit_training_job":
            operation.validate_body(operation.example)
    training = catalogue.operation("submit_training_job")
    assert training.example is not None
    # The page asks for 10 to 100 pictures; the example shows one.
    with pytest.raises(InvalidRequest, match="fileUrlList"):
        training.validate_body(training.example)
    training.validate_body({**training.example, "fileUrlList": ["https://files.example.com/1.png"] * 10})


def test_every_runnable_tool_can_be_followed(catalogue: Catalogue) -> None:
    for operation in catalogue.runnable():
        for poll in operation.task.poll_with:
            assert catalogue.operation(poll).runnable
        if operation.task.mode == "async":
            assert operation.field_for("task_id") is not None


def test_all_problems_of_a_body_are_listed(catalogue: Catalogue) -> None:
    operation = catalogue.operation("sd_controlnet")
    body = copy.deepcopy(operation.example)
    assert body is not None
    body.update(width=1025, steps="many", sampler_index="Euler b", cfg_scale=31, restore_faces=0)
    del body["prompt"]
    del body["alwayson_scripts"]["id_task"]
    with pytest.raises(InvalidRequest) as caught:
        operation.validate_body(body)
    text = str(caught.value)
    assert "width is 1025, but must be a whole number from 128 to 1024 in steps of 8" in text
    assert "steps is 'many'" in text
    assert "DPM++ 2M Karras" in text
    assert "cfg_scale is 31, but must be a number from 1 to 30" in text
    assert "restore_faces is 0, but must be true or false" in text
    assert "prompt is missing" in text
    assert "alwayson_scripts.id_task is missing" in text
    assert len(caught.value.details["problems"]) == 7


def test_problems_inside_lists_carry_their_place(catalogue: Catalogue) -> None:
    operation = catalogue.operation("sd_controlnet")
    body = copy.deepcopy(operation.example)
    assert body is not None
    script = body["alwayson_scripts"].pop("controlnet")
    script["args"].append({"weight": "heavy"})
    body["alwayson_scripts"]["ControlNet"] = script  # script names are compared without case
    places = [problem.field for problem in operation.problems(body)]
    assert places == ["alwayson_scripts.ControlNet.args[1].weight"]


def _ok(spec: dict[str, Any], value: Any) -> bool:
    return not FieldSpec.model_validate({"name": "x", **spec}).problems(value, "x")


@pytest.mark.parametrize(
    ("spec", "good", "bad"),
    [
        ({"type": "integer"}, [0, -3, 25.0, None], [True, 2.5, "3", float("nan"), []]),
        ({"type": "number", "range": [0, 1]}, [0, 1, 0.5], [-0.1, 1.01, False, "0.5", float("inf")]),
        ({"type": "integer|string"}, [1, "1221212", "-1"], ["x", "1.5", "", 1.5, True]),
        ({"type": "string", "range": [0, 1]}, ["0.5", "1"], ["2", "half", 0.5]),
        ({"type": "string", "max_length": 3}, ["abc", ""], ["abcd", 1]),
        ({"type": "boolean"}, [True, False], [0, 1, "true"]),
        ({"type": "integer", "enum": [0, 1]}, [0, 1], [2, True, "0"]),
        ({"type": "array[string]", "items_range": [1, 2]}, [["a"], ["a", "b"]], [[], ["a"] * 3, "a", [1]]),
        ({"type": "integer", "range": [128, 2048], "unset_value": -1}, [-1, 128], [0, 127, 2049]),
        ({"type": "integer", "multiple_of": 8}, [8, 0, 64], [4, 129]),
    ],
)
def test_field_checks(spec: dict[str, Any], good: list[Any], bad: list[Any]) -> None:
    assert [value for value in good if not _ok(spec, value)] == []
    assert [value for value in bad if _ok(spec, value)] == []


def _file(folder: Path, text: str) -> Path:
    file = folder / "catalogue.yaml"
    file.write_text(text, encoding="utf-8")
    return file


SIX_LINES = """\
- id: background_remove
  path: /AIGCImgOpenServ/saas/tool/background/remove
  fields:
  - {name: businessTaskId, type: string, required: true, role: task_id}
  - {name: sourceImage, type: string, required: true, role: picture}
  - {name: strength, type: number, range: [0, 1], default: 0.5}
"""


def test_six_lines_make_an_operation_runnable(tmp_path: Path) -> None:
    catalogue = Catalogue.load([_file(tmp_path, SIX_LINES)])
    assert len(catalogue) == 51
    operation = catalogue.operation("background_remove")
    assert operation.runnable
    assert operation.confidence == "local"
    assert operation.title_zh == "背景去除"  # kept from the published entry
    assert operation.tool_code == "background/remove"
    assert operation.task.poll_with == ("query_tool_task",)
    operation.validate_body({"businessTaskId": "1", "sourceImage": "https://files.example.com/a.png"})
    with pytest.raises(InvalidRequest, match="strength is 2, but must be a number from 0 to 1"):
        operation.validate_body({"businessTaskId": "1", "sourceImage": "x", "strength": 2})
    assert not Catalogue.load().operation("background_remove").runnable  # the shipped data is untouched


def test_fields_alone_complete_an_operation_whose_path_is_known(tmp_path: Path) -> None:
    text = "- id: hair_change\n  fields:\n  - {name: businessTaskId, type: string}\n"
    assert Catalogue.load([_file(tmp_path, text)]).operation("hair_change").runnable


def test_a_new_operation_is_added(tmp_path: Path) -> None:
    text = "operations:\n- id: my_tool\n  path: /x/tool/mine\n  fields: []\n"
    catalogue = Catalogue.load([_file(tmp_path, text)])
    assert len(catalogue) == 52
    assert catalogue.operation("my_tool").group == "tool"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (SIX_LINES.replace("path:", "pahth:"), 2, ["pahth", "did you mean path"]),
        (SIX_LINES.replace("type: number", "typ: number"), 6, ["fields[2].typ", "did you mean type"]),
        (SIX_LINES.replace("type: number", "type: float"), 6, ["fields[2].type", "'float'", "number"]),
        (SIX_LINES.replace("/AIGC", "https://AIGC"), 2, ["path", "without host"]),
        (SIX_LINES.replace("range: [0, 1]", "range: 1"), 6, ["fields[2].range"]),
        (SIX_LINES.replace("role: picture", "role: photo"), 5, ["fields[1].role", "'photo'", "picture"]),
        (SIX_LINES.replace("- id: background_remove", "- ident: x"), 1, ["id", "missing"]),
        (SIX_LINES.replace("  fields:", "  path: /a\n  fields:"), 3, ["path", "given twice"]),
        (SIX_LINES.replace("  fields:", "  fields: ["), 4, ["not valid YAML"]),
        (
            SIX_LINES + "  task: {poll_with: [query_tool]}\n",
            7,
            ["query_tool", "did you mean query_tool_task"],
        ),
        (SIX_LINES + SIX_LINES, 7, ["background_remove", "given twice"]),
        ("just words", 1, ["list of operations"]),
        ("- 5", 1, ["expected `id"]),
        ("opertions: []\noperations: []", 1, ["unknown key opertions"]),
    ],
)
def test_a_mistake_in_a_local_file_names_line_and_key(
    tmp_path: Path, text: str, line: int, words: list[str]
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        Catalogue.load([_file(tmp_path, text)])
    message = str(caught.value)
    assert f"line {line}:" in message
    for word in words:
        assert word in message


def test_a_local_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="cannot be read"):
        Catalogue.load([tmp_path / "none.yaml"])


def test_an_empty_local_file_changes_nothing(tmp_path: Path) -> None:
    assert len(Catalogue.load([_file(tmp_path, "# nothing yet\n")])) == 51


def test_the_local_file_lies_in_the_configuration_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from img_open.base.places import config_dir

    monkeypatch.setenv("IMG_OPEN_HOME", str(tmp_path))
    assert local_catalogue_files() == []
    config_dir().mkdir(parents=True, exist_ok=True)
    file = _file(config_dir(), SIX_LINES)
    assert local_catalogue_files() == [file]


def test_docs_list_is_current(catalogue: Catalogue) -> None:
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    assert with_operations(text, catalogue) == text, "run: python -m img_open.api.catalogue_docs"
    table = operations_markdown(catalogue)
    for operation in catalogue:
        assert f"| `{operation.id}` |" in table
    assert table.count("path not published") == 26


def test_the_six_lines_of_the_docs_work(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    sample = text.split("```yaml\n", 1)[1].split("```", 1)[0]
    assert len(sample.strip().splitlines()) == 6
    assert Catalogue.load([_file(tmp_path, sample)]).operation("background_remove").runnable
