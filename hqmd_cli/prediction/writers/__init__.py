"""One function per kind of file: (path, DepthResult, Style) -> its content, and a remark or an empty string.

None of them writes: `path` names the file in errors, and its suffix chooses between PNG and JPEG.
"""
