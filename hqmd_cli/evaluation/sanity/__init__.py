"""Tell what is wrong with predictions before they are scored: unit, kind, or the wrong picture."""
