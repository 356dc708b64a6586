"""Hypothesis strategies for layouts that are small enough to check by a dense product."""

from hypothesis import strategies as st

from heclstm.circuit.layout import ImageLayout, ResultLayout, VectorLayout, power_of_two


@st.composite
def image_layouts(draw, slots, frames):
    """Odd sizes, gaps that are no powers of two, and rows and columns with room to spare."""
    height, width = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    gap_y, gap_x = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    rows = power_of_two(height * gap_y) << draw(st.integers(0, 1))
    columns = power_of_two(width * gap_x) << draw(st.integers(0, 1))
    return ImageLayout(slots, frames, draw(st.integers(1, 5)), height, width, rows, columns, gap_y, gap_x)


def vector_layouts(slots, frames):
    return st.integers(1, 9).map(lambda length: VectorLayout(slots, frames, length))


def layouts(slots, frames):
    """All kinds; with these slots an image takes one ciphertext or many."""
    return st.one_of(image_layouts(slots, frames), vector_layouts(slots, frames))


def result_layouts(slots):
    """Of at most 3 · (1 + 4) features."""
    return st.builds(ResultLayout, st.just(slots), st.just(1), st.integers(1, 3), st.integers(1, 4))


slot_counts = st.sampled_from([16, 32, 64, 256])
frame_counts = st.integers(1, 5)
