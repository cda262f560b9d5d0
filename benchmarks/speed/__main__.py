"""`python -m benchmarks.speed NAME [--json] [--quick]`: run one bench; without a name, the list.

The last line of stdout is one JSON object; progress goes to stderr.
"""

from __future__ import annotations

import argparse
import json
import sys

from benchmarks.speed.support.harness import BENCHES, run_bench


def main() -> int:
    """Run the bench that the command line names, or list all benches."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description="Measure the speed of negwb.")
    parser.add_argument("name", nargs="?", help="the bench; without it, the list")
    parser.add_argument("--json", action="store_true", help="print nothing but the JSON object")
    parser.add_argument(
        "--quick", action="store_true", help="a smoke test with little work; its figures are not meaningful"
    )
    options = parser.parse_args()
    if options.name is None:
        sys.stdout.write("".join(f"{name:16} {bench.summary}\n" for name, bench in BENCHES.items()))
        return 0
    if options.name not in BENCHES:
        parser.error(f"there is no bench {options.name!r}; the benches are: {', '.join(BENCHES)}")
    result = run_bench(options.name, quick=options.quick)
    if not options.json:
        sys.stdout.write("".join(f"{key:24} {value}\n" for key, value in result.items()))
    sys.stdout.write(json.dumps(result) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
