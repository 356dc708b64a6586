"""What all pages share, those of reports, of the workstation and of an operator: templates, style, units, language."""
