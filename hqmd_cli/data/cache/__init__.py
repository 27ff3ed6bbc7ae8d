"""Cache of decoded pictures, shared by runs and processes."""
