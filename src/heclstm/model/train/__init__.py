"""What needs PyTorch: the network, the losses, and the way from images and labels to a Model."""
