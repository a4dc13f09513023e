"""Prose of the operations' help pages, in both languages. `{}` marks where parts go."""

# ruff: noqa: E501  (prose is wrapped as it reads)

HOW_EN = """## Good to know

- `profile` names the server. Keys never enter a workflow; they are stored in Settings > Img Open.
- The inputs are the published parameters and nothing else. What you leave alone is **not sent**: empty texts, `not sent` in
  a choice, and the number that the tooltip names.
- `extra_json` is laid over the body (JSON merge patch), for fields that have no input here.
{pictures}{wait}"""
PICTURES_EN = """- Pictures are sent as links. Wire an image and the profile's storage makes the link, or fill in a link yourself, which
  passes through untouched. Wire or link: both at once is an error.
"""
WAIT_EN = """- The task is written into the journal before it leaves. Running the same inputs again attaches to it, or returns the stored
  result, after a restart too; change `run_again` to run and pay once more.
- Cancel stops waiting at once, and asks the server to stop the task, where the server can.
- A submit whose fate is unknown is never repeated by itself: the error says what you can do (sidebar *Img Open tasks*).
"""
REPLY_EN = """- The vendor does not publish how to ask for the result of this operation. The node hands over the reply to the submit;
  unless that holds the result, look into your account at the server.
- The same inputs are not sent twice; change `run_again` to run and pay once more.
- A submit whose fate is unknown is never repeated by itself: the error says what you can do (sidebar *Img Open tasks*).
"""
ASK_EN = """- This operation only asks: it costs nothing and is not written into the journal. An unchanged node keeps its answer;
  change `run_again` to ask once more.
- The answer comes as JSON, without signatures.
"""
LOOK_EN = """- To get the pictures of a task by its id use the *Task* node, which waits and downloads. This node shows the server's own
  answer.
"""
ANSWER_EN = """- The form of the result is not published: the node takes the pictures and texts that it finds in it, and `response` shows
  all of it.
"""

HOW_ZH = """## 说明

- “配置”（`profile`）指定服务器。密钥绝不会进入工作流，保存在“设置 > Img Open”中。
- 输入项就是已公开的参数，不多也不少。没有改动的项**不会发送**：空文本、选项中的“不发送”，以及提示中注明的那个数字。
- “附加 JSON”（`extra_json`）覆盖在请求体之上（JSON merge patch），用于此处没有输入项的字段。
{pictures}{wait}"""
PICTURES_ZH = """- 图片以链接的形式发送。接上图像后由配置中的存储方式生成链接；也可以自己填写链接，它会原样传递。连线与链接二选一，同时给出
  会报错。
"""
WAIT_ZH = """- 任务在发送之前就写入日志。相同的输入再次运行时会接上原任务，或直接返回已保存的结果，重启之后也一样；要再运行并再次计费，
  请改变“再次运行”（`run_again`）。
- 取消会立即停止等待，服务器支持时也会请求停止任务。
- 结果不明的提交绝不会自动重复：错误信息会说明可以怎么做（见侧栏“Img Open 任务”）。
"""
REPLY_ZH = """- 官方没有公开这个操作的结果查询方式。节点给出提交时的回复；如果其中没有结果，请到服务器的账户中查看。
- 相同的输入不会发送两次；要再运行并再次计费，请改变“再次运行”（`run_again`）。
- 结果不明的提交绝不会自动重复：错误信息会说明可以怎么做（见侧栏“Img Open 任务”）。
"""
ASK_ZH = """- 这个操作只做查询：不计费，也不写入日志。未改动的节点保留它的回答；要再问一次，请改变“再次运行”（`run_again`）。
- 回答以 JSON 给出，不含签名。
"""
LOOK_ZH = """- 要按 ID 取得任务的图片，请使用“任务”节点，它会等待并下载结果。本节点只显示服务器的原始回答。
"""
ANSWER_ZH = """- 结果的格式没有公开：节点取出其中的图片和文本，“响应”（`response`）显示全部内容。
"""

# What the vendor's pages leave open and a user should know, by operation: English, Chinese.
OPEN: dict[str, tuple[str, str]] = {
    "sd_text2image_v2": (
        "The page prints few ranges; the server may refuse a value that this node allows.",
        "官方页面只给出少数参数的范围；本节点允许的值，服务器也可能拒绝。",
    ),
    "sd_text2image_v3": (
        "The published list ends with the hires fix. Further fields (model, VAE, task id, format) go into `extra_json`.",
        "已公开的参数到高分辨率修复为止。更多字段（模型、VAE、任务 ID、格式）请写入“附加 JSON”。",
    ),
    "sd_image2image_v2": (
        "The page prints few ranges and no complete example; the server may refuse a value that this node allows.",
        "官方页面只给出少数参数的范围，也没有完整的示例；本节点允许的值，服务器也可能拒绝。",
    ),
    "sd_image2image_v3": (
        "The published list ends with the output format. Further fields go into `extra_json`.",
        "已公开的参数到输出格式为止。更多字段请写入“附加 JSON”。",
    ),
    "sd_controlnet": (
        "The page calls `hr_resize_x` the height and `hr_resize_y` the width; in the web UI it is the other way round. Try it "
        "with two different sizes once.",
        "官方页面把 `hr_resize_x` 说成高度、`hr_resize_y` 说成宽度，WebUI 正好相反。请先用两个不同的数试一次。",
    ),
    "query_model_list": (
        "What `modelStatus` and `modelUploadStatus` in the answer mean is not published.",
        "回答中的 `modelStatus` 和 `modelUploadStatus` 的含义没有公开。",
    ),
    "query_task_info_v1": (
        "Of the status numbers only 2 (finished) is published.",
        "状态数字中只公开了 2（完成）。",
    ),
    "query_task_info_v2": (
        "Only tasks of the current month are found; *Query Archived Task* finds older ones. Of the status numbers only 2 "
        "(finished) is published.",
        "只能查到当月的任务；更早的任务用“查询归档任务”。状态数字中只公开了 2（完成）。",
    ),
    "submit_training_job": (
        "The page spells the fields in two ways, camelCase in its table and snake_case in its example; the node sends those of "
        "the table. Ranges that no tooltip states are not published.",
        "官方页面的字段有两种拼写：表格中是驼峰式，示例中是下划线式；本节点按表格发送。提示中没有的范围都没有公开。",
    ),
    "flux_text2image": (
        "The ranges of sizes and steps are not published.",
        "尺寸和步数的范围没有公开。",
    ),
    "instant_id": (
        "The ranges of `steps`, `guidanceScale` and `seed` are not published.",
        "`steps`、`guidanceScale` 和 `seed` 的范围没有公开。",
    ),
    "single_face_swap_v2": (
        "The published list ends with `fidelityWeight`. Further fields go into `extra_json`.",
        "已公开的参数到 `fidelityWeight` 为止。更多字段请写入“附加 JSON”。",
    ),
    "face_detection": (
        "Run it before *Multiple Face Swap*, to see which faces there are and choose their numbers.",
        "可在“多人换脸”之前运行，查看有哪些人脸并选择序号。",
    ),
    "prompts_expand": (
        "The ranges of the sampling settings are not published, except where the tooltip states one.",
        "除提示中写明的以外，取样参数的范围没有公开。",
    ),
    "sd_prompts_optimize": (
        "The published list ends with `raw_prompt`. Further fields go into `extra_json`.",
        "已公开的参数到 `raw_prompt` 为止。更多字段请写入“附加 JSON”。",
    ),
    "img_expand": (
        "The names of samplers, the largest `imageCount` and the range of `horizontalExpansionRatio` are not published.",
        "采样器名称、`imageCount` 的上限和 `horizontalExpansionRatio` 的范围没有公开。",
    ),
    "cnt_preview": (
        "Which preprocessors the server knows is not published; the page's example names `canny`.",
        "服务器支持哪些预处理器没有公开；官方页面的示例是 `canny`。",
    ),
}
