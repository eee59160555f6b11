"""Answers to the exercises of notebook 02; each replaces the line `answer = None`."""

SOLUTIONS = {
    "2.1": "answer = 256",
    "2.2": "answer = 12.7",
    "2.3": "answer = torch.tensor([48.0, 10.0])",
    "2.4": "answer = W_v @ v + b",
}
