"""Slack to Jira: classify a message, open one ticket, answer in the thread."""
