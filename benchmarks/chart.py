"""A picture of profiles: for each tunnel a bar as long as its CPU time, cut by kind of work."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from benchmarks.profile import ORDER, Profile

WIDTH, LEFT, RIGHT = 860, 210, 60
ROW, BAR, TOP = 46, 28, 86
COLOURS = ("#4477aa", "#66ccee", "#228833", "#ccbb44", "#ee6677", "#aa3377", "#bbbbbb", "#ee8866")
"""Told apart by the colour-blind too."""
LEAST_LABEL_PX = 26
TEXT = 'font-family="sans-serif" font-size="12" fill="#222222"'


def draw(profiles: Mapping[str, Profile]) -> str:
    """Return the picture as SVG."""
    longest = max(profile.cpu_s_per_gb for profile in profiles.values())
    scale = (WIDTH - LEFT - RIGHT) / longest
    height = TOP + ROW * len(profiles) + 10
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        "<title>CPU seconds for a gigabyte of TCP payload, by kind of work</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        _text(10, 20, "CPU seconds of both tunnel ends for 10^9 octets of TCP payload, by kind of work"),
        *_legend(),
    ]
    for number, (name, profile) in enumerate(profiles.items()):
        parts += _bar(name, profile, TOP + number * ROW, scale)
    return "\n".join([*parts, "</svg>", ""])


def _legend() -> list[str]:
    parts = []
    for number, (kind, colour) in enumerate(zip(ORDER, COLOURS, strict=True)):
        x, y = 10 + number % 4 * 210, 32 + number // 4 * 20
        parts += [
            f'<rect x="{x}" y="{y}" width="12" height="12" fill="{colour}"/>',
            _text(x + 18, y + 11, kind),
        ]
    return parts


def _bar(name: str, profile: Profile, y: int, scale: float) -> list[str]:
    parts = [_text(10, y + BAR / 2 + 4, name)]
    x = float(LEFT)
    for kind, colour in zip(ORDER, COLOURS, strict=True):
        seconds = profile.shares[kind] * profile.cpu_s_per_gb
        width = seconds * scale
        title = f"<title>{escape(kind)}: {seconds:.2f} s/GB</title>"
        box = f'x="{x:.1f}" y="{y}" width="{width:.1f}" height="{BAR}" fill="{colour}"'
        parts.append(f"<rect {box}>{title}</rect>")
        if width >= LEAST_LABEL_PX:
            parts.append(_text(x + width / 2, y + BAR / 2 + 4, f"{seconds:.2f}", 'text-anchor="middle"'))
        x += width
    return [*parts, _text(x + 8, y + BAR / 2 + 4, f"{profile.cpu_s_per_gb:.2f}", 'font-weight="bold"')]


def _text(x: float, y: float, text: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {TEXT} {more}>{escape(text)}</text>'
