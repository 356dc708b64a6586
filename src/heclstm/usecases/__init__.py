"""What a verb, a route or a page does, without printing anything: one module for each.

    model owner   train, calibrate, evaluate, compile, sign, estimate
    hospital      keygen, encrypt, decrypt, report
    server        run, estimate
    everybody     demo, inspect

They take what is at hand (a card, a model, the bytes of a key, a path) and return a frozen result with `to_json`; where
they are given an `output`, they write it too, whole or not at all. `events` hears of stages, progress and remarks.
"""
