"""Reading a pasted command line, as a POSIX shell or as Windows' cmd would, without running anything."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import urlsplit

from ..base.errors import InvalidRequest

_ANSI = {"n": "\n", "r": "\r", "t": "\t", "a": "\a", "b": "\b", "e": "\x1b", "f": "\f", "v": "\v"}
_ANSI_ESCAPE = re.compile(
    r"\\(u[0-9a-fA-F]{1,4}|U[0-9a-fA-F]{1,8}|x[0-9a-fA-F]{1,2}|[0-7]{1,3}|.)", re.DOTALL
)

# Options whose value is of no interest here (and may be secret): skipped together with the value.
_WITH_VALUE = frozenset(
    word
    for line in (
        "-A --user-agent -b --cookie -c --cookie-jar -e --referer -o --output -m --max-time",
        "--connect-timeout -x --proxy -u --user --cacert --cert --key --retry --retry-delay -w --write-out",
        "--resolve --interface --limit-rate --oauth2-bearer --aws-sigv4 --noproxy --proxy-user -U",
        "-K --config -E -T --upload-file",
    )
    for word in line.split()
)
_DATA = frozenset(["-d", "--data", "--data-raw", "--data-binary", "--data-ascii", "--json"])
_SHORT_WITH_VALUE = "AbceomxuwUKETdHXF"


class Curl(NamedTuple):
    """What a curl command asks for. Header values are not kept: keys live there."""

    url: str
    method: str
    body: str
    header_names: tuple[str, ...]


def parse_curl(text: str) -> Curl:
    """Read a curl command.

    Understands `'…'`, `"…"`, `$'…'`, `\\` at line ends (POSIX) and `^` (Windows cmd).

    Raises:
        InvalidRequest: not a curl command, unbalanced quotes, no body, or the body is in a file. The text of
            the command is never part of the error, since it may hold keys.
    """
    words = split_command(text)
    while words and words[0] in ("$", ">", "sudo"):
        words = words[1:]
    if not words or not re.fullmatch(r"(.*[/\\])?curl(\.exe)?", words[0], re.IGNORECASE):
        raise InvalidRequest(
            "The text is not a curl command.", "Paste it from `curl` to the end of its body."
        )
    return _read_options(words[1:])


def split_command(text: str) -> list[str]:
    """Split a command into words, by the rules of the shell it was written for."""
    text = text.strip().replace("\r\n", "\n")
    if _is_windows(text):
        # Browsers write quotes as ^" and double every backslash, not only those before a quote.
        return _split_windows(_undo_carets(text), all_doubled='^"' in text)
    return _split_posix(text)


def _is_windows(text: str) -> bool:
    """Which shell a command was written for, told by its first quote and by how its lines go on."""
    if "\\\n" in text:
        return False
    quote = re.search(r"""\^?["']""", text)
    if quote is None or quote[0].endswith("'"):
        return False
    return quote[0] == '^"' or re.search(r"\^[ \t]*\n", text) is not None


def _read_options(words: list[str]) -> Curl:
    url, method = "", ""
    bodies: list[str] = []
    headers: list[str] = []
    queue = list(words)
    while queue:
        word = queue.pop(0)
        name, value = _option(word)
        if name in _DATA or name in (
            "-H",
            "--header",
            "-X",
            "--request",
            "--url",
            "-F",
            "--form",
            "--data-urlencode",
        ):
            if value is None:
                value = queue.pop(0) if queue else ""
            if name in _DATA:
                bodies.append(_body(name, value))
            elif name in ("-H", "--header"):
                headers.append(re.split(r"[:;]", value, maxsplit=1)[0].strip())
            elif name in ("-X", "--request"):
                method = value.upper()
            elif name == "--url":
                url = value
            else:
                raise InvalidRequest(
                    f"The command sends a form ({name}); Img Open and the web UI take JSON.",
                    "Copy the request as JSON (--data-raw).",
                )
        elif name in _WITH_VALUE:
            if value is None and queue:
                queue.pop(0)
        elif not word.startswith("-") and not url:
            url = word
    if not bodies:
        raise InvalidRequest("The curl command has no body.", "It needs --data-raw '{…}' (or -d, --data).")
    return Curl(_without_secrets(url), method or "POST", "&".join(bodies), tuple(headers))


def _option(word: str) -> tuple[str, str | None]:
    """Option name and the value written into the same word (`-dX`, `--data=X`), if any."""
    if word.startswith("--"):
        name, separator, value = word.partition("=")
        return name, value if separator else None
    if len(word) > 2 and word[0] == "-" and word[1] in _SHORT_WITH_VALUE:
        return word[:2], word[2:]
    return word, None


def _body(option: str, value: str) -> str:
    if value.startswith("@") and option != "--data-raw":
        raise InvalidRequest(
            "The body of the command is in a file of its own (@…).", "Paste or open that file instead."
        )
    return value


def _without_secrets(url: str) -> str:
    """Scheme, host and path only: one page shows the keys as query parameters."""
    try:
        parts = urlsplit(url if "://" in url or not url else f"https://{url}")
        host = parts.netloc.rsplit("@", 1)[-1]
    except ValueError:
        return ""
    return f"{parts.scheme}://{host}{parts.path}" if host else ""


def _split_posix(text: str) -> list[str]:
    words: list[str] = []
    word: list[str] | None = None
    at = 0
    while at < len(text):
        char = text[at]
        if char.isspace():
            if word is not None:
                words.append("".join(word))
            word, at = None, at + 1
            continue
        if char == "\\":
            following = text[at + 1 : at + 2]
            if following != "\n":  # a backslash at the end of a line continues it
                word = (word or []) + [following]
            at += 2
            continue
        word = word or []
        if char == "'":
            end = _find(text, "'", at + 1)
            word.append(text[at + 1 : end])
            at = end + 1
        elif char == '"':
            piece, at = _double_quoted(text, at + 1)
            word.append(piece)
        elif text.startswith("$'", at):
            piece, at = _ansi_quoted(text, at + 2)
            word.append(piece)
        else:
            word.append(char)
            at += 1
    if word is not None:
        words.append("".join(word))
    return words


def _find(text: str, char: str, start: int) -> int:
    end = text.find(char, start)
    if end < 0:
        raise _unbalanced()
    return end


def _unbalanced() -> InvalidRequest:
    return InvalidRequest("The command ends inside a quotation.", "Copy it again, to the very end.")


def _double_quoted(text: str, at: int) -> tuple[str, int]:
    piece: list[str] = []
    while at < len(text):
        char = text[at]
        if char == '"':
            return "".join(piece), at + 1
        if char == "\\" and text[at + 1 : at + 2] in ('"', "\\", "$", "`", "\n"):
            if text[at + 1] != "\n":
                piece.append(text[at + 1])
            at += 2
            continue
        piece.append(char)
        at += 1
    raise _unbalanced()


def _ansi_quoted(text: str, at: int) -> tuple[str, int]:
    """The inside of `$'…'`: backslash escapes as in C."""
    piece: list[str] = []
    while at < len(text):
        char = text[at]
        if char == "'":
            # Browsers write characters beyond the basic plane as two \\u escapes.
            return "".join(piece).encode("utf-16", "surrogatepass").decode("utf-16", "replace"), at + 1
        if char != "\\":
            piece.append(char)
            at += 1
            continue
        found = _ANSI_ESCAPE.match(text, at)
        if found is None:
            raise _unbalanced()
        piece.append(_ansi_char(found[1]))
        at = found.end()
    raise _unbalanced()


def _ansi_char(escape: str) -> str:
    if escape[0] in "uUx" and len(escape) > 1:
        code = int(escape[1:], 16)
        return chr(code) if code <= 0x10FFFF else "\ufffd"
    if escape[0] in "01234567":
        return chr(int(escape, 8) & 0xFF)
    return _ANSI.get(escape, escape)


def _undo_carets(text: str) -> str:
    """What cmd makes of `^`: the next character is literal; before a line end both vanish."""
    out: list[str] = []
    quoted = False
    at = 0
    while at < len(text):
        char = text[at]
        if char == "^" and not quoted:
            following = text[at + 1 : at + 2]
            if following == "\n":
                # The line end is eaten and the character after it is literal, a second line end too.
                out.append(text[at + 2 : at + 3])
                at += 3
            else:
                out.append(following)
                at += 2
            continue
        if char == '"':
            quoted = not quoted
        out.append(char)
        at += 1
    return "".join(out)


def _split_windows(text: str, all_doubled: bool) -> list[str]:
    """Split as Microsoft's C runtime does: backslashes count only before a double quote."""
    words: list[str] = []
    word: list[str] | None = None
    quoted = False
    for backslashes, char in re.findall(r"(\\*)(.|\Z)", text, re.DOTALL):
        if char == '"':
            word = (word or []) + ["\\" * (len(backslashes) // 2)]
            if len(backslashes) % 2:
                word.append('"')
            else:
                quoted = not quoted
            continue
        if backslashes:
            word = (word or []) + [backslashes[::2] if all_doubled else backslashes]
        if char.isspace() and not quoted:
            if word is not None:
                words.append("".join(word))
            word = None
        elif char:
            word = (word or []) + [char]
    if quoted:
        raise _unbalanced()
    if word is not None:
        words.append("".join(word))
    return words


def quote_posix(text: str) -> str:
    """The text as one word of a POSIX shell, in single quotes."""
    return "'" + text.replace("'", "'\\''") + "'"
