"use strict";
(() => {
  const table = document.getElementById("frame-table");
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const form = document.querySelector(".controls");
  const typeColumn = [...table.tHead.rows[0].cells].findIndex((cell) => cell.dataset.name === "imagetyp");

  const compare = (a, b) => {
    if (a === "" || b === "") return (a === "") - (b === "");
    const difference = Number(a) - Number(b);
    return Number.isNaN(difference) ? a.localeCompare(b, undefined, { numeric: true }) : difference;
  };
  [...table.tHead.rows[0].cells].forEach((cell, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...cell.childNodes);
    cell.append(button);
    button.addEventListener("click", () => {
      const down = cell.getAttribute("aria-sort") === "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      cell.setAttribute("aria-sort", down ? "descending" : "ascending");
      const value = (row) => row.cells[column].dataset.v;
      rows.sort((a, b) => {
        const blank = (value(a) === "") - (value(b) === "");
        return blank || (down ? -1 : 1) * compare(value(a), value(b));
      });
      body.append(...rows);
    });
  });

  const filter = () => {
    const text = form.elements.text.value.trim().toLowerCase();
    const type = form.elements.type.value;
    const out = form.elements.out.checked;
    let shown = 0;
    for (const row of rows) {
      const fits = (!text || row.textContent.toLowerCase().includes(text))
        && (!type || (typeColumn >= 0 && row.cells[typeColumn].dataset.v === type))
        && (!out || row.classList.contains("out"));
      row.hidden = !fits;
      shown += fits;
    }
    form.querySelector("output").textContent = `${shown} of ${rows.length}`;
  };
  form.hidden = false;
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  filter();

  const figures = [...document.querySelectorAll(".gallery figure:has(img)")];
  document.addEventListener("keydown", (event) => {
    const at = figures.findIndex((figure) => `#${figure.id}` === location.hash);
    if (at < 0) return;
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (event.key === "Escape") location.hash = figures[at].querySelector(".close").hash;
    if (step) location.replace(`#${figures[(at + step + figures.length) % figures.length].id}`);
  });
  addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details")) details.open = true;
  });
})();
