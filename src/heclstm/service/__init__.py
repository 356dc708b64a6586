"""The service: programs, keys, jobs and results over HTTPS, for many tenants. It holds no secret key type.

config, serve          a TOML file → everything below, running
http/                  routes; what a request may be, and what is answered
database/              tenants, tokens, key sets, jobs: what must not be lost
blobs                  queries, results and expanded keys: in a folder, or wherever fsspec reaches
intake                 uploads of keys: resumable, checked and expanded as they arrive
dispatcher, workers/   the queue → processes (or Ray actors) that evaluate
"""
