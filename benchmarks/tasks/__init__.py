"""One file per benchmark: each reads its published file into a `benchmarks.task.Task` and nothing else. Torch-free."""
