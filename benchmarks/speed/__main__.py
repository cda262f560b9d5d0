"""`python -m benchmarks.speed NAME [--json] [--quick]`: run one bench; without a name, the list.

The last line of stdout is one JSON object; progress goes to stderr.
"""

from __future__ import annotations

import argparse
import json
import sys

from benchmarks.speed.harness import BENCHES, run_bench


def main() -> int:
    """Run the bench that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description="Measure the speed of negwb.")
    parser.add_argument("name", nargs="?", help="the bench; without it, the list")
    parser.add_argument("--json", action="store_true", help="print nothing but the JSON object")
    parser.add_argument("--quick", action="store_true", help="a smoke test: little work, figures that mean little")
    told = parser.parse_args()
    if told.name is None:
        sys.stdout.write("".join(f"{name:10} {bench.about}\n" for name, bench in BENCHES.items()))
        return 0
    if told.name not in BENCHES:
        parser.error(f"no bench {told.name!r}; there are: {', '.join(BENCHES)}")
    result = run_bench(told.name, quick=told.quick)
    if not told.json:
        sys.stdout.write("".join(f"{key:24} {value}\n" for key, value in result.items()))
    sys.stdout.write(json.dumps(result) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
