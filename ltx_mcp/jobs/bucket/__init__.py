"""Films and inputs in a bucket, where several servers without a common disk find them."""
