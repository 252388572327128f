"""List the benchmarks, or run one: `python -m benchmarks [NAME [OPTION ...]]`."""

import runpy
import sys

BENCHMARKS = {
    "gpu": "everything on a machine with a GPU, in one command of 8 minutes that can be resumed",
    "start": "CPU seconds and peak memory of whole commands, beside an older commit",
    "latency": "seconds, images/s and peak memory of each network, as opened and in plain eager float32",
    "flops": "FLOPs of each network, and the share of a core's float32 peak at which it runs",
    "precision": "CPU seconds of scene networks in turns, and what bfloat16 changes in their people",
    "indexing": "images/s of indexing beside the bare network on pictures in memory",
    "distributed": "pictures/s of indexing by 1 and 2 workers of a Ray cluster in turns",
    "growth": "CPU seconds and bytes of indexing, updating and searching as a gallery grows",
    "search": "time of a search beside one pass over the gallery; recall of float16 storage and of the vector index",
    "vector_index": "recall and CPU time of the vector index beside the exact search, on embeddings of people",
    "service": "time of searches over HTTP, one client and 16 at once",
    "asking": "gain and cost of re-ranking and of several pictures; groups of people without a query",
    "bundled": "accuracy and speed of the bundled model beside two public networks",
    "small_people": "false matches and misses by the people's height, at the model's threshold",
    "spells": "purity and completeness of a video's spells, and different people in the top 10",
    "calibration": "how often the bundled model's threshold errs, by height of the person",
    "ablation": "every comparison of the five papers, trained at one small size",
}


def main(arguments: list[str]) -> int:
    """Run the benchmark that the first argument names, with the others as its options; without arguments, print the list.

    Returns:
        Exit code: 2 for an unknown name.
    """
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage())
        return 0
    name, *options = arguments
    if name not in BENCHMARKS:
        print(f"error: unknown benchmark {name!r}\n{usage()}", file=sys.stderr)
        return 2
    sys.argv = [name, *options]
    runpy.run_module(f"benchmarks.{name}", run_name="__main__")
    return 0


def usage() -> str:
    """How to run a benchmark, and a line for each."""
    lines = [f"  {name:14}{measures}" for name, measures in BENCHMARKS.items()]
    return "\n".join(["usage: python -m benchmarks NAME [OPTION ...]   (NAME --help prints its options)", *lines])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
