"""Write the tables of severities and milestones into docs/runbook.md; the code is their source."""

from __future__ import annotations

import re
from pathlib import Path

from cbdd.ops.incident import milestones, severity

RUNBOOK = Path(__file__).parents[1] / "docs" / "runbook.md"


def filled(text: str) -> str:
    """The runbook with its tables as the code has them."""
    for name, made in (("areas", severity.to_markdown()), ("milestones", milestones.to_markdown())):
        pattern = rf"(<!-- {name} -->\n).*?(<!-- end of {name} -->)"
        table = made.replace("\\", "\\\\")
        text, count = re.subn(pattern, rf"\g<1>\n{table}\n\g<2>", text, flags=re.DOTALL)
        if count != 1:
            raise SystemExit(f"docs/runbook.md has no place for {name}")
    return text


if __name__ == "__main__":
    RUNBOOK.write_text(filled(RUNBOOK.read_text()))
