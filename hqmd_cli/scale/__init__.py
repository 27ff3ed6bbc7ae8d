"""Photos by the million: from buckets, tars and Parquet files to the same, in parts that any machine can do."""
