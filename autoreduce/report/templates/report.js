"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("report-data").textContent);
  const frames = data.frames;
  const n = frames.file.length;
  const hidden = new Uint8Array(n);
  const lit = new Uint8Array(n);
  const picked = new Set();
  const redraws = [];
  const redraw = () => redraws.forEach((draw) => draw());
  const number = (value) => (value === null ? "" : String(Number(value.toPrecision(4))));
  // Of an axis: two of them are never alike.
  const label = (value) => String(Number(value.toPrecision(10)));
  const element = (name, attributes = {}, ...children) => {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  };
  const escaped = (text) => text.replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);
  const clock = (seconds) => new Date(1000 * seconds).toISOString().slice(11, 19);

  // ------------------------------------------------------------ the table of frames
  const table = byId("frame-table");
  const head = table.tHead.rows[0];
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const rowOf = new Map(rows.map((row) => [row.dataset.file, row]));
  const numbers = ["airmass", "transparency", "fwhm_arcsec", "focus", "dx", "dy", "rotation", "rms", "weight"];
  const there = new Set([...head.cells].map((cell) => cell.dataset.name));
  for (const series of data.series) {
    if (!numbers.includes(series.name) || there.has(series.name)) continue;
    const heading = element("th", { scope: "col", "data-name": series.name, title: series.doc }, `${series.title} `);
    if (series.unit) heading.append(element("small", {}, series.unit));
    head.append(heading);
    frames.file.forEach((file, i) => {
      const value = frames[series.name][i];
      const cell = rowOf.get(file).insertCell();
      cell.className = "n";
      cell.dataset.v = value === null ? "" : value;
      cell.textContent = value === null ? "–" : number(value);
    });
  }
  frames.file.forEach((file, i) => {
    const row = rowOf.get(file);
    for (const name of frames.odd[i]) {
      const at = [...head.cells].findIndex((cell) => cell.dataset.name === name);
      if (at >= 0) row.cells[at].classList.add("odd");
    }
    const box = element("input", { type: "checkbox", "aria-label": `select ${file}` });
    row.cells[0].prepend(box);
    box.addEventListener("change", () => pick(i, box.checked));
  });

  const compare = (a, b) => {
    const difference = Number(a) - Number(b);
    return Number.isNaN(difference) ? a.localeCompare(b, undefined, { numeric: true }) : difference;
  };
  [...head.cells].forEach((cell, column) => {
    const button = element("button", { type: "button" }, ...cell.childNodes);
    cell.append(button);
    button.addEventListener("click", () => {
      const down = cell.getAttribute("aria-sort") === "ascending";
      for (const other of head.cells) other.removeAttribute("aria-sort");
      cell.setAttribute("aria-sort", down ? "descending" : "ascending");
      const value = (row) => row.cells[column].dataset.v;
      rows.sort((a, b) => {
        const blank = (value(a) === "") - (value(b) === "");
        return blank || (down ? -1 : 1) * compare(value(a), value(b));
      });
      body.append(...rows);
    });
  });

  const form = byId("table-controls");
  const typeColumn = [...head.cells].findIndex((cell) => cell.dataset.name === "imagetyp");
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

  // ------------------------------------------------- what is selected, as a flag
  const bar = byId("picked");
  const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
  const flag = () => {
    const what = bar.elements.what.value;
    const files = [...picked].map((i) => frames.file[i]).sort((a, b) => a.localeCompare(b, undefined, { numeric: true }));
    const value = bar.elements.value.value;
    const ends = what === "set" ? `: ${value}` : "";
    const together = files.some((file) => /[,:]/.test(file)) ? files : [files.join(",")];
    return together.map((names) => `--${what} ${quoted(names + ends)}`).join(" ");
  };
  const told = () => {
    bar.hidden = picked.size === 0;
    if (bar.hidden) return;
    bar.querySelector("output").textContent = `${picked.size} selected`;
    bar.elements.value.parentElement.hidden = bar.elements.what.value !== "set";
    bar.elements.flag.value = flag();
  };
  const pick = (i, on) => {
    if (on) picked.add(i);
    else picked.delete(i);
    const row = rowOf.get(frames.file[i]);
    row.cells[0].querySelector("input").checked = on;
    row.classList.toggle("picked", on);
    told();
    redraw();
  };
  const copied = async (text, button) => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const field = element("textarea", {}, text);
      document.body.append(field);
      field.select();
      document.execCommand("copy");
      field.remove();
    }
    const before = button.textContent;
    button.textContent = "copied";
    setTimeout(() => { button.textContent = before; }, 1200);
  };
  bar.addEventListener("input", told);
  bar.addEventListener("submit", (event) => event.preventDefault());
  bar.elements.copy.addEventListener("click", () => copied(bar.elements.flag.value, bar.elements.copy));
  bar.elements.none.addEventListener("click", () => [...picked].forEach((i) => pick(i, false)));
  for (const code of document.querySelectorAll("code.flag")) {
    const button = element("button", { type: "button", class: "copy" }, "copy");
    button.addEventListener("click", () => copied(code.textContent, button));
    code.after(" ", button);
  }

  // ------------------------------------------------------------------- the plots
  const FLAT = 1500, WIDTH = 460, HEIGHT = 190, LEFT = 52, RIGHT = 8, TOP = 8, BOTTOM = 22, GAP_S = 7200, BREAK = 14;
  const ticks = (low, high, wanted) => {
    const rough = (high - low) / wanted;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough * (1 - 1e-9));
    const found = [];
    for (let i = Math.ceil(low / step - 1e-9); i <= Math.floor(high / step + 1e-9); i += 1) found.push(i * step);
    return found;
  };
  const range = (values) => {
    let low = Infinity, high = -Infinity;
    for (const value of values) { low = Math.min(low, value); high = Math.max(high, value); }
    const margin = 0.07 * (high - low) || 0.02 * Math.abs(low) || 0.5;
    return [low - margin, high + margin];
  };
  // The axis of time, with what lies more than two hours apart drawn together.
  const timeAxis = (times) => {
    const sorted = [...new Set(times)].sort((a, b) => a - b);
    const parts = [];
    for (const time of sorted) {
      const last = parts[parts.length - 1];
      if (last && time - last.end <= GAP_S) last.end = time;
      else parts.push({ begin: time, end: time });
    }
    const room = WIDTH - LEFT - RIGHT - BREAK * (parts.length - 1);
    const longest = Math.max(...parts.map((part) => part.end - part.begin), 60);
    const weights = parts.map((part) => Math.max(part.end - part.begin, 0.12 * longest));
    const sum = weights.reduce((a, b) => a + b, 0);
    let left = LEFT;
    parts.forEach((part, i) => {
      part.left = left;
      part.width = room * weights[i] / sum;
      left += part.width + BREAK;
    });
    const x = (time) => {
      const part = parts.find((p) => time <= p.end);
      return part.left + part.width * (part.end > part.begin ? (0.02 + 0.96 * (time - part.begin) / (part.end - part.begin)) : 0.5);
    };
    const marks = [];
    for (const part of parts) {
      const most = Math.max(1, Math.floor(part.width / 62));
      const steps = [60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200];
      const step = steps.find((s) => (part.end - part.begin) / s <= most) || 86400;
      for (let t = Math.ceil(part.begin / step) * step; t <= part.end; t += step) marks.push([x(t), clock(t).slice(0, 5)]);
      if (part !== parts[0]) marks.push([part.left - BREAK / 2, ""]);
    }
    return { x, marks };
  };

  const tip = element("div", { class: "tip", hidden: "" });
  document.body.append(tip);
  const words = (i, series) => {
    const value = `${series.title} ${number(frames[series.name][i])} ${series.unit}`.trim();
    return [frames.file[i], value, frames.object[i], frames.filter[i], frames.time[i] ? clock(frames.time[i]) : "", frames.why[i]].filter(Boolean).join(" · ");
  };

  const shape = (series, axis, members) => {
    const values = frames[series.name];
    const shown = members.filter((i) => !hidden[i]);
    const [low, high] = range((shown.length ? shown : members).map((i) => values[i]));
    const y = (value) => HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * (value - low) / (high - low);
    const out = [];
    for (const value of [4, 8].map((n) => ticks(low, high, n)).find((found) => found.length > 1)) {
      out.push(`<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y(value).toFixed(1)}" y2="${y(value).toFixed(1)}"/>`);
      out.push(`<text x="${LEFT - 6}" y="${(y(value) + 4).toFixed(1)}" text-anchor="end">${label(value)}</text>`);
    }
    for (const [x, text] of axis.marks) {
      out.push(text
        ? `<text x="${x.toFixed(1)}" y="${HEIGHT - 6}" text-anchor="middle">${text}</text>`
        : `<line class="gap" x1="${x.toFixed(1)}" x2="${x.toFixed(1)}" y1="${TOP}" y2="${HEIGHT - BOTTOM}"/>`);
    }
    const anyLit = lit.some(Boolean);
    const paths = new Map();
    for (const i of shown) {
      const px = axis.x(frames.time[i]).toFixed(1), py = y(values[i]).toFixed(1);
      const dim = anyLit && !lit[i];
      if (n > FLAT && !picked.has(i)) {
        const key = `${frames.colour[i]}${dim ? '" class="dim' : ""}`;
        paths.set(key, `${paths.get(key) || ""}M${px} ${py}h0`);
        continue;
      }
      const state = `${dim ? " dim" : ""}${picked.has(i) ? " picked" : ""}${anyLit && lit[i] ? " lit" : ""}`;
      out.push(`<circle class="dot${state}" data-i="${i}" cx="${px}" cy="${py}" r="${anyLit && lit[i] ? 4.6 : 3.4}" style="--c:${frames.colour[i]}"/>`);
      if (frames.out[i]) out.push(`<path class="cross${state}" d="M${px - 3.5} ${py - 3.5}l7 7m0 -7l-7 7"/>`);
      else if (frames.odd[i].includes(series.name)) out.push(`<circle class="ring${state}" cx="${px}" cy="${py}" r="7"/>`);
    }
    for (const [key, d] of paths) out.push(`<path class="flat" style="--c:${key}" d="${d}"/>`);
    return out.join("");
  };

  const figure = (title, unit, doc, label) => {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", label);
    const caption = element("figcaption", { title: doc }, element("b", {}, title), unit ? ` ${unit} ` : " ", element("small", {}, doc));
    byId("plots").append(element("figure", { class: "plot drawing" }, caption, svg));
    return svg;
  };

  const timePlots = () => {
    for (const series of data.series) {
      const values = frames[series.name];
      const members = frames.time.map((_, i) => i).filter((i) => values[i] !== null && frames.time[i] !== null);
      if (!members.length) continue;
      const svg = figure(series.title, series.unit, series.doc, `${series.title} of ${members.length} frames against time`);
      svg.dataset.name = series.name;
      const axis = timeAxis(members.map((i) => frames.time[i]));
      redraws.push(() => { svg.innerHTML = shape(series, axis, members); });
      svg.addEventListener("pointerover", (event) => {
        const i = event.target.dataset.i;
        tip.hidden = i === undefined;
        if (tip.hidden) return;
        tip.textContent = words(Number(i), series);
        tip.style.left = `${Math.max(8, Math.min(event.clientX + 12, innerWidth - tip.offsetWidth - 8))}px`;
        tip.style.top = `${event.clientY + 16 + tip.offsetHeight > innerHeight ? event.clientY - tip.offsetHeight - 12 : event.clientY + 16}px`;
      });
      svg.addEventListener("pointerleave", () => { tip.hidden = true; });
      svg.addEventListener("click", (event) => {
        const i = event.target.dataset.i;
        if (i !== undefined) pick(Number(i), !picked.has(Number(i)));
      });
    }
  };

  const noisePlot = () => {
    const stacks = data.stacks.filter((stack) => stack.expected.length > 1);
    if (!stacks.length) return;
    const doc = "Noise from pixel to pixel: lines as it should fall with the lights, from their own noise; dots as measured in the stack.";
    const svg = figure("Noise of the stacks", "ADU, by lights", doc, `Noise of ${stacks.length} stacks against the number of lights`);
    svg.dataset.name = "noise";
    const all = stacks.flatMap((stack) => [...stack.expected, stack.measured]).filter((v) => v > 0);
    const [low, high] = range(all.map(Math.log10));
    const most = Math.max(...stacks.map((stack) => stack.expected.length));
    const x = (k) => LEFT + 8 + (WIDTH - LEFT - RIGHT - 16) * Math.log(k) / Math.log(most);
    const y = (v) => HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * (Math.log10(v) - low) / (high - low);
    const out = [];
    const wanted = [];
    for (let power = Math.floor(low) - 1; power <= high + 1; power += 1) for (const m of [1, 2, 5]) wanted.push(m * 10 ** power);
    const fine = high - low < 2;
    for (const v of wanted.filter((one, i) => (fine || i % 3 === 0) && Math.log10(one) > low && Math.log10(one) < high)) {
      out.push(`<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y(v)}" y2="${y(v)}"/><text x="${LEFT - 6}" y="${y(v) + 4}" text-anchor="end">${number(v)}</text>`);
    }
    for (const k of [1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000].filter((k) => k <= most)) out.push(`<text x="${x(k)}" y="${HEIGHT - 6}" text-anchor="middle">${k}</text>`);
    for (const stack of stacks) {
      const line = stack.expected.map((v, k) => `${x(k + 1).toFixed(1)},${y(v).toFixed(1)}`).join(" ");
      const name = escaped(`${stack.output}: ${number(stack.expected[stack.expected.length - 1])} ADU expected, ${number(stack.measured) || "not"} measured`);
      out.push(`<g style="--c:${stack.colour}"><title>${name}</title><polyline class="curve" points="${line}"/>`);
      if (stack.measured > 0) out.push(`<circle class="dot" cx="${x(stack.expected.length)}" cy="${y(stack.measured)}" r="4"/>`);
      out.push("</g>");
    }
    svg.innerHTML = out.join("");
  };

  const transferPlot = () => {
    const curves = data.transfers;
    if (!curves.length) return;
    const doc = "Variance of blocks of the flats, read noise taken out, against their signal: a line through 0 whose slope is one over the gain.";
    const svg = figure("Photon transfer", "ADU² against ADU", doc, `Photon transfer of ${curves.length} flats`);
    svg.dataset.name = "transfer";
    const right = Math.max(...curves.flatMap((curve) => curve.signal));
    const top = 1.05 * Math.max(...curves.flatMap((curve) => [...curve.variance, right / curve.gain]));
    const x = (v) => LEFT + 8 + (WIDTH - LEFT - RIGHT - 16) * v / right;
    const y = (v) => HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * v / top;
    const out = [];
    for (const v of ticks(0, top, 3)) out.push(`<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y(v)}" y2="${y(v)}"/><text x="${LEFT - 6}" y="${y(v) + 4}" text-anchor="end">${label(v)}</text>`);
    for (const v of ticks(0, right, 3)) out.push(`<text x="${x(v)}" y="${HEIGHT - 6}" text-anchor="middle">${label(v)}</text>`);
    for (const curve of curves) {
      const dots = curve.signal.map((v, i) => `M${x(v).toFixed(1)} ${y(Math.max(curve.variance[i], 0)).toFixed(1)}h0`).join("");
      const name = escaped(`${curve.output}: ${number(curve.gain)} electrons per ADU`);
      out.push(`<g style="--c:${curve.colour}"><title>${name}</title><path class="flat" style="--c:${curve.colour}" d="${dots}"/><polyline class="curve" points="${x(0)},${y(0)} ${x(right)},${y(right / curve.gain)}"/></g>`);
    }
    svg.innerHTML = out.join("");
  };

  const responsePlot = () => {
    const curves = data.responses;
    if (!curves.length) return;
    const doc = "Counts of flats in front of a steady lamp beside what the lowest of them promise, the shutter's delay taken out: a straight line at 0 if the camera is linear.";
    const svg = figure("Linearity", "% against ADU", doc, `Linearity of ${curves.length} flats`);
    svg.dataset.name = "response";
    const right = Math.max(...curves.flatMap((curve) => curve.level));
    const top = 1.1 * Math.max(1, ...curves.flatMap((curve) => curve.deviation.map(Math.abs)));
    const x = (v) => LEFT + 8 + (WIDTH - LEFT - RIGHT - 16) * v / right;
    const y = (v) => (HEIGHT - BOTTOM + TOP) / 2 - (HEIGHT - BOTTOM - TOP) * v / top / 2;
    const out = [];
    for (const v of ticks(-top, top, 4)) out.push(`<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y(v)}" y2="${y(v)}"/><text x="${LEFT - 6}" y="${y(v) + 4}" text-anchor="end">${label(v)}</text>`);
    for (const v of ticks(0, right, 3)) out.push(`<text x="${x(v)}" y="${HEIGHT - 6}" text-anchor="middle">${label(v)}</text>`);
    for (const curve of curves) {
      const points = curve.level.map((v, i) => [x(v).toFixed(1), y(curve.deviation[i]).toFixed(1)]);
      const dots = points.map((p) => `M${p[0]} ${p[1]}h0`).join("");
      out.push(`<g style="--c:${curve.colour}"><title>${escaped(curve.output)}</title><path class="flat" style="--c:${curve.colour}" d="${dots}"/><polyline class="curve" points="${points.join(" ")}"/></g>`);
    }
    svg.innerHTML = out.join("");
  };

  const controls = byId("plot-controls");
  if (controls) {
    const off = new Set();
    const key = (i) => (["light", "flat"].includes(frames.type[i]) && frames.filter[i]) || frames.type[i] || "type unknown";
    const matches = (pattern) => {
      let test;
      try {
        const expression = new RegExp(pattern, "i");
        test = (text) => expression.test(text);
      } catch {
        test = (text) => text.toLowerCase().includes(pattern.toLowerCase());
      }
      return (i) => test(`${frames.file[i]} ${frames.object[i]} ${frames.filter[i]} ${frames.type[i]}`);
    };
    const apply = () => {
      const pattern = controls.elements.pattern.value.trim();
      const mode = controls.elements.mode.value;
      const fits = pattern ? matches(pattern) : () => false;
      for (let i = 0; i < n; i += 1) {
        const is = fits(i);
        lit[i] = pattern && mode === "lit" && is ? 1 : 0;
        hidden[i] = off.has(key(i)) || (pattern && ((mode === "hide" && is) || (mode === "only" && !is))) ? 1 : 0;
      }
      redraw();
    };
    timePlots();
    noisePlot();
    transferPlot();
    responsePlot();
    const drawn = new Set();
    for (const series of data.series) frames[series.name].forEach((value, i) => { if (value !== null) drawn.add(i); });
    const colours = new Map([...drawn].map((i) => [key(i), frames.colour[i]]));
    for (const [name, colour] of colours) {
      const button = element("button", { type: "button", "aria-pressed": "true", style: `--c:${colour}` }, element("span", { class: "dot", "aria-hidden": "true" }), name);
      button.addEventListener("click", () => {
        const on = off.has(name);
        if (on) off.delete(name);
        else off.add(name);
        button.setAttribute("aria-pressed", on);
        apply();
      });
      byId("plot-legend").append(button);
    }
    controls.hidden = false;
    controls.addEventListener("input", apply);
    controls.addEventListener("submit", (event) => event.preventDefault());
    apply();
  }

  // ------------------------------------------------------------------ the pictures
  const figures = [...document.querySelectorAll(".gallery figure:has(img)")];
  const sharpen = () => {
    const image = document.querySelector(`${location.hash || "#none"} > .enlarge img[data-full]`);
    if (!image) return;
    const small = image.src;
    image.addEventListener("error", () => { image.src = small; }, { once: true });
    image.src = image.dataset.full;
    delete image.dataset.full;
  };
  addEventListener("hashchange", sharpen);
  sharpen();
  document.addEventListener("keydown", (event) => {
    const at = figures.findIndex((one) => `#${one.id}` === location.hash);
    if (at < 0) return;
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (event.key === "Escape") location.hash = figures[at].querySelector(".close").hash;
    if (step) location.replace(`#${figures[(at + step + figures.length) % figures.length].id}`);
  });
  addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details")) details.open = true;
  });
})();
