"use strict";
(() => {
  const form = document.getElementById("form");
  const told = document.getElementById("told");
  const drop = document.getElementById("drop");
  const chosenWords = document.getElementById("chosen");
  const send = document.getElementById("send");
  const cancel = document.getElementById("cancel");
  const bar = document.getElementById("sent");
  const barWords = document.getElementById("sent-words");
  const lost = document.getElementById("lost");
  const state = document.getElementById("state");
  const LOST = "The desk does not answer. Nothing of this was kept; send it again once it does.";
  const POLL_MS = 3000;
  let chosen = [];
  let request = null;

  const size = (bytes) => (bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`);

  function say(kind, title, lines) {
    const box = document.createElement("div");
    box.className = kind;
    const first = document.createElement("p");
    first.append(Object.assign(document.createElement("strong"), { textContent: title }));
    box.append(first);
    if (lines.length) {
      const list = document.createElement("ul");
      for (const line of lines) list.append(Object.assign(document.createElement("li"), { textContent: line }));
      box.append(list);
    }
    told.replaceChildren(box);
    told.focus();
  }

  function choose(files) {
    chosen = files;
    const bytes = chosen.reduce((sum, one) => sum + one.file.size, 0);
    const first = chosen.length ? chosen[0].path : "";
    chosenWords.textContent = chosen.length ? `${first}${chosen.length > 1 ? ` and ${chosen.length - 1} more` : ""}, ${size(bytes)}` : "";
    told.replaceChildren();
  }

  async function walk(entry, path, found) {
    if (entry.isFile) {
      const file = await new Promise((done, failed) => entry.file(done, failed));
      found.push({ file, path: path + entry.name });
      return;
    }
    const reader = entry.createReader();
    for (;;) {
      // A folder's entries come in parts, the last one empty.
      const entries = await new Promise((done, failed) => reader.readEntries(done, failed));
      if (!entries.length) return;
      for (const inner of entries) await walk(inner, `${path}${entry.name}/`, found);
    }
  }

  for (const kind of ["dragenter", "dragover"]) {
    drop.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.add("over"); });
  }
  drop.addEventListener("dragleave", (event) => {
    if (!drop.contains(event.relatedTarget)) drop.classList.remove("over");
  });
  drop.addEventListener("drop", async (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    const entries = Array.from(event.dataTransfer.items, (item) => item.webkitGetAsEntry && item.webkitGetAsEntry());
    const loose = Array.from(event.dataTransfer.files, (file) => ({ file, path: file.name }));
    const found = [];
    try {
      for (const entry of entries) if (entry) await walk(entry, "", found);
      choose(found.length ? found : loose);
    } catch {
      say("absent", "A folder could not be read.", ["Choose it with the button instead."]);
    }
  });
  for (const input of drop.querySelectorAll("input[type=file]")) {
    input.addEventListener("change", () => {
      for (const other of drop.querySelectorAll("input[type=file]")) if (other !== input) other.value = "";
      choose(Array.from(input.files, (file) => ({ file, path: file.webkitRelativePath || file.name })));
    });
  }

  function answers() {
    const found = {};
    for (const [name, value] of new FormData(form)) if (typeof value === "string") found[name] = value;
    return found;
  }

  function busy(on) {
    send.disabled = on;
    cancel.hidden = bar.hidden = !on;
    barWords.textContent = on ? "looking" : "";
    bar.value = 0;
  }

  function upload(body) {
    return new Promise((done, failed) => {
      request = new XMLHttpRequest();
      request.open("POST", "/submit");
      request.setRequestHeader("Accept", "application/json");
      request.responseType = "text";
      request.upload.onprogress = (event) => {
        bar.value = event.total ? event.loaded / event.total : 0;
        barWords.textContent = event.loaded < event.total ? `${size(event.loaded)} of ${size(event.total)}` : "sent; it is being looked at";
      };
      request.onload = () => { try { done(JSON.parse(request.responseText)); } catch { done({ problems: [request.responseText] }); } };
      request.onerror = () => failed(new Error(LOST));
      request.onabort = () => failed(new Error("You stopped it. Nothing of it was kept."));
      request.send(body);
    });
  }

  async function looked(said) {
    const names = chosen.map((one) => one.path);
    const sizes = chosen.map((one) => one.file.size);
    const asked = await fetch("/look", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ token: said.token, names, sizes, told: said }),
    }).catch(() => { throw new Error(LOST); });
    if (!asked.ok) return { needed: [], problems: [await asked.text()] };
    return asked.json();
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (!chosen.length) return say("absent", "Not sent:", ["no file was chosen; choose a folder or a file"]);
    const said = answers();
    busy(true);
    try {
      const seen = await looked(said);
      if (seen.problems.length) return say("absent", "Not sent:", seen.problems);
      const body = new FormData();
      body.append("token", said.token);
      for (const [name, value] of Object.entries(said)) if (name !== "token" && name !== "whole") body.append(name, value);
      for (const number of seen.needed) body.append("file", chosen[number].file, chosen[number].path);
      body.append("whole", "yes");
      const got = await upload(body);
      if (got.problems) return say("absent", "Not taken:", got.problems);
      if (got.state === "refused") say("absent", `${got.name} was refused:`, got.lines);
      else {
        say("done", got.state === "accepted" ? `${got.name} was taken.` : `${got.name} waits.`, got.lines);
        form.reset();
        chosen = [];
        chosenWords.textContent = "";
      }
    } catch (error) {
      say("absent", "Not sent:", [error.message]);
    } finally {
      busy(false);
      request = null;
      refresh();
    }
  });
  cancel.addEventListener("click", () => { if (request) request.abort(); });

  let shown = null;
  async function refresh() {
    try {
      const answer = await fetch("/state");
      if (!answer.ok) throw new Error();
      const text = await answer.text();
      lost.hidden = true;
      if (text === shown) return;
      shown = text;
      const links = Array.from(state.querySelectorAll("a, [tabindex]"));
      const place = links.indexOf(document.activeElement);
      // The server escapes every name in it.
      state.innerHTML = text;
      if (place >= 0) Array.from(state.querySelectorAll("a, [tabindex]"))[place]?.focus();
    } catch {
      lost.hidden = false;
    }
  }
  setInterval(() => { if (!document.hidden) refresh(); }, POLL_MS);
})();
