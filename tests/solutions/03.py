"""Answers to the exercises of notebook 03; each replaces the line `answer = None`."""

SOLUTIONS = {
    "3.1": "answer = 0.25",
    "3.2": "answer = 1.5",
    "3.3": "answer = torch.tensor([9.0, 28.0])",
    "3.4": "answer = 1 / 900",
    "3.5": "answer = torch.tensor([0.0, 0.0])",
}
