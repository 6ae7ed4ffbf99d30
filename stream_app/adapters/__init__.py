"""What touches Kafka and the stream framework on behalf of the pure core."""
