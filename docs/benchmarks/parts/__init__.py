"""Parts that the benchmark scripts are put together from."""
