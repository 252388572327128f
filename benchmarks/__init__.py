"""What the package measures of itself; `python -m benchmarks` lists and runs the benchmarks."""
