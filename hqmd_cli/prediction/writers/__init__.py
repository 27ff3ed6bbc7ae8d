"""One function per kind of file: (path, DepthResult, Style) -> a remark about the file, or an empty string."""
