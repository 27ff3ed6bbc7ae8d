"""Results for people: tables, comparisons, published figures, and descriptions of models."""
