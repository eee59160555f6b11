"""Answers to the exercises of notebook 06; each replaces the line `answer = None`."""

SOLUTIONS = {
    "6.1": "answer = 4 * 128 ** 4 / 2 ** 30",
    "6.2": "answer = torch.tensor([0.5, 0.5])",
    "6.3": "answer = torch.tensor([[0.0, 0.0], [30.0, 40.0]])",
    "6.4": "answer = torch.tensor([0.5, 2 * (0.5 + 0.0 + 0.5)])",
    "6.5": "answer = 1 / (1 + torch.exp(-0.02 / torch.tensor([0.01, 1.0])))",
}
