"""The hospital's side of a network: a server at a URL, keys that lie there, jobs that run there.

What is asked and what an answer means is written once, as generators of steps (`steps`); `transport` performs them, in
this thread or in an event loop. `site` is the folder in the hospital that outlives both.
"""
