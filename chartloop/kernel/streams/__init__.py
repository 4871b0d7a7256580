"""The bus over a stream of somebody else's: Kafka or Kinesis carries what the outbox holds."""
