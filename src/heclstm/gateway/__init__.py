"""Between a PACS and a server, unattended: studies come in, are diagnosed encrypted, and reports go back.

config      the settings                     journal     what came, how far it is: SQLite
arrivals    images as they come              listener    who may send: C-ECHO, C-STORE, results of commitments
work        one study from stable to stored  choice      which of its series is meant
orthanc     stable studies are asked for, where the PACS is an Orthanc
sender      reports to the PACS by C-STORE   stow        or by STOW-RS
web         requests inside the hospital     loop        all of it, until a signal ends it
health      /healthz                         logs        lines without a name, number or date of a patient
"""
