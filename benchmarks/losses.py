"""`python benchmarks/losses.py`: our losses and TRL's own trainer on the same tensors.

TRL's `GRPOTrainer._compute_loss` is given random log-probs, masks and advantages in float64 (ratios
away from 1, clipping on both sides, a KL term), and so is ours. Prints the largest difference in
value and gradient of each loss that both have. TRL is installed into `.venv-peers` where it is missing.
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])  # not this folder: its sampling.py is not the room

import torch

from benchmarks.memory import trl_trainer
from benchmarks.peers import use_peers
from train.losses import LOSSES, policy_loss

ROWS, TOKENS, LOW, HIGH, BETA = 8, 12, 0.2, 0.28, 0.05


def main() -> None:
    draw = torch.Generator().manual_seed(0)

    def noise() -> torch.Tensor:
        return torch.randn(ROWS, TOKENS, generator=draw, dtype=torch.float64)

    old = -noise().abs()
    new, ref = old + 0.3 * noise(), old + 0.2 * noise()
    advantages = torch.randn(ROWS, generator=draw, dtype=torch.float64)
    mask = torch.arange(TOKENS)[None] < torch.randint(1, TOKENS + 1, (ROWS, 1), generator=draw)
    trainer = trl_trainer(vocabulary=768, rows=ROWS)
    trainer.epsilon_low, trainer.beta, trainer.max_completion_length = LOW, BETA, TOKENS
    trainer.args.use_bias_correction_kl = False  # its KL times the ratio; ours is plain k3
    trainer.model.train()
    print(
        f"clipped tokens: {int(((new - old).exp().clamp(1 - LOW, 1 + HIGH) != (new - old).exp())[mask].sum())} of {int(mask.sum())}"
    )
    for loss in (name for name in LOSSES if name != "gmpo"):  # TRL has none
        trainer.loss_type = "grpo" if loss == "gspo" else loss
        trainer.importance_sampling_level = "sequence" if loss == "gspo" else "token"
        trainer.epsilon_high = 1 + HIGH if loss == "cispo" else HIGH  # TRL's is the bound itself
        theirs = new.clone().requires_grad_()
        trainer._get_per_token_logps_and_entropies = lambda *_, x=theirs, **__: (
            x,
            torch.zeros_like(x),
            None,
        )
        value = trainer._compute_loss(
            trainer.model,
            {
                "prompt_ids": torch.ones(ROWS, 2, dtype=torch.long),
                "prompt_mask": torch.ones(ROWS, 2, dtype=torch.long),
                "completion_ids": torch.ones(ROWS, TOKENS, dtype=torch.long),
                "completion_mask": mask.long(),
                "advantages": advantages,
                "old_per_token_logps": old,
                "ref_per_token_logps": ref,
                "num_items_in_batch": mask.sum().double(),
            },
        )
        value.backward()
        ours = new.clone().requires_grad_()
        out = policy_loss(
            ours, old, advantages, mask, ref_logprobs=ref, loss=loss, epsilon=LOW,
            epsilon_high=HIGH, beta=BETA, kl="k3", max_tokens=TOKENS,
        )  # fmt: skip
        out.loss.backward()
        print(
            f"{loss:<8} ours {out.loss.item():+.9f}, TRL {value.item():+.9f}, difference "
            f"{abs(out.loss.item() - value.item()):.1e}, of the gradient "
            f"{float((ours.grad - theirs.grad)[mask].abs().max()):.1e}"
        )


if __name__ == "__main__":
    use_peers("trl")
    main()
