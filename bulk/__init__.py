"""`tfleet score`: rows and images in bulk, from files to Parquet files, without a server."""
