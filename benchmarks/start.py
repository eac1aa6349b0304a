"""What does it cost to start `cssync --help`, against importing click alone? Run by hand: `uv run benchmarks/start.py`.

Prints CPU seconds (user + system of the child, median of the rounds, taken in turn) and their ratio. Aim: at most 1.5.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys

ROUNDS = 15
COMMANDS = {
    "python -c 'import click'": [sys.executable, "-c", "import click"],
    "cssync --help": [sys.executable, "-m", "cssync", "--help"],
}


def cpu(command: list[str]) -> float:
    """Return the CPU seconds that one run of the command took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure and print."""
    taken: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(ROUNDS):
        for name, command in COMMANDS.items():
            taken[name].append(cpu(command))
    medians = {name: statistics.median(values) for name, values in taken.items()}
    floor = next(iter(medians.values()))
    for name, seconds in medians.items():
        print(f"{name:28} {seconds * 1000:7.1f} ms CPU   {seconds / floor:5.2f} x floor")


if __name__ == "__main__":
    main()
