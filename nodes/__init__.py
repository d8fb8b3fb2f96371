"""The explicit nodes of an agent: classify, fallback_classifier, tool, write, retry_tool, wait, human."""
