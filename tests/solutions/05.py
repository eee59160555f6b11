"""Answers to the exercises of notebook 05; each replaces the line `answer = None`."""

SOLUTIONS = {
    "5.1": "answer = torch.tensor([2, 4, 1])",
    "5.2": "answer = 2 * 256 * (512 + 1)",
    "5.3": "answer = torch.tensor([36.0, 86.0])",
    "5.4": "answer = torch.tensor([-2.0, 0.0])",
    "5.5": "answer = 0.3 * 2 / (0.7 * 0.5 + 0.3 * 2)",
}
