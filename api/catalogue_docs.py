"""Writes the list of operations in docs/api.md: `python -m img_open.api.catalogue_docs`."""

from __future__ import annotations

from pathlib import Path

from .catalogue import Catalogue, Operation

BEGIN = "<!-- operations: begin (written by img_open.api.catalogue_docs) -->"
END = "<!-- operations: end -->"
_GROUPS = {
    "drawing": "Drawing",
    "task": "Tasks",
    "training": "Training",
    "tool": "Tools",
    "image_check": "Image check",
    "video": "Video",
    "audio": "Audio",
    "translate": "Translation",
}


def operations_markdown(catalogue: Catalogue) -> str:
    """The operations as one table per group, in the catalogue's order."""
    total, runnable = len(catalogue), len(catalogue.runnable())
    lines = [f"{total} operations, {runnable} of them runnable.", ""]
    for group in dict.fromkeys(operation.group for operation in catalogue):
        lines += [
            f"### {_GROUPS.get(group, group)}",
            "",
            "| id | title | path | status |",
            "| --- | --- | --- | --- |",
        ]
        lines += [_row(operation) for operation in catalogue if operation.group == group]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def with_operations(text: str, catalogue: Catalogue) -> str:
    """The document with the part between the two marks written anew."""
    before, rest = text.split(BEGIN, 1)
    _, after = rest.split(END, 1)
    return f"{before}{BEGIN}\n\n{operations_markdown(catalogue)}\n{END}{after}"


def update(file: Path) -> bool:
    """Bring the document up to date; returns whether it changed."""
    old = file.read_text(encoding="utf-8")
    new = with_operations(old, Catalogue.load())
    if new != old:
        file.write_text(new, encoding="utf-8")
    return new != old


def _row(operation: Operation) -> str:
    titles = [text for text in (operation.title.en, operation.title.zh) if text]
    path = f"`{operation.path}`" if operation.path else "–"
    status = operation.status + (", in development" if operation.in_development else "")
    return f"| `{operation.id}` | {' / '.join(titles)} | {path} | {status} |"


if __name__ == "__main__":
    target = Path(__file__).resolve().parent.parent / "docs" / "api.md"
    print(f"{target}: {'written' if update(target) else 'already current'}")
