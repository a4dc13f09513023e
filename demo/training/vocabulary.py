# SPDX-License-Identifier: Apache-2.0
"""The words of the demo model: shapes, colours, caption templates, in English and Chinese.

Pure data and string work (standard library only), so that the tokenizer, the scene generator and
the evaluation cannot drift apart: all three read this file.
"""

from __future__ import annotations

#: Shape name -> Chinese name. The English name is the key.
SHAPES = {
    "circle": "圆形",
    "square": "正方形",
    "triangle": "三角形",
    "star": "星星",
    "heart": "爱心",
    "cross": "十字",
    "ring": "圆环",
    "moon": "月亮",
    "arrow": "箭头",
}

#: Colour name -> (Chinese name, hue in degrees 0..360, saturation range 0..1, value range 0..1).
#: Hues are far enough apart for "nearest hue" to be an unambiguous measure.
COLOURS = {
    "red": ("红色", 0, (0.85, 1.0), (0.75, 1.0)),
    "orange": ("橙色", 30, (0.88, 1.0), (0.88, 1.0)),
    "yellow": ("黄色", 58, (0.75, 1.0), (0.85, 1.0)),
    "green": ("绿色", 118, (0.70, 1.0), (0.55, 0.90)),
    "cyan": ("青色", 180, (0.65, 1.0), (0.75, 1.0)),
    "blue": ("蓝色", 225, (0.75, 1.0), (0.60, 1.0)),
    "purple": ("紫色", 272, (0.65, 0.95), (0.50, 0.85)),
    "pink": ("粉色", 322, (0.45, 0.70), (0.90, 1.0)),
}

#: Caption templates: {things} is the list of objects, {b} the background colour.
ENGLISH_TEMPLATES = (
    "{things} on {b} background",
    "{things} on {b} background",
    "{things} in front of {b} background",
    "a picture of {things} on {b} background",
    "{b} background with {things}",
)
CHINESE_TEMPLATES = (
    "{b}背景上的{things}",
    "{b}背景上的{things}",
    "{b}背景上有{things}",
    "{b}背景，{things}",
    "一张图片，{b}背景上的{things}",
)
#: Words people add out of habit; they get tokens of their own and are sometimes put in captions.
EXTRA_WORDS = (
    "photo",
    "drawing",
    "best",
    "quality",
    "masterpiece",
    "the",
    "at",
    "left",
    "right",
    "top",
    "bottom",
    "big",
    "small",
    "two",
    "three",
    "blurry",
    "low",
)
EXTRA_CHARACTERS = "的在里和与个一两三张幅图片画有上下左右大小质量高低模糊，。、"


def article(word: str) -> str:
    """Return ``word`` with "a" or "an" in front."""
    return ("an " if word[0] in "aeiou" else "a ") + word


def caption(objects, background: str, language: str = "en", template: int = 0) -> str:
    """Describe a scene.

    Args:
        objects: sequence of ``(colour, shape)`` English names, in the order in which to say them.
        background: English colour name.
        language: ``"en"``, ``"zh"`` or ``"tags"`` (comma-separated English words).
        template: which template of the language, taken modulo their number.

    Raises:
        KeyError: a colour or shape outside the vocabulary.
        ValueError: an unknown language.
    """
    for colour, shape in objects:
        COLOURS[colour], SHAPES[shape]
    if language == "en":
        things = [article(f"{colour} {shape}") for colour, shape in objects]
        text = things[0] if len(things) == 1 else ", ".join(things[:-1]) + " and " + things[-1]
        return ENGLISH_TEMPLATES[template % len(ENGLISH_TEMPLATES)].format(things=text, b=article(background))
    if language == "zh":
        things = [
            COLOURS[colour][0] + ("的" if template % 2 else "") + SHAPES[shape] for colour, shape in objects
        ]
        text = things[0] if len(things) == 1 else "、".join(things[:-1]) + "和" + things[-1]
        return CHINESE_TEMPLATES[template % len(CHINESE_TEMPLATES)].format(
            things=text, b=COLOURS[background][0]
        )
    if language == "tags":
        return ", ".join([f"{colour} {shape}" for colour, shape in objects] + [f"{background} background"])
    raise ValueError(f"unknown caption language {language!r}: use 'en', 'zh' or 'tags'")


def english_words() -> list[str]:
    """Every English word that deserves a token of its own, sorted."""
    words = set(SHAPES) | set(COLOURS) | set(EXTRA_WORDS) | {"a", "an", "and"}
    for template in ENGLISH_TEMPLATES:
        words |= set(template.replace("{things}", " ").replace("{b}", " ").split())
    return sorted(words)


def chinese_characters() -> list[str]:
    """Every Chinese character (and full-width mark) that deserves a token of its own, sorted."""
    text = "".join(SHAPES.values()) + "".join(entry[0] for entry in COLOURS.values()) + EXTRA_CHARACTERS
    text += "".join(CHINESE_TEMPLATES).replace("{things}", "").replace("{b}", "")
    return sorted(set(text))
