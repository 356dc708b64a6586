"""A diagonal cell: every unit keeps a weighted mean of what it took in, with constants for weights.

    g_t = W_g s_t + b_g        i_t = σ(W_i s_t + b_i)        o_t = σ(W_o s_t + b_o)
    c_t = f_t ⊙ c_{t−1} + (1 − f_t) ⊙ (i_t ⊙ g_t)            h_t = o_t ⊙ c_t

Gates on input and output are a choice (`gates`); what is kept is decided by constants alone. So nothing encrypted
multiplies the state: it is one linear map over all frames, whatever their number, and a mean of values cannot leave the
interval that they lie in. A gate f_t made of the frame can, once it is outside of [0, 1].

    memory "mean"     the mean of frames 1 … t, frame s with weight r^(t − s), r = exp(−rate) > 0: f_1 = 0,
                      f_t = r S_{t−1} / S_t with S_t = 1 + r S_{t−1}. With rate 0 the plain mean; a negative rate weighs
                      early frames more. The difference of two such units is the course of a sequence.
    memory "leaky"    from zero, f = sigmoid(rate) for every frame

    levels            gates "none" 1, "input" 2, "output" 3, "both" 3 with linear gates; for any T
                      (LSTM 2 + 3 (T − 1), GRU 1 + 3 (T − 1))

Without a gate on the output the vote takes the state's map over as well, since the two are linear.
Orvieto et al., "Resurrecting Recurrent Neural Networks for Long Sequences", ICML 2023, train such cells.
"""
