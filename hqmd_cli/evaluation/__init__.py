"""Judge depth: models or folders of predictions, on a dataset, under a protocol."""
