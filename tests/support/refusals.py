"""What a workflow says of inputs that it can't use: of many in one process, since starting one takes long."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.workflows import defaults

# Runs in the analysis' own environment, in its folder. A bug shows as the name of its exception.
RUN = """
import json, sys
from pathlib import Path
from job import Failure, Job
from {module} import main
cases, said = json.load(sys.stdin), {{}}
for name, case in cases.items():
    results = Path(case["results"])
    inputs = {{one: Path(path) for one, path in case["inputs"].items()}}
    try:
        main(Job(inputs=inputs, config=case["config"], results=results, seed=0, memory_mib=2048))
        said[name] = "done"
    except Failure as failure:
        said[name] = str(failure)
    except Exception as error:
        said[name] = f"{{type(error).__name__}}: {{error}}"
print("\\n" + json.dumps(said))
"""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A run. config: what is not the default."""

    inputs: Mapping[str, Path]
    config: Mapping[str, Any] = field(default_factory=dict)


def said_of(python: Path, analysis: Path, cases: Mapping[str, Case], folder: Path, module: str = "workflow") -> Any:
    """What the workflow (`main` of the module) said of each case: its sentence, or "done", or an exception's name.

    Asserts that nothing is left in the results of what was refused.
    """
    asked = {}
    for number, (name, case) in enumerate(cases.items()):
        results = folder / f"results-{number}"
        results.mkdir()
        inputs = {key: str(path) for key, path in case.inputs.items()}
        asked[name] = {"inputs": inputs, "config": defaults(analysis) | dict(case.config), "results": str(results)}
    variables = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "TMPDIR": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    answer = subprocess.run(
        [str(python), "-c", RUN.format(module=module)],
        input=json.dumps(asked), capture_output=True, text=True, cwd=analysis, env=variables, check=False,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    said: dict[str, str] = json.loads(answer.stdout.splitlines()[-1])
    for name, sentence in said.items():
        assert sentence == "done" or not any(Path(asked[name]["results"]).iterdir()), name
    return said
