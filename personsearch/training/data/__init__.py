"""Training data: data sets, batches and their changes."""
