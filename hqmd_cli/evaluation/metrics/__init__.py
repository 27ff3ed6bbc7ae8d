"""Every metric: pure functions on arrays, and the registry that names them."""
