"""The templates of reports."""

from heclstm.templates.rendering import renderer

render = renderer("heclstm.report")
