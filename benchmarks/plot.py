"""
Plot all servers' CPU time per delivered event, from the figures of :mod:`benchmarks.fanout`.

    python -m benchmarks.fanout --json build/benchmarks/fanout.json
    python -m benchmarks.plot build/benchmarks/fanout.json benchmarks/fanout.svg
"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path

LEFT, WIDTH, ROW, TOP = 190, 480, 30, 62
NAMES = {
    "floor": "floor in C",
    "handoff-gevent": "sse-sync, GeventWorker",
    "handoff-threads": "sse-sync, ThreadWorker",
    "channel": "sse-sync, -k gevent",
    "hand": "by hand, -k gevent",
}
STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #1f2328 }
  .title { font-size: 15px; font-weight: 600 }
  .small { font-size: 11.5px; fill: #59636e }
  .name { text-anchor: end }
  rect { fill: #8c959f } .ours { fill: #1a7f37 } .floor { fill: #0969da }
  line { stroke: #1f2328 }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc } .small { fill: #9198a1 } line { stroke: #f0f6fc }
    rect { fill: #6e7681 } .ours { fill: #3fb950 } .floor { fill: #58a6ff }
  }
"""


def bar(at, name, values, scale):
    """Return a server's bar, with a line from its lowest to its highest figure."""
    y, middle = TOP + at * ROW, TOP + at * ROW + 10
    median, low, high = statistics.median(values), min(values) * scale, max(values) * scale
    title = NAMES.get(name, name)
    kind = "ours" if title.startswith("sse-sync") else name
    width = median * scale
    after = LEFT + max(high, width) + 8
    return (
        f'<text class="name" x="{LEFT - 10}" y="{y + 15}">{title}</text>\n'
        f'<rect class="{kind}" x="{LEFT}" y="{y}" width="{width:.1f}" height="20" rx="2"/>\n'
        f'<line x1="{LEFT + low:.1f}" x2="{LEFT + high:.1f}" y1="{middle}" y2="{middle}"/>\n'
        f'<text x="{after:.1f}" y="{y + 15}">{median:.1f}</text>\n'
    )


def draw(found):
    """Return the picture."""
    servers = {
        name: [each["one"] for each in measured] for name, measured in found["results"].items()
    }
    servers = dict(sorted(servers.items(), key=lambda item: statistics.median(item[1])))
    scale = WIDTH / max(max(values) for values in servers.values())
    width, height = LEFT + WIDTH + 60, TOP + len(servers) * ROW + 12
    runs = len(next(iter(servers.values())))
    count = max(found["clients"].values())
    bars = "".join(
        bar(at, name, values, scale) for at, (name, values) in enumerate(servers.items())
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"'
        f' width="{width}" height="{height}" role="img" aria-labelledby="title">\n'
        f"<style>{STYLE}</style>\n"
        '<text class="title" id="title" x="10" y="22">'
        "Server CPU, in microseconds per event and client: less is better</text>\n"
        f'<text class="small" x="10" y="42">{count:,} clients, events of 120 bytes; median of'
        f" {runs}, and lowest to highest. {found['machine']}</text>\n"
        f"{bars}</svg>\n"
    )


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    target.write_text(draw(json.loads(source.read_text())))
