"""Run the ablation: `python -m benchmarks.ablation data | train | table | rows`."""

from benchmarks.ablation.run import app

if __name__ == "__main__":
    app()
