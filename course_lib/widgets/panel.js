// What the explorers of one picture share; their own module follows in the same file.
//
//   Session   one per model: asks the kernel, keeps what it told. Views only look at it.
//   Panel     one per place where it is shown: tool bar, sliders, handles, words.
//
// Every request gets exactly one answer that carries its id, and one is in flight at a time. What a hand does
// in the meantime is merged into one request, so that a drag never leaves a queue behind it.

// ---- data ---------------------------------------------------------------------------------------------

function bytes(value) { // DataView | ArrayBuffer | Uint8Array -> Uint8Array, honouring its offset
  if (!value) return new Uint8Array(0);
  return value instanceof ArrayBuffer ? new Uint8Array(value)
    : new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
}

function numbers(value, Kind) { // copied where it is not aligned
  const raw = bytes(value), size = Kind.BYTES_PER_ELEMENT;
  const whole = raw.byteOffset % size ? raw.slice() : raw;
  return new Kind(whole.buffer, whole.byteOffset, whole.byteLength / size);
}

const float32 = (value) => numbers(value, Float32Array);
const clamp = (value, low, high) => Math.max(low, Math.min(high, value));

// ---- session ------------------------------------------------------------------------------------------

class Session {
  /** take(session, header, buffers) keeps what the kernel told; amount(dt, speed) says how much to ask for. */
  constructor(model, { take, amount }) {
    Object.assign(this, { model, take, amount });
    this.views = new Set();
    this.header = null; // the last that was told
    this.wished = {}; // settings that the kernel does not know yet
    this.playing = false;
    this.speed = model.get("view").speed;
    this.sent = null;
    this.outbox = [];
    this.ids = 0;
    this.timings = []; // ms from request to answer, for measurements
    this.error = this.waiting = "";
    this.stored = model.get("replay");
    this.tick = this.tick.bind(this);
    if (this.stored) this.unpack();
    else {
      model.on("msg:custom", (message, buffers) => this.receive(message, buffers));
      this.ask("hello");
    }
  }

  get settings() {
    return { ...this.header?.settings, ...this.wished };
  }

  ask(kind, extra = {}) {
    if (this.stored) return;
    const same = this.outbox.find((other) => other.kind === kind);
    if (!this.sent) this.send({ kind, extra });
    else if (!same) this.outbox.push({ kind, extra });
    else same.extra = { ...same.extra, ...extra, values: { ...same.extra.values, ...extra.values } };
  }

  set(values) {
    if (this.stored) return;
    this.error = "";
    Object.assign(this.wished, values);
    this.ask("set", { values });
    this.show();
  }

  send({ kind, extra }) {
    const id = `${Session.page}-${++this.ids}`;
    this.sent = { id, kind, at: performance.now() };
    this.model.send({ ...extra, kind, id });
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.wait(), 1500);
  }

  wait() {
    if (!this.sent) return;
    const lost = performance.now() - this.sent.at > 20000;
    if (this.sent.kind !== "hello" || this.playing || this.outbox.length)
      this.waiting = lost ? "no answer from the kernel: run this cell again" : "waiting for the kernel";
    if (lost) {
      this.sent = null;
      this.outbox = [];
      this.playing = false;
    } else this.timer = setTimeout(() => this.wait(), 1500);
    this.show();
  }

  receive(message, buffers) {
    if (this.sent && message.id === this.sent.id) {
      this.timings.push({ kind: this.sent.kind, ms: performance.now() - this.sent.at });
      if (this.timings.length > 1000) this.timings.shift();
      this.sent = null;
      this.waiting = "";
      clearTimeout(this.timer);
    }
    if (message.kind === "error") {
      this.error = message.message;
      this.playing = false;
      this.wished = {};
    } else if (message.kind === "state" || message.kind === "more") {
      this.header = message;
      this.take(this, message, buffers);
    }
    if (!this.sent && this.outbox.length) this.send(this.outbox.shift());
    if (!this.sent) this.wished = {};
    this.show();
    this.run();
  }

  // -- what the buttons do

  play(on = !this.playing) {
    if (on === this.playing) return;
    this.playing = on;
    this.error = "";
    this.last = performance.now();
    if (!on) this.ask("pause");
    this.show();
    this.run();
  }

  step(count) {
    this.error = "";
    if (this.stored) return this.next();
    if (this.playing) return this.play(false);
    this.ask("more", { count });
  }

  reset() {
    this.error = "";
    if (this.stored) return this.next(0);
    this.playing = false;
    this.outbox = this.outbox.filter((request) => request.kind !== "more");
    this.ask("reset");
    this.show();
  }

  act(name) {
    this.error = "";
    this.ask("act", { name });
  }

  // -- time

  run() {
    if (!this.raf && this.playing && this.views.size) this.raf = requestAnimationFrame(this.tick);
  }

  tick(time) {
    this.raf = 0;
    if (!this.playing) return;
    const pause = this.stored ? 180 : 60; // ms between two pictures: faster the eye does not count
    if (time - this.last >= pause && [...this.views].some((view) => view.visible)) {
      if (this.stored) this.next();
      else if (!this.sent) {
        const count = this.amount(Math.min(time - this.last, 200) / 1000, this.speed);
        if (count < 1) return this.run();
        this.ask("more", { count, playing: true });
      } else return this.run();
      this.last = time;
    }
    this.run();
  }

  // -- an animation that needs no kernel

  unpack() {
    let from = 0;
    this.film = this.stored.messages.map((header) => {
      const buffers = this.stored.buffers.slice(from, from + header.parts);
      from += header.parts;
      return { header, buffers };
    });
    this.shown = -1;
    this.next();
  }

  next(to = (this.shown + 1) % this.film.length) {
    this.shown = to;
    const { header, buffers } = this.film[to];
    this.header = header;
    this.take(this, header, buffers);
    this.show();
  }

  show() {
    for (const view of this.views) view.show();
  }
}
Session.page = Math.random().toString(36).slice(2, 8); // tells this window's requests from those of another

// ---- drawing ------------------------------------------------------------------------------------------

const SVG = "http://www.w3.org/2000/svg";

function svg(tag, attributes = {}, parent = null, text = "") {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text) node.textContent = text;
  parent?.appendChild(node);
  return node;
}

function short(value, digits = 2) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  const size = Math.abs(value);
  const text = size >= 1e5 ? value.toExponential(1) : size >= 100 ? value.toFixed(0)
    : size && size < 0.5 * 10 ** -digits ? value.toExponential(1) : value.toFixed(digits);
  return text.replace("-", "−");
}

const many = (value) => Math.round(value).toLocaleString("en");

/** At most `most` round numbers from low to high. */
function ticks(low, high, most = 5) {
  const rough = (high - low) / most, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough * 0.999);
  const out = [];
  for (let v = Math.ceil(low / step - 1e-9) * step; v <= high + step * 1e-9; v += step) out.push(Math.abs(v) < step / 1e6 ? 0 : v);
  return out;
}

/** A path through [x, y] pairs, broken where one is not finite. */
function line(points) {
  let out = "", pen = "M";
  for (const [x, y] of points) {
    if (!Number.isFinite(x + y)) pen = "M";
    else {
      out += `${pen}${x.toFixed(1)} ${y.toFixed(1)}`;
      pen = "L";
    }
  }
  return out;
}

/** Two axes in a picture of its own units: `x(value)`, `y(value)` and back; ticks are drawn by `range`. */
class Plane {
  constructor(parent, { wide, tall, left = 40, right = 12, top = 8, bottom = 26, title = "", xlabel = "", kind = "" }) {
    this.box = { left, right: wide - right, top: title ? top + 18 : top, bottom: tall - bottom };
    this.root = svg("svg", { viewBox: `0 0 ${wide} ${tall}`, class: `lex-chart pan-plane ${kind}`, role: "img" }, parent);
    const clip = `pan-${Math.random().toString(36).slice(2)}`, b = this.box;
    svg("rect", { x: b.left, y: b.top - 2, width: b.right - b.left, height: b.bottom - b.top + 2 }, svg("clipPath", { id: clip }, svg("defs", {}, this.root)));
    if (title) svg("text", { x: 2, y: 13, class: "lex-title" }, this.root, title);
    this.reading = svg("text", { x: b.right, y: 13, "text-anchor": "end", class: "lex-reading" }, this.root);
    this.axis = svg("g", {}, this.root);
    svg("line", { x1: b.left, x2: b.right, y1: b.bottom, y2: b.bottom, class: "lex-rule" }, this.root);
    if (xlabel) svg("text", { x: b.right, y: tall - 2, "text-anchor": "end", class: "lex-label" }, this.root, xlabel);
    this.plane = svg("g", { "clip-path": `url(#${clip})` }, this.root);
    this.over = svg("g", {}, this.root);
  }

  range([x0, x1], [y0, y1], { xs = ticks(x0, x1, 7), ys = ticks(y0, y1, 4), name = (v) => `${+v.toPrecision(3)}`.replace("-", "−") } = {}) {
    const key = [x0, x1, y0, y1].join();
    Object.assign(this, { x0, x1, y0, y1 });
    if (key === this.key) return;
    this.key = key;
    this.axis.replaceChildren();
    const b = this.box;
    for (const v of ys) {
      svg("line", { x1: b.left, x2: b.right, y1: this.y(v), y2: this.y(v), class: "lex-grid" }, this.axis);
      svg("text", { x: b.left - 5, y: this.y(v) + 3.5, "text-anchor": "end" }, this.axis, `${+v.toPrecision(3)}`.replace("-", "−"));
    }
    for (const v of xs) svg("text", { x: this.x(v), y: b.bottom + 14, "text-anchor": "middle" }, this.axis, name(v));
  }

  x(v) {
    return this.box.left + ((v - this.x0) / (this.x1 - this.x0)) * (this.box.right - this.box.left);
  }

  y(v) {
    return this.box.bottom - clamp((v - this.y0) / (this.y1 - this.y0), -10, 10) * (this.box.bottom - this.box.top);
  }

  /** Pointer -> [x, y] in the numbers of the axes. */
  at(event) {
    const box = this.root.getBoundingClientRect(), view = this.root.viewBox.baseVal, b = this.box;
    const px = ((event.clientX - box.left) / box.width) * view.width, py = ((event.clientY - box.top) / box.height) * view.height;
    return [this.x0 + ((px - b.left) / (b.right - b.left)) * (this.x1 - this.x0),
      this.y0 + ((b.bottom - py) / (b.bottom - b.top)) * (this.y1 - this.y0)];
  }
}

/** A bar with named marks: what is measured, and where it should be or begin to worry. */
class Meter {
  constructor(parent, title) {
    this.root = svg("svg", { viewBox: "0 0 360 58", class: "lex-chart", role: "img" }, parent);
    svg("text", { x: 2, y: 13, class: "lex-title" }, this.root, title);
    this.title = title;
    this.reading = svg("text", { x: 352, y: 13, "text-anchor": "end", class: "lex-reading" }, this.root);
    svg("rect", { x: 4, y: 22, width: 348, height: 13, rx: 3, class: "pan-trough" }, this.root);
    this.bar = svg("rect", { x: 4, y: 22, height: 13, rx: 3, class: "pan-bar" }, this.root);
    this.marks = svg("g", {}, this.root);
  }

  /** share, error and marks in [0, 1]; marks: [[share, name], ...] */
  show(share, error, marks, reading, state = "") {
    const x = (v) => 4 + 348 * clamp(v, 0, 1), some = Number.isFinite(share);
    this.bar.setAttribute("width", some ? Math.max(1, x(share) - 4) : 0);
    this.bar.setAttribute("class", `pan-bar ${state}`);
    this.marks.replaceChildren();
    if (some && error > 0) svg("path", { d: `M${x(share - error)} 24v9M${x(share + error)} 24v9M${x(share - error)} 28.5H${x(share + error)}`, class: "pan-error" }, this.marks);
    for (const [v, name] of marks) {
      if (!Number.isFinite(v)) continue;
      svg("path", { d: `M${x(v)} 19v19`, class: "pan-mark" }, this.marks);
      const anchor = v < 0.15 ? "start" : v > 0.85 ? "end" : "middle";
      svg("text", { x: x(v), y: 51, "text-anchor": anchor }, this.marks, name);
    }
    this.reading.textContent = reading;
    this.root.setAttribute("aria-label", `${this.title}: ${reading}; ${marks.map(([, name]) => name).join(", ")}`);
  }
}

// ---- view ---------------------------------------------------------------------------------------------

const ICONS = {
  play: "M4 2.5l9.5 5.5L4 13.5z",
  pause: "M3.5 2.5h3.2v11H3.5zM9.3 2.5h3.2v11H9.3z",
  step: "M3 2.5L10.5 8 3 13.5zM11 2.5h2.2v11H11z",
  reset: "M8 3V.2L3.2 3.9 8 7.6V5a4 4 0 1 1-4 4H2a6 6 0 1 0 6-6z",
  copy: "M5 1h8v10h-2V3H5zM2.5 4.5h7v10.5h-7z",
};
const icon = (name) => `<svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true"><path d="${ICONS[name]}"/></svg>`;
const button = (act, name, key) => `<button type="button" data-act="${act}" aria-label="${name}" title="${name}${key ? ` (${key})` : ""}">${ICONS[act] ? icon(act) : name}</button>`;
const fromLog = (at, low, high) => low * (high / low) ** (at / 1000);
const toLog = (value, low, high) => (1000 * Math.log(value / low)) / Math.log(high / low);

class Panel {
  constructor(session, el, { step, stepName, unit, choices, buttons = "", keys = {} }) {
    this.session = session;
    this.model = session.model;
    this.world = this.model.get("view");
    this.visible = true;
    Object.assign(this, { stepCount: step, unit, keys });
    this.root = document.createElement("div");
    this.root.className = "lex pan";
    this.root.setAttribute("data-lm-suppress-shortcuts", "true"); // JupyterLab: these keys are ours
    this.root.pan = session; // for measurements and tests
    const select = ([name, label, values]) => `<label><span>${label}</span><select data-set="${name}">${values.map((v) => `<option>${v}</option>`).join("")}</select></label>`;
    const range = (s) => `<label><span>${s.label}</span><input type="range" data-set="${s.name}" min="0" max="1000" step="1"><output data-out="${s.name}"></output></label>`;
    this.root.innerHTML = `
<div class="lex-bar" role="toolbar" aria-label="sampling">
  <span class="lex-group">${button("play", "play", "space")}${button("step", stepName, ".")}${button("reset", "reset to the same seed", "r")}</span>
  <label class="lex-speed"><span>speed</span><input type="range" data-set="speed" min="0" max="${this.world.speeds.length - 1}" step="1"><output data-out="speed"></output></label>
  ${buttons}<span class="lex-group lex-end-group">${button("copy", "copy this experiment as Python")}</span>
</div>
<div class="lex-note" role="alert" hidden><span></span><button type="button" data-act="dismiss" aria-label="dismiss">×</button></div>
<div class="lex-code" hidden><code tabindex="0"></code><span></span></div>
<div class="lex-main">
  <div class="pan-left"></div>
  <div class="lex-side">
    <div class="lex-controls">${choices.filter(([, , values]) => values.length > 1).map(select).join("")}${this.world.sliders.map(range).join("")}
      <label><span>seed</span><input type="number" data-set="seed" min="0" max="2147483647" step="1"></label></div>
    <div class="lex-charts"></div>
  </div>
</div>
<div class="lex-status"></div>
<div class="lex-hidden" aria-live="polite"></div>`;
    el.appendChild(this.root);
    this.$ = (selector) => this.root.querySelector(selector);
    this.stops = [];
    this.build(this.$(".pan-left"), this.$(".lex-charts"));
    if (session.stored) {
      this.root.classList.add("lex-stored");
      for (const input of this.root.querySelectorAll(".lex-controls input, .lex-controls select, .lex-speed input, [data-act=more]")) input.disabled = true;
    }
    this.listen();
    session.views.add(this);
    this.fit();
    this.show();
    if (this.model.get("autoplay") && matchMedia("(prefers-reduced-motion: no-preference)").matches) session.play(true);
    session.run();
  }

  close() {
    for (const stop of this.stops) stop();
    this.session.views.delete(this);
    if (!this.session.views.size) this.session.play(false); // nothing runs that nobody sees
    this.root.remove();
  }

  listen() {
    const on = (type, act) => this.root.addEventListener(type, act);
    on("click", (event) => this.press(event.target.closest("button")));
    on("input", (event) => this.slide(event.target));
    on("change", (event) => event.target.matches("select, [type=number]") && this.choose(event.target));
    on("keydown", (event) => this.key(event));
    const described = () => this.picture().setAttribute("aria-label", this.model.get("alt"));
    this.model.on("change:alt", described);
    described();
    const sizes = new ResizeObserver(() => this.fit() && this.show());
    sizes.observe(this.picture());
    const seen = new IntersectionObserver(([entry]) => (this.visible = entry.isIntersecting));
    seen.observe(this.root);
    const theme = new MutationObserver(() => this.show()); // JupyterLab changes its theme on the body
    theme.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light"] });
    this.stops.push(() => this.model.off("change:alt", described), () => sizes.disconnect(), () => seen.disconnect(), () => theme.disconnect());
  }

  // -- the hand

  press(target) {
    if (!target) return;
    const { session } = this, { act } = target.dataset;
    if (act === "dismiss") session.error = session.waiting = "";
    else if (act === "copy") return this.copy();
    else if (act === "step") session.step(this.stepCount);
    else if (act === "play" || act === "reset") session[act]();
    else if (act) session.act(act);
    this.say({ play: session.playing ? "playing" : "paused", dismiss: "" }[act] ?? target.getAttribute("aria-label"));
    session.show();
  }

  slide(target) {
    const name = target.dataset.set;
    if (name === "speed") {
      this.session.speed = this.world.speeds[+target.value];
      return this.session.show();
    }
    const s = this.world.sliders.find((one) => one.name === name);
    if (!s) return;
    const at = +target.value, raw = s.log ? fromLog(at, s.low, s.high) : s.low + (at / 1000) * (s.high - s.low);
    const value = s.digits === 0 ? Math.round(s.log ? +raw.toPrecision(2) : raw) : +raw.toPrecision(3);
    this.session.set({ [name]: clamp(value, s.low, s.high) });
  }

  choose(target) {
    const value = target.matches("select") ? target.value : Math.round(+target.value);
    this.session.set({ [target.dataset.set]: value });
    this.say(`${target.dataset.set} ${value}`);
  }

  key(event) {
    const { key, target } = event;
    if (event.ctrlKey || event.metaKey || event.altKey || ["Tab", "Escape", "Enter"].includes(key)) return;
    event.stopPropagation(); // JupyterLab must not take it as a command
    if (target.matches("input, select, code")) return;
    const handle = target.dataset?.handle, arrow = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[key];
    if (arrow && handle && !this.session.stored) this.nudge(handle, arrow[0], arrow[1], event.shiftKey ? 0.2 : 1);
    else if (key === " " && !target.matches("button")) this.press(this.$("[data-act=play]"));
    else if (key === ".") this.press(this.$("[data-act=step]"));
    else if (key === "r") this.press(this.$("[data-act=reset]"));
    else if (this.keys[key]) this.press(this.$(`[data-act=${this.keys[key]}]`));
    else return;
    event.preventDefault();
  }

  /** A handle that can be dragged and, once it has the focus, be moved by arrow keys. */
  handle(parent, name, label, shape) {
    const node = svg("g", { class: "pan-handle", tabindex: this.session.stored ? -1 : 0, role: "slider", "aria-label": label, "data-handle": name }, parent);
    svg("circle", { r: 16, class: "pan-reach" }, node);
    svg("path", { d: shape }, node);
    node.addEventListener("pointerdown", (event) => {
      if (event.button || this.session.stored) return;
      event.preventDefault();
      node.setPointerCapture(event.pointerId);
      node.focus({ preventScroll: true });
      this.grip = name;
      if (this.session.playing) this.session.play(false);
    });
    node.addEventListener("pointermove", (event) => this.grip === name && this.drag(name, event));
    for (const type of ["pointerup", "pointercancel", "lostpointercapture"])
      node.addEventListener(type, () => {
        if (this.grip !== name) return;
        this.grip = null;
        this.session.show();
      });
    return node;
  }

  async copy() {
    const box = this.$(".lex-code"), code = this.model.get("code");
    box.hidden = !box.hidden;
    if (box.hidden) return;
    box.firstChild.textContent = code;
    let said = "copied";
    try {
      await navigator.clipboard.writeText(code);
    } catch { // not every page may write there; then the reader takes it by hand
      getSelection().selectAllChildren(box.firstChild);
      said = "press Ctrl+C";
    }
    box.lastChild.textContent = said;
    this.say(said);
  }

  say(words) {
    this.$(".lex-hidden").textContent = words;
  }

  // -- what is to be seen

  colour(name) {
    return getComputedStyle(this.root).getPropertyValue(name).trim();
  }

  show() {
    const { session } = this, { settings, playing } = session, words = session.error || session.waiting;
    const note = this.$(".lex-note"), toggle = this.$("[data-act=play]");
    note.hidden = !words;
    note.classList.toggle("lex-error", Boolean(session.error));
    if (note.firstChild.textContent !== words) note.firstChild.textContent = words;
    if (toggle.dataset.now !== `${playing}`) {
      toggle.dataset.now = `${playing}`;
      toggle.innerHTML = icon(playing ? "pause" : "play");
      toggle.setAttribute("aria-label", playing ? "pause" : "play");
      toggle.title = `${playing ? "pause" : "play"} (space)`;
    }
    this.$("[data-set=speed]").value = this.world.speeds.indexOf(session.speed);
    this.$("[data-out=speed]").textContent = `${many(session.speed)} ${this.unit}/s`;
    this.$("[data-set=speed]").setAttribute("aria-valuetext", `${session.speed} ${this.unit} per second`);
    if (!session.header) return;
    const active = this.root.ownerDocument.activeElement;
    for (const input of this.root.querySelectorAll(".lex-controls [data-set]")) {
      const { set } = input.dataset, value = settings[set], s = this.world.sliders.find((one) => one.name === set);
      if (!s) {
        if (input !== active || input.type !== "number") input.value = value;
        continue;
      }
      const text = short(value, s.digits);
      this.$(`[data-out=${set}]`).textContent = text;
      input.setAttribute("aria-valuetext", text);
      if (input !== active) input.value = s.log ? toLog(value, s.low, s.high) : (1000 * (value - s.low)) / (s.high - s.low);
    }
    this.draw(session.header, settings);
  }
}

/** What anywidget asks of a module: one session per model, one panel per view. */
const mount = (rules, View) => {
  let session; // outlives the views: what was drawn is still there when a cell is shown again
  return {
    initialize({ model }) {
      session = new Session(model, rules);
    },
    render({ el }) {
      const view = new View(session, el);
      return () => view.close();
    },
  };
};
