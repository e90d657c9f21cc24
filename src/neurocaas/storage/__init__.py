"""Object store (file://, s3://), key layout, checksums and transfers."""
