"""The reference job on every variant, in turn, each run held against the batch."""

import shutil
import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench.broker import Broker, Say
from bench.peers.environments import python_of
from bench.progress import Left, told
from bench.reference.avro import INPUTS, MARGINS, TRIGGERS, Framed
from bench.reference.feed import Feed, Result
from bench.running import Child, Failed, Run, measure
from bench.topics import COMPACTED, Committed, fill, make_topics, read_all, remove_topics, touch_topics
from bench.variants.codecs import COMPILED, FASTAVRO
from schemas.plan import COMPILED as CODEC_IS_BUILT

RUN_SECONDS_MAX = 600.0


class Variant(NamedTuple):
    """A way to run the job: its row in the table, the environment it needs (None: ours), its module and arguments."""

    name: str
    told: str
    peer: str | None
    module: str
    arguments: tuple[str, ...] = ()
    on_embedded: tuple[str, ...] | None = ()
    """Its arguments on the embedded broker, which isolates no transactions; None: it does not run there."""
    share: int = 1
    """It gets one record in so many: its rate is the same from the first minute on, and a round must end some time."""
    has_changelog: bool = False
    """Whether its changelog has to be made for it."""


_FAUST, _QUIX = "bench.peers.faust_job", "bench.peers.quix_job"
_PART, _SHARE = "part.", 5
_ENGINE, _LOOP = "bench.variants.engine", "bench.variants.loop"
_NOT_ISOLATED = ("", "guarantee=at_least_once", "static_membership=false")


def _ours(name: str, told: str, codec: str) -> Variant:
    return Variant(name, told, None, _ENGINE, (codec,), (codec, *_NOT_ISOLATED), has_changelog=True)


def _loop(name: str, told: str, codec: str) -> Variant:
    return Variant(name, told, None, _LOOP, (codec,), (codec, "at-least-once"), has_changelog=True)


VARIANTS = (
    Variant(
        "faust",
        "Faust 0.15.3, at least once",
        "faust",
        _FAUST,
        ("events", _PART),
        ("events", _PART, "embedded"),
        _SHARE,
    ),
    Variant(
        "faust_take",
        "the same, in batches (take)",
        "faust",
        _FAUST,
        ("take", _PART),
        ("take", _PART, "embedded"),
        _SHARE,
    ),
    Variant("quix_at_least_once", "Quix Streams 3.28, at least once", "quix", _QUIX, ("at-least-once",), None),
    Variant("quix", "Quix Streams 3.28, exactly once", "quix", _QUIX, ("exactly-once",), None),
    _ours("throughline", "this engine, wheels alone", FASTAVRO),
    _loop("loop", "a bare loop, wheels alone", FASTAVRO),
    _ours("throughline_compiled", "this engine, compiled", COMPILED),
    _loop("loop_compiled", "a bare loop, compiled codec", COMPILED),
)


class Input:
    """The reference input as bytes, and what must come of it."""

    def __init__(self, brokers: str, records: int) -> None:
        self._brokers = brokers
        feed = Feed(records)
        writes = {topic: Framed(topic).write for topic in INPUTS}
        self._rows = [(topic, row["contract"], writes[topic](row)) for topic, row in feed.rows()]
        self.records = len(self._rows)
        self.expected = feed.result()

    def write(self, prefix: str = "") -> None:
        """Write all of it to topics of a prefix."""
        fill(self._brokers, ((f"{prefix}{topic}", contract, value) for topic, contract, value in self._rows))


class SideBySide:
    """Runs variants on a broker, over one input that was written before."""

    def __init__(self, broker: Broker, folder: Path, input_: Input, say: Say) -> None:
        self._brokers = broker.bootstrap
        self._folder = folder
        self._inputs = {1: input_, _SHARE: Input(self._brokers, input_.records // _SHARE)}
        self._say = say
        self._is_real = broker.is_real
        for share, part in self._inputs.items():
            self._make({f"{_prefix(share)}{topic}": {} for topic in INPUTS})
            part.write(_prefix(share))

    def run(self, variants: Sequence[Variant], rounds: int) -> dict[str, list[Run]]:
        """Run all variants once a round, so that what else the machine does hits all alike; return the runs."""
        if not self._is_real:
            variants = [variant for variant in variants if variant.on_embedded is not None]
        runs: dict[str, list[Run]] = {variant.name: [] for variant in variants}
        pythons = {variant.peer: python_of(variant.peer, self._say) for variant in variants if variant.peer}
        left = Left(rounds * len(variants))
        for number in range(1, rounds + 1):
            for variant in variants:
                python = pythons[variant.peer] if variant.peer else None
                run = self._once(variant, f"{variant.name}-{number}", python)
                runs[variant.name].append(run)
                self._say(f"round {number} of {rounds}, {variant.told:<34} {told(run)}; {left.after_one()}")
        return runs

    def _once(self, variant: Variant, group: str, python: Path | None) -> Run:
        folder = self._folder / group
        folder.mkdir()
        topics: dict[str, Any] = {f"{group}.{kind}": {} for kind in (TRIGGERS, MARGINS)}
        if variant.has_changelog:
            topics[f"{group}.changelog"] = COMPACTED
        self._make(topics)
        committed = Committed(self._brokers, group, [f"{_prefix(variant.share)}{topic}" for topic in INPUTS])
        ends = committed.ends()
        arguments = (
            self._brokers,
            group,
            str(folder),
            *(variant.arguments if self._is_real else variant.on_embedded or ()),
        )
        with Child(
            self._folder / f"{group}.log", variant.module, *arguments, python=python, environment=_environment(variant)
        ) as child:
            run = measure(child, committed, ends, RUN_SECONDS_MAX)
            child.stop()  # one that promises less may have outputs on their way
        committed.close()
        check(self._brokers, group, self._inputs[variant.share].expected)
        if self._is_real:
            remove_topics(self._brokers, group)
        shutil.rmtree(folder)
        return run

    def _make(self, topics: dict[str, Any]) -> None:
        if self._is_real:
            make_topics(self._brokers, topics)
        else:
            touch_topics(self._brokers, topics)


def _environment(variant: Variant) -> dict[str, str]:
    """Wheels alone: without the modules that a C compiler made, where there are some."""
    return {"PURE_PYTHON": "1"} if FASTAVRO in variant.arguments else {}


def _prefix(share: int) -> str:
    return "" if share == 1 else _PART


def check(brokers: str, group: str, expected: Result) -> None:
    """Hold a run's outputs against the batch. Raises `Failed` with the first that differ."""
    faults = []
    read = Framed(TRIGGERS).read
    triggers = [read(message.value() or b"") for message in read_all(brokers, f"{group}.{TRIGGERS}")]
    counts = Counter(trigger["id"] for trigger in triggers)
    faults += [f"trigger {name}: {counts[name]} times" for name in expected.triggers if counts[name] != 1]
    faults += [f"trigger {name} is too much" for name in counts.keys() - expected.triggers.keys()]
    faults += [
        f"trigger {t['id']}: {t['amount']} instead of {expected.triggers[t['id']]}"
        for t in triggers
        if expected.triggers.get(t["id"], t["amount"]) != t["amount"]
    ]
    last = {message.key(): message.value() or b"" for message in read_all(brokers, f"{group}.{MARGINS}")}
    read = Framed(MARGINS).read
    margins = {margin["contract"]: margin for margin in map(read, last.values())}
    faults += [
        f"margin of {contract}: {margins.get(contract)} instead of {margin}"
        for contract, margin in expected.margins.items()
        if margins.get(contract) != margin
    ]
    if faults:
        raise Failed(f"{group}: {len(faults)} outputs differ from the batch:\n  " + "\n  ".join(sorted(faults)[:8]))


def medians(runs: Sequence[Run]) -> dict[str, Any]:
    """Return the median figures of some runs, with all of them."""
    return {
        "events_per_s": round(statistics.median(run.events_per_s for run in runs)),
        "cpu_us_per_event": round(statistics.median(run.cpu_us_per_event for run in runs), 1),
        "rss_mb": round(statistics.median(run.rss_mb for run in runs)),
        "runs": [round(run.events_per_s) for run in runs],
    }


def chosen(names: Sequence[str]) -> Iterator[Variant]:
    """Yield the variants of these names, or all. Raises ValueError for one there is not."""
    unknown = set(names) - {variant.name for variant in VARIANTS}
    if unknown:
        raise ValueError(f"no variant {', '.join(sorted(unknown))}; there are {', '.join(v.name for v in VARIANTS)}")
    there = (variant for variant in VARIANTS if CODEC_IS_BUILT or COMPILED not in variant.arguments)
    return (variant for variant in there if not names or variant.name in names)
