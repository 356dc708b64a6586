"""docs/pictures anew: the shipped program at the workstation, on two volumes of its test part. `make pictures`.

It takes keys of full security (142 MB) and 2 GB of memory; a minute or two.
"""

import sys
import tempfile
from pathlib import Path

import trustme
from playwright.sync_api import sync_playwright

from import_graph import ROOT
from service.kit import Running, write_config
from service.page_kit import Workstation
from service.person import LOOKS, keep

SLOW_MILLISECONDS = 300_000
VISITS = {6: "2026-01-31", 12: "2025-01-30"}  # rows of volumes.npz as the page counts them: a positive and a negative


def main(folder):
    with tempfile.TemporaryDirectory() as made, sync_playwright() as playwright:
        place = Path(made)
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(place / "authority.pem"))
        issued = authority.issue_cert("127.0.0.1")
        issued.private_key_and_cert_chain_pem.write_to_path(str(place / "server.pem"))
        server = Running(_config(place), place / "authority.pem")
        server.start()
        workstation = Workstation(place / "site", place / "log")
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        try:
            address, context = _diagnose(browser, workstation, server, folder)
            for name, look, language in (("result-dark", "dark", ""), ("result-narrow-de", "400 px", "de")):
                other = browser.new_context(**LOOKS[look], storage_state=context.storage_state())
                page = other.new_page()
                if language:
                    page.goto(workstation.origin)
                    page.select_option("#language", language)
                    with page.expect_navigation():
                        page.click("nav form[action='/language'] button")
                page.goto(address)
                keep(page, folder, name)
            token = {"username": "operator", "password": server.token("operators", scopes=("operator",))}
            page = browser.new_context(**LOOKS["light"], http_credentials=token, ignore_https_errors=True).new_page()
            page.goto(f"{server.url}/operator")
            keep(page, folder, "operator")
        finally:
            browser.close()
            workstation.close()
            server.close()


def _config(place):
    tls = {"certificate": str(place / "server.pem"), "key": str(place / "server.pem")}
    program = [{"folder": str(ROOT / "examples/adrenal/program")}]
    evaluation = {"threads": 2, "memory_bytes": 8 << 30}
    return write_config(place, program, tls=tls, allow_insecure_test=False, evaluation=evaluation)


def _diagnose(browser, workstation, server, folder):
    """Returns the address of the first result, and the context that saw it."""
    context = browser.new_context(**LOOKS["light"])
    page = context.new_page()
    page.set_default_timeout(SLOW_MILLISECONDS)
    page.goto(workstation.link)
    page.fill("#url", server.url)
    page.fill("#token", server.token("clinic"))
    page.click("summary")
    page.fill("#ca", server.authority.read_text())
    page.click("form[action='/setup'] button")
    page.wait_for_selector("form[action='/setup/keys']")
    keep(page, folder, "offer")
    page.click("form[action='/setup/keys'] button")
    page.wait_for_selector("text=You can diagnose now")
    addresses = [_visit(page, workstation, folder, row, day) for row, day in VISITS.items()]
    page.click("a[href^='/compare']")
    page.wait_for_selector("text=Two results")
    keep(page, folder, "compare")
    return addresses[0], context


def _visit(page, workstation, folder, row, day):
    page.goto(workstation.origin)
    page.set_input_files("#files", ROOT / "examples/adrenal/volumes.npz")
    page.fill("#row", str(row))
    page.click("form[action$='/choose'] button")
    for name, text in (("patient", f"volume {row - 1}"), ("number", "example"), ("taken", day)):
        page.fill(f"#{name}", text)
    page.fill("#study", "AdrenalMNIST3D, test part")
    page.check("#keep")
    if day == max(VISITS.values()):
        keep(page, folder, "look")
    page.click("form[action$='/start'] button")
    page.wait_for_selector(".badge")
    if day == max(VISITS.values()):
        keep(page, folder, "result")
    return page.url


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs/pictures")
