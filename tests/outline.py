"""The tags and words of a page, for tests of pages."""

from __future__ import annotations

from html.parser import HTMLParser


class Outline(HTMLParser):
    """Collects what a browser would see.

    Args:
        page: HTML.

    Attributes:
        tags: names and attributes, in their order.
        text: what stands between them, in their order.
    """

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def of(self, name: str) -> list[dict[str, str | None]]:
        """Return the attributes of every tag of a name."""
        return [attributes for tag, attributes in self.tags if tag == name]

    @property
    def words(self) -> str:
        """All text, with single spaces."""
        return " ".join("".join(self.text).split())
