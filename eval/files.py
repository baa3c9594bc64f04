"""What an evaluation writes in its result folder."""

from common.files import Contents

RESULT = Contents(
    command="an evaluation",
    marks=("results.json", "samples.parquet"),
    others=("report.html", "samples_lm_eval.jsonl"),
)
