"""The page at a hospital's workstation: a web application for one person at this machine. The rest is in use cases.

guard      who may speak to it            session    how that person is known
desk       what is open and under way     records    what lies on disk of each study
app        routes                         setup, studies, history, status: what stands behind them
"""
