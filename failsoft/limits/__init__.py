"""What every outbound call passes: rate, calls in flight, cool-down."""
