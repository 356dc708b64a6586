"""The templates of the page, which also place those of a report."""

from heclstm.templates.rendering import renderer

render = renderer("heclstm.page", "heclstm.report")
