"""FFmpeg's filters, through PyAV."""

from __future__ import annotations

import av
from av.filter import Graph


class Filter:
    """One filter; it is set up anew where the pictures change in size or format."""

    def __init__(self, name: str, arguments: str | None = None) -> None:
        self._name, self._arguments = name, arguments
        self._graph: Graph | None = None
        self._kind: tuple[int, int, str] | None = None

    def put(self, picture: av.VideoFrame) -> list[av.VideoFrame]:
        """Push a picture; returns those that are finished."""
        kind = (picture.width, picture.height, picture.format.name)
        before: list[av.VideoFrame] = []
        if kind != self._kind:
            before = self.end()
            self._graph, self._kind = chain_of(picture, (self._name, self._arguments)), kind
        assert self._graph is not None
        self._graph.vpush(picture)
        return before + pulled(self._graph)

    def end(self) -> list[av.VideoFrame]:
        """What is still inside."""
        if self._graph is None:
            return []
        graph, self._graph, self._kind = self._graph, None, None
        graph.vpush(None)
        return pulled(graph)


def chain_of(like: av.VideoFrame, *filters: tuple[str, str | None], palette: int = 0) -> Graph:
    """A graph of filters one after the other, for pictures of one kind.

    Args:
        palette: colours to reduce the pictures to, chosen after the last one of them; 0 for all.
    """
    graph = Graph()
    source = graph.add_buffer(
        width=like.width, height=like.height, format=like.format, time_base=like.time_base
    )
    nodes = [source, *(graph.add(name, arguments) for name, arguments in filters)]
    if palette:
        split, use = graph.add("split"), graph.add("paletteuse", "dither=bayer")
        colours = graph.add("palettegen", f"max_colors={palette}")
        graph.link_nodes(*nodes, split)
        split.link_to(use, 0, 0)
        split.link_to(colours, 1, 0)
        colours.link_to(use, 0, 1)
        nodes = [use]
    graph.link_nodes(*nodes, graph.add("buffersink")).configure()
    return graph


def pulled(graph: Graph) -> list[av.VideoFrame]:
    """The pictures that are finished."""
    out = []
    while True:
        try:
            out.append(graph.vpull())
        except (av.BlockingIOError, EOFError):  # it wants more, or has seen all
            return out
