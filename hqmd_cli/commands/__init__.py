"""Commands are thin: parse, call the library, print. Whatever is heavy is imported inside the function."""
