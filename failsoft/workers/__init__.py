"""What drives runs: dispatcher, sweeper, outbox, poison isolation."""
