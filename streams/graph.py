"""The topology as a picture: text for a terminal, Mermaid for a page."""

from collections.abc import Sequence, Set

from streams.step import Step
from streams.topics import TOPICS, Role


def as_text(steps: Sequence[Step]) -> str:
    """Return the steps with what they read and write, one block each."""
    blocks = []
    written = {topic for step in steps for topic in step.writes}
    for step in steps:
        lines = [f"{step.name}  (keyed by {step.key})"]
        lines += [f"    <- {topic}" for topic in _grouped(step.reads, written)]
        lines += [f"    -> {topic}" for topic in step.writes]
        lines += [f"    remembers {', '.join(sorted(step.remembers)) or 'nothing'}"]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n"


def as_mermaid(steps: Sequence[Step]) -> str:
    """Return the graph of steps and topics in Mermaid's flowchart language."""
    lines = ["flowchart LR"]
    topics: dict[str, None] = {}
    edges = []
    written = {topic for step in steps for topic in step.writes}
    for step in steps:
        lines.append(f"    {step.name}[{step.name}]")
        for topic in _grouped(step.reads, written):
            topics.setdefault(topic)
            edges.append(f"    {_node(topic)} --> {step.name}")
        for topic in step.writes:
            topics.setdefault(topic)
            edges.append(f"    {step.name} --> {_node(topic)}")
    lines += [f"    {_node(topic)}([{topic}])" for topic in topics]
    return "\n".join([*lines, *edges]) + "\n"


def _grouped(reads: Sequence[str], written: Set[str]) -> list[str]:
    """Return topics with those of one source as one entry; what a step writes is no source."""
    grouped: dict[str, None] = {}
    for topic in reads:
        known = TOPICS.get(topic)
        source = topic not in written and (known is None or known.role is Role.SOURCE)
        grouped.setdefault(f"{topic.split('.', 1)[0]}.*" if source else topic)
    return list(grouped)


def _node(topic: str) -> str:
    return topic.replace(".", "_").replace("*", "all")
