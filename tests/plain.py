"""The policy by transformers alone, and the losses by plain float64 loops."""

import copy
import math

import torch

from tests.toys import LINES

LOW, HIGH, CAP, FLOOR = 0.2, 0.28, 1.5, 0.6


class Plain:
    """The policy computed by transformers, one completion at a time, and a loss of plain loops."""

    def __init__(self, policy, rollout, truncated_away=False):
        self.model = copy.deepcopy(policy.model)
        self.model.set_attn_implementation("eager")
        self.parameters = [p for p in self.model.parameters() if p.requires_grad]
        self.rollout = rollout
        self.now, self.entropy, self.reference = {}, {}, {}
        for g, group in enumerate(rollout.completions):
            for i, completion in enumerate(group):
                log_p = self.distribution(g, completion)
                ids = completion.token_ids
                self.now[g, i] = [log_p[t, token] for t, token in enumerate(ids)]
                self.entropy[g, i] = [-(row.exp() * row).sum() for row in log_p]
                with torch.no_grad(), self.model.disable_adapter():
                    base = self.distribution(g, completion)
                self.reference[g, i] = [float(base[t, token]) for t, token in enumerate(ids)]

    def distribution(self, g, completion):
        prompt = self.rollout.prompts[g]
        ids = torch.tensor([[*prompt, *completion.token_ids]])
        return self.model(input_ids=ids).logits[0, len(prompt) - 1 : -1].log_softmax(-1)

    def advantages(self, supervision):
        """`{(g, i): [one a token]}`, by the formulas."""
        found = {}
        for g, rewards in enumerate(self.rollout.rewards.tolist()):
            group = self.rollout.completions[g]
            if supervision == "process":
                steps = []
                for i, completion in enumerate(group):
                    end = completion.token_ids.index(9)
                    first = float(completion.text.startswith(LINES[True]))
                    steps.append([(end, first), (len(completion.token_ids) - 1, rewards[i])])
                flat = [r for one in steps for _, r in one]
                for i, completion in enumerate(group):
                    found[g, i] = [
                        sum(standard(r, flat) for end, r in steps[i] if end >= t)
                        for t in range(len(completion.token_ids))
                    ]
                continue
            shaped = self.rollout.shaped[g].tolist()
            for i, completion in enumerate(group):
                value = standard(shaped[i], shaped) if len(set(rewards)) > 1 else 0.0
                found[g, i] = [value] * len(completion.token_ids)
        return found

    def gradient(self, loss, old, *, beta, bonus, supervision, correction):
        advantages = self.advantages(supervision)
        values, counted, trained = [], 0, 0
        for g, group in enumerate(self.rollout.completions):
            taught = (
                beta
                or bonus
                or any(advantages[g, i] != [0.0] * len(advantages[g, i]) for i in range(3))
            )
            for i, completion in enumerate(group):
                counted += len(completion.token_ids)
                trained += len(completion.token_ids) if taught else 0
                terms = self.terms(
                    loss, (g, i), old[g, i], advantages[g, i], correction, completion
                )
                for t, entropy in enumerate(self.entropy[g, i]):
                    d = self.now[g, i][t] - self.reference[g, i][t]
                    terms[t] = terms[t] + beta * (torch.exp(-d) + d - 1) - bonus * entropy
                values.append(terms)
        if loss in ("grpo", "gspo", "gmpo", "sapo"):
            value = sum(sum(terms) / len(terms) for terms in values) / len(values)
        else:
            size = {"bnpo": trained, "dr_grpo": 24 * len(values)}.get(loss, counted)
            value = sum(sum(terms) for terms in values) / size
        grads = torch.autograd.grad(value, self.parameters, retain_graph=True)
        return torch.cat([g.flatten() for g in grads])

    def terms(self, loss, row, old, advantages, correction, completion):
        now, count = self.now[row], len(old)
        logs = [now[t] - old[t] for t in range(count)]
        terms = []
        for t in range(count):
            a = advantages[t]
            ratio = torch.exp(sum(logs) / count if loss == "gspo" else logs[t])
            if loss == "sapo":
                tau = 1.0 if a > 0 else 1.05
                term = -a * 4 / tau / (1 + torch.exp(-tau * (ratio - 1)))
            elif loss == "gmpo":
                sign = [1 if x > 0 else -1 for x in advantages]
                held = [s * torch.clamp(s * x, max=HIGH) for s, x in zip(sign, logs, strict=True)]
                term = -a * torch.exp(sum(held) / count)
            elif loss == "cispo":
                term = -min(float(ratio.detach()), 1 + HIGH) * a * now[t]
            else:
                term = -torch.minimum(ratio * a, torch.clamp(ratio, 1 - LOW, 1 + HIGH) * a)
            gap = old[t] - completion.logprobs[t]
            weight = max(FLOOR, min(CAP, math.exp(gap))) if correction == "token" else 1.0
            terms.append(weight * term)
        return terms


def standard(x, values):
    if len(set(values)) == 1:
        return 0.0
    mean = sum(values) / len(values)
    return (x - mean) / (math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1)) + 1e-4)
