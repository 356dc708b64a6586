"""WHAT TRAVELS TO THE HOSPITAL: typed, frozen, checked on creation, digested field by field, signed."""
