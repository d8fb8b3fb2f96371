"""The HTTP side: doors that Slack and mail gateways call, answers of people, health."""
