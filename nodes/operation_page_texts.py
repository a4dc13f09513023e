"""Prose of the operations' help pages, in both languages. `{}` marks where parts go."""

# ruff: noqa: E501  (prose is wrapped as it reads)

HOW_EN = """## How it works

`profile` names the server; keys never enter a workflow (Settings > Img Open). Inputs are the published
parameters and nothing else; what you leave alone is **not sent**: empty texts, `not sent` in a choice, and the
number that the tooltip names. `extra_json` is laid over the body for anything that is missing here.

{pictures}{wait}"""
PICTURES_EN = """Pictures are sent as links. Wire an image and the profile's storage makes the link, or fill in a link
yourself, which passes through untouched.

"""
WAIT_EN = """The task is written into the journal before it leaves. Running the same inputs again attaches to it, or
returns the stored result, after a restart too; change `run_again` to run and pay once more. Cancel stops
waiting at once. A submit whose fate is unknown is never repeated by itself: the error says what you can do."""
REPLY_EN = """The vendor does not publish how to ask for the result of this operation. The node hands over the reply to the
submit; unless that holds the result, look into your account at the server. The same inputs are not sent twice;
change `run_again` to run and pay once more."""
ASK_EN = """This operation only asks: it costs nothing and is not written into the journal. An unchanged node keeps its
answer; change `run_again` to ask once more."""
HOW_ZH = """## 工作方式

`profile` 指定服务器；密钥绝不会进入工作流（在“设置 > Img Open”中保存）。输入项就是已公开的参数，不多也不少。没有改动的项
**不会发送**：空文本、选项中的 `not sent`，以及提示中注明的那个数字。此处没有的字段可以写在 `extra_json` 里，它会覆盖在请求
之上（JSON merge patch）。

{pictures}{wait}"""
PICTURES_ZH = """图片以链接的形式发送。接上图像后由配置中的存储方式生成链接；也可以自己填写链接，它会原样传递，不做任何改动。
接线与链接只能二选一，同时给出会报错。

"""
WAIT_ZH = """任务在发送之前就写入日志。相同的输入再次运行时会接上原任务，或直接返回已保存的结果，重启之后也一样；要再运行并再次计费，
请改变 `run_again`。在 ComfyUI 中取消会立即停止等待，服务器支持时也会请求停止任务。结果不明的提交绝不会自动重复：
错误信息会说明可以怎么做（见侧栏“Img Open 任务”）。"""
REPLY_ZH = """官方没有公开这个操作的结果查询方式。节点给出提交时的回复；如果其中没有结果，请到服务器的账户中查看。相同的输入不会
发送两次；要再运行并再次计费，请改变 `run_again`。结果不明的提交绝不会自动重复：错误信息会说明可以怎么做
（见侧栏“Img Open 任务”）。"""
ASK_ZH = """这个操作只做查询：不计费，也不写入日志。未改动的节点保留它的回答；要再问一次，请改变 `run_again`。查询返回的内容以 JSON
给出，不含签名。要按编号取得任务的图片，请使用 Task 节点，它会等待并下载结果；本节点只显示服务器的原始回答，
适合查看页面上没有说明的字段。"""
