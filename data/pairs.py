"""Preference pairs out of a run's rollouts, as `algorithm.pairs` of dpo and rlhf reads them."""

import dataclasses
import json
from pathlib import Path

import pandas

from common.errors import UserError, first_line
from common.files import write_text

COLUMNS = ["problem", "question", "completion", "finish_reason", "reward"]


@dataclasses.dataclass
class Pairs:
    """Pairs of a right and a wrong completion of one problem, and what gave none."""

    rows: list[dict[str, str]]  # problem, question, chosen, rejected
    problems: int = 0  # that gave pairs
    one_sided: int = 0  # problems never right, or never wrong
    unfinished: int = 0  # completions cut off at the greatest length: left out

    def write(self, path: str | Path) -> None:
        """Write the pairs as JSON lines, whole or not at all."""
        write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in self.rows))

    def said(self) -> str:
        """The counts in words."""
        return (
            f"{len(self.rows)} pairs of {self.problems} problems; {self.one_sided} problems were "
            f"never right or never wrong; {self.unfinished} unfinished completions are left out"
        )


def pairs_of_run(run: str | Path, *, per_problem: int = 4) -> Pairs:
    """Right completions against wrong ones of the same problem, over all steps of a run.

    Each text is used once, in the order of steps and places; at most `per_problem` pairs for each
    problem. Raises UserError for a folder without rollouts, or without a single pair.
    """
    if per_problem < 1:
        raise UserError(f"--per-problem must be at least 1, not {per_problem}")
    rows = _rollouts(Path(run))
    finished = rows[rows["finish_reason"] == "stop"]
    found = Pairs([], unfinished=len(rows) - len(finished))
    for (problem, question), group in finished.groupby(["problem", "question"], sort=False):
        texts = group["completion"].str.strip()
        right, wrong = (list(dict.fromkeys(texts[group["reward"] == r])) for r in (1, 0))
        wrong = [text for text in wrong if text not in right]
        pairs = list(zip(right, wrong, strict=False))[:per_problem]
        found.rows += [
            {"problem": str(problem), "question": str(question), "chosen": a, "rejected": b}
            for a, b in pairs
        ]
        found.problems += bool(pairs)
        found.one_sided += not pairs
    if not found.rows:
        raise UserError(f"{run}: no problem has both a right and a wrong completion")
    return found


def _rollouts(run: Path) -> pandas.DataFrame:
    files = sorted((run / "rollouts").glob("step_*.parquet"))
    if not files:
        raise UserError(f"{run}: no rollouts here; a run keeps them with run.save_rollouts = true")
    parts = []
    for file in files:
        try:
            parts.append(pandas.read_parquet(file, columns=COLUMNS))
        except Exception as error:  # pyarrow raises many kinds for a damaged file
            raise UserError(f"{file}: no rollout can be read here ({first_line(error)})") from error
    return pandas.concat(parts, ignore_index=True)
