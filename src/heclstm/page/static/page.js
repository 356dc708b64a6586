// What a page without a script cannot: take files that are dropped, watch progress, print, ask before it erases.
"use strict";

const element = (id) => document.getElementById(id);

// ── files ────────────────────────────────────────────────────────────────────────────────────────────────

async function taken(files) {
  // files: [{name, file}], a name as it lies below the folder that was dropped
  const drop = element("drop"), problem = element("drop-problem"), bar = element("taken");
  if (!files.length || drop.dataset.busy) return;
  drop.dataset.busy = "yes";
  problem.hidden = true;
  element("taking").hidden = false;
  try {
    const {id} = await (await asked("/studies", {method: "POST"})).json();
    const total = files.reduce((sum, {file}) => sum + file.size, 0) || 1;
    let done = 0;
    for (const {name, file} of files) {
      await asked(`/studies/${id}/files`, {method: "PUT", body: file, headers: {"x-name": encodeURIComponent(name)}});
      done += file.size;
      bar.value = done / total;
    }
    location.assign(`/studies/${id}`);
  } catch (error) {
    problem.textContent = error.message;
    problem.hidden = false;
    element("taking").hidden = true;
    delete drop.dataset.busy;
  }
}

async function asked(address, options) {
  const answer = await fetch(address, options);
  if (answer.ok) return answer;
  const told = await answer.json().catch(() => ({}));
  throw new Error(told.problem || `${answer.status} ${answer.statusText}`);
}

async function inside(entry, place = "") {
  // a file or folder of a drop → all files in it
  if (entry.isFile) {
    const file = await new Promise((found, failed) => entry.file(found, failed));
    return [{name: place + file.name, file}];
  }
  const reader = entry.createReader(), entries = [];
  for (;;) {
    const some = await new Promise((found, failed) => reader.readEntries(found, failed));
    if (!some.length) break;
    entries.push(...some);
  }
  const found = [];
  for (const each of entries) found.push(...await inside(each, `${place}${entry.name}/`));
  return found;
}

async function dropped(transfer) {
  // entries must be asked for before anything is waited for
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry && item.webkitGetAsEntry()).filter(Boolean);
  const plain = [...transfer.files].map((file) => ({name: file.name, file}));
  if (!entries.length) return taken(plain);
  const found = [];
  for (const entry of entries) found.push(...await inside(entry));
  return taken(found);
}

const drop = element("drop");
if (drop) {
  for (const kind of ["dragenter", "dragover"]) {
    drop.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.add("over"); });
  }
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    dropped(event.dataTransfer);
  });
  for (const id of ["files", "folder"]) {
    element(id).addEventListener("change", ({target}) =>
      taken([...target.files].map((file) => ({name: file.webkitRelativePath || file.name, file}))));
  }
}

for (const input of document.querySelectorAll("input[data-into]")) {
  input.addEventListener("change", async () => { element(input.dataset.into).value = await input.files[0].text(); });
}

// ── progress ─────────────────────────────────────────────────────────────────────────────────────────────

const progress = element("progress");
if (progress) {
  const places = [...progress.querySelectorAll("li")];
  let before = "";
  const watch = async () => {
    try {
      const told = await (await asked(progress.dataset.address)).json();
      if (told.state !== "running" || !told.stages) return location.reload();
      told.stages.forEach(({state}, number) => {
        if (!places[number]) return;
        places[number].dataset.state = state;
        places[number].toggleAttribute("aria-current", state === "now");
        if (state === "now") places[number].setAttribute("aria-current", "step");
      });
      element("share").value = told.share;
      const now = (told.stages.find(({state}) => state === "now") || {}).title || "";
      if (now !== before) element("now").textContent = before = now;
      element("left").textContent = told.left;
    } catch { /* the workstation is busy or was ended: the next try tells */ }
    setTimeout(watch, 500);
  };
  setTimeout(watch, 200);
}

// ── the rest ─────────────────────────────────────────────────────────────────────────────────────────────

for (const button of document.querySelectorAll("[data-print]")) button.addEventListener("click", () => print());
for (const form of document.querySelectorAll("form[data-confirm]")) {
  form.addEventListener("submit", (event) => { if (!confirm(form.dataset.confirm)) event.preventDefault(); });
}
const alarm = document.querySelector("main > .alarm[role=alert]");
if (alarm) { alarm.tabIndex = -1; alarm.focus(); }
