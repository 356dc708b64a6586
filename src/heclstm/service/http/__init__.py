"""The routes. Litestar lives in this folder; what they do stands in the modules beside it."""
