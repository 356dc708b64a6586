"""A diagnosis → DICOM objects that a PACS keeps beside its study: all of it happens in the hospital.

study       which frames of which images were used, and whose they are, from the headers of the source files
concepts    the codes of what is said
structured  the structured report, after TID 1500
summary     the picture of a diagnosis as a secondary capture
"""
