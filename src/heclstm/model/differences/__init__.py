"""Channels that show how a frame differs from the others of its sequence, beside those of the frame itself.

    mean       x_t − x̄, the deviation from the mean of all frames
    first      x_t − x_1
    previous   x_t − x_(t−1), and zero for the first frame
    trend      the least-squares slope of all frames, times T − 1: the change over the sequence, the same in each frame

Behind one normalization a convolution sees the level of a picture only, if the level varies more between patients than
within one. So each of these channels is standardized by itself. All are linear over frames, hence they are folded into
the first convolution: no level.
"""
