"""Every comparison of the papers, trained at one small size: `python -m benchmarks.ablation`."""
