# SPDX-License-Identifier: MIT
"""What a soak has measured: whether it is flat, and the picture of it."""

import csv
import statistics
from dataclasses import dataclass, fields

SPARKS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True)
class Sample:
    """The daemon and its board at one moment between two updates."""

    seconds: float  # since the soak began
    life: int  # how many daemons there were before this one
    age: float  # seconds since this daemon was seen first
    memory_kib: int  # its resident memory
    descriptors: int
    threads: int
    processes: int  # of the whole board
    storage_kib: int  # used on /run and /tmp


@dataclass(frozen=True)
class Limit:
    """What may be more at the end than at the beginning: a share of it, or so much, whichever is more."""

    name: str
    unit: str
    share: float
    least: float


LIMITS = {
    "memory_kib": Limit("memory of the daemon", "KiB", 0.05, 4096),
    "descriptors": Limit("descriptors of the daemon", "", 0, 2),
    "threads": Limit("threads of the daemon", "", 0, 2),
    "processes": Limit("processes of the board", "", 0, 2),
    "storage_kib": Limit("used on /run and /tmp", "KiB", 0.05, 1024),
}


@dataclass(frozen=True)
class Verdict:
    what: str
    flat: bool
    text: str


def _growth(earlier, later, limit):
    """(flat, text) of two sets of values."""
    first, last = statistics.median(earlier), statistics.median(later)
    allowed = max(limit.least, limit.share * first)
    text = f"{first:,.0f} → {last:,.0f} {limit.unit}".rstrip()
    return last - first <= allowed, f"{text} ({last - first:+,.0f}, at most {allowed:+,.0f})"


def judge(samples, warm_up):
    """Within the longest life and from the first life to the last; what a daemon does in its first seconds is no growth."""
    warm = [sample for sample in samples if sample.age >= warm_up]
    lives = {}
    for sample in warm:
        lives.setdefault(sample.life, []).append(sample)
    lives = {life: of_life for life, of_life in lives.items() if len(of_life) >= 4}
    if not lives:
        return [Verdict("samples", False, f"expected a daemon that lives {warm_up:.0f} s and more, found none")]
    longest = max(lives.values(), key=lambda of_life: of_life[-1].age)
    verdicts = []
    for name, limit in LIMITS.items():
        values = [getattr(sample, name) for sample in longest]
        part = max(2, len(values) // 3)
        flat, text = _growth(values[:part], values[-part:], limit)
        verdicts.append(Verdict(limit.name, flat, f"{text} in the {longest[-1].age:.0f} s of one daemon"))
        if len(lives) > 1:
            first, *_, last = lives.values()
            # The same age, so that a long life is not compared with a short one.
            age = min(first[-1].age, last[-1].age)
            flat, text = _growth(
                [getattr(sample, name) for sample in first if sample.age <= age],
                [getattr(sample, name) for sample in last if sample.age <= age],
                limit,
            )
            verdicts.append(Verdict(limit.name, flat, f"{text} from the first daemon to the last of {len(lives)}"))
    return verdicts


def sparks(values, width=72):
    """A line of blocks; each is the median of what falls into it."""
    low, high = min(values), max(values)
    blocks = []
    for column in range(min(width, len(values))):
        part = (
            values[column * len(values) // width : max(1, (column + 1) * len(values) // width)]
            if len(values) > width
            else [values[column]]
        )
        level = 0 if high == low else (statistics.median(part) - low) / (high - low)
        blocks.append(SPARKS[round(level * (len(SPARKS) - 1))])
    return "".join(blocks)


def write_csv(samples, path):
    with open(path, "w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        names = [field.name for field in fields(Sample)]
        writer.writerow(names)
        writer.writerows([getattr(sample, name) for name in names] for sample in samples)


def write_svg(samples, path):
    """One curve for each value, from nothing to its most, over the time; a line wherever a new daemon began."""
    width, height, left, gap = 900, 110, 60, 34
    end = max(sample.seconds for sample in samples) or 1
    parts = []

    def x(seconds):
        return left + (width - left - 20) * seconds / end

    births = {}
    for sample in samples:
        births.setdefault(sample.life, sample.seconds)
    for row, (name, limit) in enumerate(LIMITS.items()):
        top = 30 + row * (height + gap)
        values = [getattr(sample, name) for sample in samples]
        most = max(values) or 1
        points = " ".join(
            f"{x(sample.seconds):.1f},{top + height - height * value / most:.1f}"
            for sample, value in zip(samples, values, strict=True)
        )
        parts.append(
            f'<text x="{left}" y="{top - 8}">{limit.name}: {min(values):,} to {max(values):,} {limit.unit}</text>'
            f'<path d="M{left} {top}V{top + height}H{width - 20}" fill="none" stroke="#888"/>'
            f'<polyline points="{points}" fill="none" stroke="#0b62a8" stroke-width="1.5"/>'
        )
        parts.extend(
            f'<path d="M{x(seconds):.1f} {top}v{height}" stroke="#d0a000" stroke-dasharray="3 3"/>'
            for life, seconds in births.items()
            if life
        )
    total = 30 + len(LIMITS) * (height + gap)
    parts.append(
        f'<text x="{left}" y="{total}">{end / 60:.0f} minutes; dashed: the board was started by an update</text>'
    )
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {total + 12}" font-family="sans-serif" '
        f'font-size="13">{"".join(parts)}</svg>\n',
        encoding="utf-8",
    )
