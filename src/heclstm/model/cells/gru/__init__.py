"""HE-GRU: torch.nn.GRU's cell with polynomials for sigmoid and tanh.

    r = σ(W_r s + b_r + U_r h)    z = σ(W_z s + b_z + U_z h)    n = tanh(W_n s + b_n + r ⊙ (U_n h + c))
    h ← (1 − z) ⊙ n + z ⊙ h

Of the formulations in use, the one that costs the fewest levels. Its reset gate is applied after U_n·h (as in cuDNN and
torch), so that one linear map makes all three of U·h. Before it (Cho et al., 2014), U_n·(r ⊙ h) is a second map, and a
step takes 4 levels with linear gates instead of 3. Without a reset gate (`reset_gate = false`; Ravanelli et al.,
"Light Gated Recurrent Units for Speech Recognition", 2018) it takes 2.

    linear gates, T frames    GRU 1 + 3 (T − 1)    without reset gate 1 + 2 (T − 1)    (LSTM 2 + 3 (T − 1))

The mixture is written as z ⊙ (h − n) + n: one product, and n rides along on its rescale.
"""
