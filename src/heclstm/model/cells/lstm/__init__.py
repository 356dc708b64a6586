"""HE-LSTM: torch.nn.LSTM's cell with polynomials for sigmoid and tanh."""
