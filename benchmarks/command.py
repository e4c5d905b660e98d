"""Shared by the benchmarks' commands: options, alternating runs, tables, JSON."""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks import cpus
from benchmarks.clients import programs
from benchmarks.servers import ASYNC_SOURCES, KINDS, present

# Those that publish to a channel or something like it.
ALL = tuple(name for name in KINDS if name not in ASYNC_SOURCES)


@dataclass(frozen=True)
class Column:
    """A column of the table."""

    title: str
    digits: int = 2
    has_ratio: bool = False
    """Whether it is compared with the first server."""

    def cell(self, values, base):
        """Return median, lowest and highest, and the median ratio to the first in the same run."""
        text, low, high = (
            f"{value:.{self.digits}f}"
            for value in (statistics.median(values), min(values), max(values))
        )
        if low != high:
            text += f" ({low} to {high})"
        if self.has_ratio and values is not base:
            ratios = [b / a for a, b in zip(base, values, strict=True) if a]
            text += f", {statistics.median(ratios):.2f} x" if ratios else ""
        return text


def machine():
    """Describe the machine and the versions on which the figures depend."""
    kernel = ".".join(platform.release().split(".")[:2])
    python = platform.python_version()
    return (
        f"{platform.machine()}, {os.cpu_count()} CPUs ({cpus.described()}), Linux {kernel},"
        f" Python {python}"
    )


def raise_limit():
    """Raise the limit of descriptors to the hard limit, for children too, and return it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def arguments(doc, *, clients, runs, servers, choices):
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=runs, help=f"default {runs}")
    parser.add_argument("--clients", type=int, default=clients, help=f"default {clients}")
    parser.add_argument(
        *("--servers", "-s"), nargs="+", choices=choices, default=servers, metavar="NAME",
        help=f"some of {', '.join(choices)}; default: {', '.join(servers)}",
    )  # fmt: skip
    parser.add_argument("--no-pin", action="store_true", help="let the system choose the CPUs")
    parser.add_argument("--json", type=Path, help="write the figures of all runs to this file")
    return parser.parse_args()


def main(
    doc, measure, columns, *, kinds=KINDS, clients=5000, runs=3, servers=ALL, choices=ALL, pin=True
):
    """
    Measure servers in turn, several times, and print a table.

    Args:
        doc: Description of the benchmark.
        measure: Takes a folder, a kind of server and the number of clients; returns a figure for
            each column.
        columns: The table's columns.
        kinds: Kinds of servers, by name.
        clients: Default number of clients.
        runs: Default number of runs.
        servers: Names of the default servers.
        choices: Servers that the command line may name.
        pin: Whether server and clients run on separate CPUs.

    """
    given = arguments(doc, clients=clients, runs=runs, servers=servers, choices=choices)
    # Servers reserve some descriptors; sse-sync a tenth, at most a thousand.
    most = raise_limit()
    if pin and not given.no_pin:
        cpus.pin()
    limit = most - min(most // 10, 1000) - 100
    names = present(kinds, given.servers)
    counts = {name: min(given.clients, kinds[name].most, limit) for name in names}
    results = {name: [] for name in names}
    with programs() as folder:
        for run in range(given.runs):
            for name in names if run % 2 else names[::-1]:
                results[name].append(measure(folder, kinds[name], counts[name]))
                print(f"run {run + 1}, {name}: {results[name][-1]}", file=sys.stderr)
    show(results, columns, counts, given)
    if given.json:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        found = {"machine": machine(), "clients": counts, "results": results}
        given.json.write_text(json.dumps(found, indent=1) + "\n")


def show(results, columns, counts, given):
    """Print a table."""
    print(f"{machine()}; {given.clients} clients; median of {given.runs} (lowest to highest)\n")
    print(f"| server | {' | '.join(column.title for column in columns.values())} |")
    print(f"|---|{'---|' * len(columns)}")
    first = next(iter(results.values()))
    for name, measured in results.items():
        cells = []
        for key, column in columns.items():
            base = [each.get(key) for each in first]
            values = base if measured is first else [each.get(key) for each in measured]
            cells.append("-" if None in values else column.cell(values, base))
        few = "" if counts[name] == given.clients else f", {counts[name]} clients"
        print(f"| {name}{few} | {' | '.join(cells)} |")
