"""Small analyses in bash that are chained and ensembled in tests."""

from __future__ import annotations

from typing import Any

from support.sites import TestSite

UPPER = 'tr a-z A-Z < "$NEUROCAAS_INPUT_DATA" > "$NEUROCAAS_RESULTS/upper.txt"'
COUNT = """
size=$(sed 's/[^0-9]//g' "$NEUROCAAS_CONFIG")
head -c $size "$NEUROCAAS_INPUT_DATA" > "$NEUROCAAS_RESULTS/head.txt"
echo "{\\"letters\\": $size}" > "$NEUROCAAS_RESULTS/summary.json"
"""
COUNTED: dict[str, Any] = {
    "outputs": {
        "head": {"kind": "txt", "pattern": "head.txt"},
        "summary": {"kind": "json", "pattern": "summary.json"},
    },
    "metrics": {"letters": {"output": "summary", "pointer": "/letters", "title": "Letters", "better": "higher"}},
}
# The member whose seed leaves 1 when divided by $MOD fails, and says so.
MEMBER = """
if [ $((NEUROCAAS_SEED % MOD)) = 1 ]; then
    echo "failure Seed $NEUROCAAS_SEED did not converge." > "$NEUROCAAS_REPORT"
    exit 1
fi
echo "$NEUROCAAS_SEED" > "$NEUROCAAS_RESULTS/estimate.txt"
"""
CONSENSUS = (
    'cat "$NEUROCAAS_INPUT_MEMBERS"/*/estimate.txt | sort -n | tr "\\n" " " > "$NEUROCAAS_RESULTS/consensus.txt"'
)


def declare_chain(site: TestSite) -> None:
    """`both`: a text in upper case, then the first letters of that."""
    site.analysis("upper", UPPER, outputs={"upper": {"kind": "txt", "pattern": "upper.txt"}})
    site.analysis("count", COUNT, **COUNTED)
    steps = [{"name": "upper", "analysis": "upper"}, {"name": "count", "analysis": "count"}]
    site.composite("both", kind="chain", steps=steps)


def declare_ensemble(site: TestSite, modulus: int) -> None:
    """`ensemble`: nine members, seven needed; those fail whose seed leaves 1 when divided by the modulus."""
    site.analysis(
        "member", MEMBER.replace("MOD", str(modulus)), outputs={"estimate": {"kind": "txt", "pattern": "estimate.txt"}}
    )
    site.analysis(
        "agree",
        CONSENSUS,
        inputs={"members": {"title": "Members", "form": "folder"}},
        outputs={"consensus": {"kind": "txt", "pattern": "consensus.txt"}},
    )
    site.composite(
        "ensemble",
        kind="ensemble",
        members=9,
        succeed=7,
        member={"analysis": "member"},
        consensus={"analysis": "agree", "inputs": {"members": "member.estimate"}},
    )
