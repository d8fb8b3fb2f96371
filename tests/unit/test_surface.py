"""What `import failsoft` offers, and that it stays light."""

import subprocess
import sys

import failsoft
from failsoft import errors


def test_the_public_names_do_not_drift() -> None:
    assert failsoft.__all__ == [
        "END", "START", "Budget", "CaseRoute", "Classify", "Event", "Jira", "JiraRoute",
        "Keywords", "Mail", "PagerDuty", "Refusal", "Replies", "ResilientGraph", "Retry",
        "RunState", "Salesforce", "Slack", "Webhook", "__version__", "hours",
    ]  # fmt: skip


def test_each_public_name_resolves() -> None:
    for name in failsoft.__all__:
        assert getattr(failsoft, name) is not None


def test_importing_failsoft_imports_nothing_heavy() -> None:
    code = "import sys, failsoft; print(*sorted(m.split('.')[0] for m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"langgraph", "langchain_core", "psycopg", "pydantic", "httpx2"} & set(
        done.stdout.split()
    )


def test_every_error_is_drawn_in_the_tree_with_a_sentence() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    raised = [kind for kind in kinds if issubclass(kind, errors.FailsoftError)]
    assert len(raised) > 20
    for kind in raised:
        assert kind.__doc__
        assert kind.__name__ in str(errors.__doc__)
