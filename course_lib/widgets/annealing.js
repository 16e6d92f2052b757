// The face of AnnealingExplorer: one ES module, no build step, no network.
//
// The kernel anneals a whole population at once and sends every temperature of it, so playing and scrubbing
// happen here alone. Only another setting asks the kernel, which answers with another run. The landscape at
// inverse temperature beta is U_base + beta delta: two grids, mixed here for whichever beta is shown.

const SVG = "http://www.w3.org/2000/svg";
const WIDE = 360, LEFT = 40, RIGHT = 346; // chart coordinates
const LIGHT = Math.log(0.1), HEAVY = Math.log(3); // of a weight over the mean weight
const STEPS = 65535;

function numbers(value, Kind) { // DataView | ArrayBuffer | Uint8Array, copied where it is not aligned
  if (!value) return new Kind(0);
  const raw = value instanceof ArrayBuffer ? new Uint8Array(value) : new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  const whole = raw.byteOffset % Kind.BYTES_PER_ELEMENT ? raw.slice() : raw;
  return new Kind(whole.buffer, whole.byteOffset, whole.byteLength / Kind.BYTES_PER_ELEMENT);
}

function svg(tag, attributes = {}, parent = null, text = "") {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text) node.textContent = text;
  parent?.appendChild(node);
  return node;
}

function short(value, digits = 2) {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "–" : value > 0 ? "∞" : "−∞";
  const size = Math.abs(value);
  return (size >= 1e4 ? value.toExponential(1) : size >= 100 ? value.toFixed(0) : value.toFixed(digits)).replace("-", "−");
}

const inverse = (beta) => (beta > 0 && beta < 0.01 ? beta.toPrecision(2) : beta.toFixed(beta < 0.1 ? 3 : 2));

/** At most `most` round numbers from low to high. */
function ticks(low, high, most = 3) {
  const rough = (high - low) / most, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough * 0.999), out = [];
  for (let v = Math.ceil(low / step - 1e-9) * step; v <= high + step * 1e-9; v += step) out.push(v);
  return out;
}

const fromLog = (at, [low, high]) => low * (high / low) ** (at / 1000);
const toLog = (value, [low, high]) => Math.round((1000 * Math.log(value / low)) / Math.log(high / low));

// ---- one annealed population --------------------------------------------------------------------------

class Run {
  constructor(model) {
    const view = model.get("view"), curves = numbers(model.get("curves"), Float32Array), m = curves.length / 6;
    const names = ["betas", "ess", "logZ", "error", "truth", "acceptance"];
    names.forEach((name, i) => (this[name] = curves.subarray(i * m, (i + 1) * m)));
    this.last = m - 1; // frames, which are fewer than temperatures in a stored animation
    this.steps = view.steps ?? Array.from({ length: m }, (_, t) => t);
    const [a, b, c, d] = view.wide, points = numbers(model.get("points"), Uint16Array);
    this.x = Float32Array.from(points, (v, i) => (v === 0 || v === STEPS ? NaN : i % 2 ? c + (v / STEPS) * (d - c) : a + (v / STEPS) * (b - a)));
    const [low, high] = view.shares;
    this.share = Float32Array.from(numbers(model.get("shares"), Uint16Array), (v) => low + (v / STEPS) * (high - low));
    this.n = this.share.length / m; // not the setting, which may already have moved on
    this.temperatures = this.steps[this.last];
    let least = -3, most = 2.4;
    for (const v of this.share) if (v > most) most = v;
    for (let t = 0; t <= this.last; t++) least = Math.min(least, Float32Array.from(this.shares(t)).sort()[Math.floor(this.n * 0.03)]);
    this.range = [Math.max(least, -14), most + 0.3]; // of the histogram, the same at every temperature
  }

  points(t) {
    return this.x.subarray(t * this.n * 2, (t + 1) * this.n * 2);
  }

  shares(t) {
    return this.share.subarray(t * this.n, (t + 1) * this.n);
  }
}

// ---- charts -------------------------------------------------------------------------------------------

/** A frame with a title, a reading on the right, a y axis, a plane to draw in and a mark at the present. */
class Chart {
  constructor(parent, { tall, title, xlabel = "" }) {
    this.top = 24;
    this.bottom = tall - (xlabel ? 26 : 9);
    this.root = svg("svg", { viewBox: `0 0 ${WIDE} ${tall}`, role: "img", "aria-label": title, class: "lex-chart" }, parent);
    this.name = svg("text", { x: 2, y: 13, class: "lex-title" }, this.root, title);
    this.reading = svg("text", { x: RIGHT, y: 13, "text-anchor": "end", class: "lex-reading" }, this.root);
    this.axis = svg("g", {}, this.root);
    svg("line", { x1: LEFT, x2: RIGHT, y1: this.bottom, y2: this.bottom, class: "lex-rule" }, this.root);
    if (xlabel) svg("text", { x: (LEFT + RIGHT) / 2, y: tall - 2, "text-anchor": "middle", class: "lex-label" }, this.root, xlabel);
    this.plane = svg("g", {}, this.root);
    this.now = svg("path", { class: "aex-now" }, this.root);
    this.dot = svg("circle", { r: 3.6, class: "aex-dot" }, this.root);
    this.dot.style.display = "none";
  }

  range(low, high, digits) {
    [this.low, this.high] = [low, high];
    this.axis.replaceChildren();
    for (const value of ticks(low, high)) {
      const y = this.y(value);
      svg("line", { x1: LEFT, x2: RIGHT, y1: y, y2: y, class: "lex-grid" }, this.axis);
      svg("text", { x: LEFT - 5, y: y + 3.5, "text-anchor": "end" }, this.axis, short(value, digits));
    }
  }

  y(value) {
    return this.bottom - ((value - this.low) / (this.high - this.low)) * (this.bottom - this.top);
  }

  x(t) {
    return LEFT + 6 + (t / Math.max(1, this.last)) * (RIGHT - LEFT - 12);
  }

  path(values) { // a line through what is finite
    let out = "";
    values.forEach((v, t) => {
      if (Number.isFinite(v)) out += `${out ? "L" : "M"}${this.x(t).toFixed(1)} ${this.y(v).toFixed(1)}`;
    });
    return out;
  }

  mark(t, value) {
    this.now.setAttribute("d", `M${this.x(t)} ${this.top - 3}V${this.bottom}`);
    this.dot.style.display = Number.isFinite(value) ? "" : "none";
    if (!Number.isFinite(value)) return;
    this.dot.setAttribute("cx", this.x(t));
    this.dot.setAttribute("cy", this.y(value));
  }
}

/** Curves over the temperatures: `lines` is a list of [class, values], `band` of [lower, upper]. */
function draw(chart, last, [low, high], lines, band = null, digits = 1) {
  chart.last = last;
  chart.range(low, high, digits);
  chart.plane.replaceChildren();
  if (band) {
    const [lower, upper] = band.map((values) => chart.path(values));
    const back = upper.slice(1).split("L").reverse().join("L");
    if (lower && upper) svg("path", { class: "aex-band", d: `${lower}L${back}Z` }, chart.plane);
  }
  for (const [name, values] of lines) svg("path", { class: name, d: chart.path(values) }, chart.plane);
  if (last <= 40) for (const [t, v] of lines[0][1].entries()) if (Number.isFinite(v)) svg("circle", { cx: chart.x(t), cy: chart.y(v), r: 1.9, class: "lex-dots" }, chart.plane);
}

// ---- view ---------------------------------------------------------------------------------------------

const ICONS = {
  play: "M4 2.5l9.5 5.5L4 13.5z",
  pause: "M3.5 2.5h3.2v11H3.5zM9.3 2.5h3.2v11H9.3z",
  step: "M3 2.5L10.5 8 3 13.5zM11 2.5h2.2v11H11z",
  back: "M13 2.5L5.5 8 13 13.5zM2.8 2.5H5v11H2.8z",
  rewind: "M8.6 2.5L3.8 8l4.8 5.5zM14 2.5L9.2 8l4.8 5.5zM1.6 2.5h1.8v11H1.6z",
  reseed: "M2 2h12v12H2zM4 4v8h8V4zM5 5h2v2H5zM9 5h2v2H9zM7 7h2v2H7zM5 9h2v2H5zM9 9h2v2H9z",
  copy: "M5 1h8v10h-2V3H5zM2.5 4.5h7v10.5h-7z",
};
const icon = (name) => `<svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true"><path fill-rule="evenodd" d="${ICONS[name]}"/></svg>`;
const button = (act, name, key) => `<button type="button" data-act="${act}" aria-label="${name}" title="${name}${key ? ` (${key})` : ""}">${icon(act)}</button>`;

const PAGE = `
<div class="lex-bar" role="toolbar" aria-label="temperatures">
  <span class="lex-group">${button("play", "play", "space")}${button("back", "one temperature back", ",")}${button("step", "one temperature on", ".")}${button("rewind", "back to the first temperature", "r")}</span>
  <label class="lex-speed"><span>speed</span><input type="range" data-set="speed" step="1"><output data-out="speed"></output></label>
  <span class="lex-group lex-end-group">${button("reseed", "another seed", "n")}${button("copy", "copy this experiment as Python")}</span>
</div>
<div class="lex-note" role="alert" hidden><span></span></div>
<div class="lex-code" hidden><code tabindex="0"></code><span></span></div>
<div class="lex-main">
  <div class="lex-map">
    <div class="lex-stage"><canvas tabindex="0" role="img"></canvas></div>
    <label class="lex-scrub aex-scrub"><span>β</span><input type="range" data-set="at" min="0" step="1"><output data-out="at"></output></label>
    <div class="lex-scale"><span>U − min</span><span class="lex-colours"></span><output class="lex-here"></output></div>
    <div class="lex-legend">
      <span><i class="aex-k-light"></i>light: under 1/10 of the mean</span><span><i class="aex-k-mean"></i>ordinary</span>
      <span><i class="aex-k-heavy"></i>heavy: over 3 times</span>
    </div>
    <div class="lex-status"></div>
  </div>
  <div class="lex-side">
    <div class="lex-controls">
      <label><span>temperatures</span><input type="range" data-set="temperatures" min="0" max="1000" step="1"><output data-out="temperatures"></output></label>
      <label><span>schedule</span><select data-set="schedule"></select></label>
      <label><span>step size ε</span><input type="range" data-set="step_size" min="0" max="1000" step="1"><output data-out="step_size"></output></label>
      <label><span>leapfrogs L</span><input type="range" data-set="n_leapfrog" step="1"><output data-out="n_leapfrog"></output></label>
      <label><span>particles</span><input type="range" data-set="n" min="0" max="1000" step="1"><output data-out="n"></output></label>
      <label><span>resample</span><span class="aex-check"><input type="checkbox" data-set="resample"> when the ESS falls below n/2</span></label>
      <label><span>seed</span><input type="number" data-set="seed" min="0" max="2147483647" step="1"></label>
    </div>
    <div class="lex-charts"></div>
  </div>
</div>
<div class="lex-hidden" aria-live="polite"></div>`;

const LOGARITHMIC = ["temperatures", "step_size", "n", "speed"];
const WHOLE = { temperatures: Math.round, n: (v) => Math.round(+v.toPrecision(2)), step_size: (v) => +v.toPrecision(2), speed: Math.round };

class View {
  constructor(model, el) {
    this.model = model;
    this.world = model.get("view");
    this.stored = Boolean(this.world.stored);
    this.playing = false;
    this.visible = true;
    this.root = document.createElement("div");
    this.root.className = `lex aex${this.stored ? " lex-stored" : ""}`;
    this.root.setAttribute("data-lm-suppress-shortcuts", "true"); // JupyterLab: these keys are ours
    this.root.innerHTML = PAGE;
    this.root.aex = this; // for measurements and tests
    el.appendChild(this.root);
    this.$ = (selector) => this.root.querySelector(selector);
    this.canvas = this.$("canvas");
    const charts = this.$(".lex-charts");
    this.beta = new Chart(charts, { tall: 88, title: "Schedule β" });
    this.ess = new Chart(charts, { tall: 88, title: "Effective sample size" });
    this.logZ = new Chart(charts, { tall: 124, title: "log Z at β", xlabel: "temperature t" });
    this.weights = new Chart(charts, { tall: 106, title: "Weights now", xlabel: "weight over mean weight" });
    this.settle();
    this.listen();
    this.fit();
    this.load();
  }

  close() {
    this.pause();
    cancelAnimationFrame(this.raf);
    for (const stop of this.stops) stop();
    this.root.remove();
  }

  settle() { // what never changes
    const { world } = this, grids = numbers(this.model.get("grids"), Float32Array), cells = world.size ** 2;
    [this.base, this.delta] = [grids.subarray(0, cells), grids.subarray(cells)];
    this.table = numbers(this.model.get("colours"), Uint8Array);
    for (const name of world.schedules) this.$("select").add(new Option(name, name));
    [this.$("[data-set=n_leapfrog]").min, this.$("[data-set=n_leapfrog]").max] = world.limits.n_leapfrog;
    [this.$("[data-set=speed]").min, this.$("[data-set=speed]").max] = [0, 1000];
    const stops = Array.from({ length: 18 }, (_, k) => `rgb(${this.table.subarray(k * 45, k * 45 + 3).join()}) ${((k / 17) * 100).toFixed(0)}%`);
    const bar = this.$(".lex-colours");
    bar.style.setProperty("--colours", `linear-gradient(90deg, ${stops.join(",")})`);
    bar.innerHTML = [0, 0.25, 1].map((part, i) => `<b style="left:${100 * Math.sqrt(part)}%">${short(world.top * part, world.top < 10 ? 1 : 0)}${i === 2 ? "+ nats" : ""}</b>`).join("");
    if (this.stored) {
      for (const input of this.root.querySelectorAll(".lex-controls input, .lex-controls select")) input.disabled = true;
      this.$("[data-act=reseed]").remove();
    }
  }

  listen() {
    const on = (target, types, act) => types.split(" ").forEach((type) => target.addEventListener(type, act));
    this.stops = [];
    on(this.root, "click", (event) => this.press(event.target.closest("button")?.dataset.act));
    on(this.root, "input", (event) => event.target.type === "range" && this.slide(event.target));
    on(this.root, "change", (event) => this.choose(event.target));
    on(this.root, "keydown", (event) => this.key(event));
    on(this.canvas, "pointermove", (event) => this.read(event));
    on(this.canvas, "pointerleave", () => (this.$(".lex-here").textContent = ""));
    for (const chart of [this.beta, this.ess, this.logZ]) {
      on(chart.root, "pointerdown pointermove", (event) => {
        if (!(event.buttons & 1)) return;
        const box = chart.root.getBoundingClientRect(), x = ((event.clientX - box.left) / box.width) * WIDE;
        this.go(Math.round(((x - LEFT - 6) / (RIGHT - LEFT - 12)) * this.run.last));
      });
      on(chart.root, "pointerup", () => this.model.save_changes());
    }
    const hear = (name, act) => {
      this.model.on(`change:${name}`, act);
      this.stops.push(() => this.model.off(`change:${name}`, act));
    };
    hear("run", () => this.load());
    hear("at", () => this.show());
    for (const name of ["temperatures", "schedule", "step_size", "n_leapfrog", "resample", "n", "seed", "speed"]) hear(name, () => this.controls());
    const sizes = new ResizeObserver(() => this.fit() && this.show());
    sizes.observe(this.canvas.parentElement);
    const seen = new IntersectionObserver(([entry]) => (this.visible = entry.isIntersecting));
    seen.observe(this.root);
    this.stops.push(() => sizes.disconnect(), () => seen.disconnect(), () => clearTimeout(this.timer));
  }

  // -- the hand

  press(act) {
    if (act === "play") this.playing ? this.pause() : this.play();
    else if (act === "step" || act === "back") this.go(this.at + (act === "step" ? 1 : -1), true);
    else if (act === "rewind") this.go(0, true);
    else if (act === "reseed") this.set("seed", (this.model.get("seed") + 1) % 2147483648);
    else if (act === "copy") this.copy();
    else return;
    const words = { play: this.playing ? "playing" : "paused", reseed: `seed ${this.model.get("seed")}`, copy: "" };
    this.say(words[act] ?? `temperature ${this.steps} of ${this.run.temperatures}`);
  }

  slide(target) {
    const name = target.dataset.set;
    if (name === "at") return this.go(+target.value);
    const value = LOGARITHMIC.includes(name) ? WHOLE[name](fromLog(+target.value, this.world.limits[name])) : +target.value;
    this.set(name, value);
  }

  choose(target) {
    const name = target.dataset.set;
    if (name === "at") this.model.save_changes();
    else if (name === "schedule") this.set(name, target.value);
    else if (name === "resample") this.set(name, target.checked);
    else if (name === "seed") this.set(name, Math.max(0, Math.min(2147483647, Math.round(+target.value) || 0)));
  }

  set(name, value) {
    if (this.model.get(name) === value) return;
    this.model.set(name, value);
    this.model.save_changes();
    this.controls();
    if (this.stored || name === "speed") return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.note("waiting for the kernel: if nothing happens, run this cell again"), 4000);
  }

  key(event) {
    const { key, target } = event;
    if (event.ctrlKey || event.metaKey || event.altKey || ["Tab", "Escape", "Enter"].includes(key)) return;
    event.stopPropagation(); // JupyterLab must not take it as a command
    if (target.matches("input, select, code")) return;
    const act = { ".": "step", ",": "back", r: "rewind", n: this.stored ? undefined : "reseed" }[key];
    if (act) this.press(act);
    else if (target !== this.canvas) return;
    else if (key === " ") this.press("play");
    else if (key === "ArrowRight" || key === "ArrowUp") this.press("step");
    else if (key === "ArrowLeft" || key === "ArrowDown") this.press("back");
    else if (key === "Home") this.press("rewind");
    else if (key === "End") this.go(this.run.last, true);
    else return;
    event.preventDefault();
  }

  async copy() {
    const box = this.$(".lex-code");
    box.hidden = !box.hidden;
    if (box.hidden) return;
    box.firstChild.textContent = this.model.get("code");
    let said = "copied";
    try {
      await navigator.clipboard.writeText(this.model.get("code"));
    } catch { // not every page may write there; then the reader takes it by hand
      getSelection().selectAllChildren(box.firstChild);
      said = "press Ctrl+C";
    }
    box.lastChild.textContent = said;
    this.say(said);
  }

  say(words) {
    if (words) this.$(".lex-hidden").textContent = words;
  }

  note(words) {
    const note = this.$(".lex-note");
    note.hidden = !words;
    note.firstChild.textContent = words;
  }

  // -- time

  get at() {
    return Math.max(0, Math.min(this.run.last, this.model.get("at")));
  }

  get steps() { // the temperature that is shown
    return this.run.steps[this.at];
  }

  go(t, save = false) {
    if (this.playing) this.pause();
    this.model.set("at", Math.max(0, Math.min(this.run.last, t)));
    if (save) this.model.save_changes();
    this.show();
  }

  play() {
    this.playing = true;
    if (this.at >= this.run.last) this.model.set("at", 0);
    this.since = performance.now();
    this.raf = requestAnimationFrame((time) => this.tick(time));
    this.show();
  }

  pause() {
    if (!this.playing) return;
    this.playing = false;
    this.model.save_changes();
    this.show();
  }

  tick(time) {
    if (!this.playing) return;
    const wait = 1000 / this.model.get("speed");
    if (!this.visible) this.since = time;
    else if (time - this.since >= wait) {
      this.since = Math.max(this.since + wait, time - wait);
      this.model.set("at", Math.min(this.at + 1, this.run.last));
      this.show();
      if (this.at >= this.run.last) return this.pause();
    }
    this.raf = requestAnimationFrame((next) => this.tick(next));
  }

  // -- another run

  load() {
    const run = (this.run = new Run(this.model));
    clearTimeout(this.timer);
    this.note("");
    this.heated = null;
    draw(this.beta, run.last, [0, 1], [["lex-h", run.betas]]);
    draw(this.ess, run.last, [0, 1], [["lex-h", Array.from(run.ess, (v) => v / run.n)]]);
    this.account();
    this.axisOfWeights();
    this.controls();
    this.show();
  }

  /** How far the estimate is off, where the truth is known; else the estimate itself. */
  account() {
    const { run, logZ: chart } = this, known = Number.isFinite(run.truth[run.last]) && Number.isFinite(run.truth[0]);
    const value = known ? run.logZ.map((v, t) => v - run.truth[t]) : run.logZ;
    chart.name.textContent = known ? "Error of log Z" : "log Z at β";
    const limit = Array.from(value, (v, t) => Math.abs(v) + 2 * (run.error[t] || 0)).filter(Number.isFinite);
    const most = Math.min(Math.max(0.2, ...limit), Math.max(1, 1.5 * Math.max(...Array.from(value, Math.abs).filter(Number.isFinite))));
    let [low, high] = [-most, most];
    if (!known) {
      [low, high] = [Math.min(...value), Math.max(...value)];
      const room = Math.max(0.1, (high - low) * 0.08);
      [low, high] = [low - room, high + room];
    }
    const inside = (v) => Math.max(low, Math.min(high, v)), within = (sign) => Array.from(value, (v, t) => inside(v + sign * 2 * run.error[t]));
    const lines = [["lex-h", Array.from(value, inside)]];
    if (known) lines.push(["aex-truth", Array.from(value, () => 0)]);
    draw(chart, run.last, [low, high], lines, Number.isNaN(run.error[0]) ? null : [within(-1), within(1)]);
    this.off = lines[0][1];
  }

  axisOfWeights() {
    const { weights: chart, run } = this, [low, high] = run.range;
    chart.axis.replaceChildren();
    chart.across = (v) => LEFT + ((v - low) / (high - low)) * (RIGHT - LEFT);
    const every = Math.ceil((high - low) / Math.log(10) / 6);
    for (let k = Math.ceil(low / Math.log(10)); k * Math.log(10) <= high; k++) {
      if (k % every) continue;
      const x = chart.across(k * Math.log(10)), text = k >= 0 ? `${10 ** k}` : k > -4 ? (10 ** k).toFixed(-k) : `1e${k}`;
      svg("line", { x1: x, x2: x, y1: chart.top, y2: chart.bottom, class: "lex-grid" }, chart.axis);
      svg("text", { x, y: chart.bottom + 11, "text-anchor": "middle" }, chart.axis, text);
    }
  }

  controls() {
    const { model, world } = this, get = (name) => model.get(name);
    for (const name of ["temperatures", "step_size", "n_leapfrog", "n", "speed", "seed", "schedule"]) {
      const input = this.$(`[data-set=${name}]`);
      if (input === this.root.ownerDocument.activeElement && input.type === "range") continue;
      input.value = LOGARITHMIC.includes(name) ? toLog(get(name), world.limits[name]) : get(name);
    }
    this.$("[data-set=resample]").checked = get("resample");
    const texts = { temperatures: `${get("temperatures")}`, step_size: `${get("step_size")}`, n: `${get("n")}`, speed: `${get("speed")} per second`,
      n_leapfrog: `${get("n_leapfrog")}, εL ${short(get("step_size") * get("n_leapfrog"))}` };
    for (const [name, text] of Object.entries(texts)) {
      this.$(`[data-out=${name}]`).textContent = text;
      this.$(`[data-set=${name}]`).setAttribute("aria-valuetext", text);
    }
  }

  // -- the picture

  fit() {
    const width = Math.round(this.canvas.clientWidth * (this.ratio = Math.min(3, devicePixelRatio || 1)));
    if (!width || width === this.canvas.width) return false;
    this.canvas.width = this.canvas.height = this.size = width;
    this.heated = null;
    return true;
  }

  /** Heat map and contours at `beta`, kept until another beta is shown. */
  landscape(beta) {
    if (this.heated?.beta === beta) return this.heated;
    const { size: n, top, sigmas } = this.world, u = new Float32Array(n * n);
    let least = Infinity;
    for (let i = 0; i < u.length; i++) {
      u[i] = this.base[i] + beta * this.delta[i];
      if (u[i] < least) least = u[i];
    }
    const image = new ImageData(n, n);
    for (let row = 0; row < n; row++) {
      for (let column = 0; column < n; column++) {
        const i = (n - 1 - row) * n + column, at = (row * n + column) * 4;
        u[i] -= least;
        const colour = Math.min(255, Math.round(Math.sqrt(u[i] / top) * 255)) * 3;
        image.data[at] = this.table[colour];
        image.data[at + 1] = this.table[colour + 1];
        image.data[at + 2] = this.table[colour + 2];
        image.data[at + 3] = 255;
      }
    }
    const small = document.createElement("canvas"), canvas = document.createElement("canvas"), S = this.size;
    small.width = small.height = n;
    small.getContext("2d").putImageData(image, 0, 0);
    canvas.width = canvas.height = S;
    const g = canvas.getContext("2d"), half = S / (n - 1) / 2; // values sit on the grid points, from edge to edge
    g.imageSmoothingQuality = "high";
    g.drawImage(small, -half, -half, S + 2 * half, S + 2 * half);
    g.strokeStyle = "rgba(255,255,255,.5)";
    g.lineWidth = 0.8 * this.ratio;
    g.beginPath();
    this.contours(g, u, n, sigmas.map((k) => (k * k) / 2));
    g.stroke();
    this.ticks(g);
    return (this.heated = { beta, u, canvas });
  }

  contours(g, u, n, levels) { // marching squares: a line through each cell that a level crosses
    const k = this.size / (n - 1), S = this.size;
    for (let row = 0; row < n - 1; row++) {
      for (let column = 0; column < n - 1; column++) {
        const i = row * n + column, a = u[i], b = u[i + 1], c = u[i + n + 1], d = u[i + n];
        const low = Math.min(a, b, c, d), high = Math.max(a, b, c, d);
        for (const level of levels) {
          if (level <= low || level > high) continue;
          const ends = [], cut = (p, q, x0, y0, dx, dy) => {
            if (p < level === q < level) return;
            const part = (level - p) / (q - p);
            ends.push((column + x0 + dx * part) * k, S - (row + y0 + dy * part) * k);
          };
          cut(a, b, 0, 0, 1, 0);
          cut(b, c, 1, 0, 0, 1);
          cut(d, c, 0, 1, 1, 0);
          cut(a, d, 0, 0, 0, 1);
          for (let e = 0; e + 3 < ends.length; e += 4) {
            g.moveTo(ends[e], ends[e + 1]);
            g.lineTo(ends[e + 2], ends[e + 3]);
          }
        }
      }
    }
  }

  ticks(g) {
    const [a, b, c, d] = this.world.box, r = this.ratio, S = this.size, digits = Math.max(b - a, d - c) < 5 ? 1 : 0;
    g.font = `${10.5 * r}px system-ui, sans-serif`;
    g.lineWidth = 2.5 * r;
    g.lineJoin = "round";
    g.strokeStyle = "rgba(0,0,0,.6)";
    g.fillStyle = "#fff";
    const write = (value, x, y) => {
      g.strokeText(short(value, digits), x, y);
      g.fillText(short(value, digits), x, y);
    };
    g.textAlign = "center";
    for (const v of ticks(a, b, 6)) {
      const x = ((v - a) / (b - a)) * S;
      if (x > 26 * r && x < S - 12 * r) write(v, x, S - 6 * r);
    }
    g.textAlign = "left";
    for (const v of ticks(c, d, 6)) {
      const y = S - ((v - c) / (d - c)) * S;
      if (y > 12 * r && y < S - 22 * r) write(v, 6 * r, y + 3.5 * r);
    }
  }

  /** Area in proportion to weight; the heavy ones first, so that they hide nothing. */
  particles(g, t) {
    const x = this.run.points(t), share = this.run.shares(t), [a, b, c, d] = this.world.box, S = this.size, r = this.ratio;
    const mean = Math.max(2.2, 5.2 - 0.8 * Math.log10(this.run.n) * 1.6 + 1.2);
    const order = Array.from(share.keys()).sort((i, j) => share[j] - share[i]);
    g.lineWidth = 1.1 * r;
    for (const i of order) {
      const px = ((x[2 * i] - a) / (b - a)) * S, py = S - ((x[2 * i + 1] - c) / (d - c)) * S;
      if (!(px > -30 && px < S + 30 && py > -30 && py < S + 30)) continue;
      g.beginPath();
      g.arc(px, py, Math.max(1.3, Math.min(22, mean * Math.exp(share[i] / 2))) * r, 0, 6.2832);
      g.fillStyle = share[i] < LIGHT ? "rgba(190,190,190,.55)" : share[i] > HEAVY ? "rgba(240,228,66,.85)" : "rgba(255,255,255,.92)";
      g.fill();
      g.strokeStyle = share[i] < LIGHT ? "rgba(15,15,15,.45)" : "rgba(15,15,15,.9)";
      g.stroke();
    }
  }

  histogram(t) {
    const { weights: chart, run } = this, [low, high] = run.range, bins = 30, counts = new Array(bins).fill(0);
    let most = 0;
    const share = run.shares(t);
    for (const v of share) {
      counts[Math.max(0, Math.min(bins - 1, Math.floor(((v - low) / (high - low)) * bins)))]++;
      if (v > most) most = v;
    }
    const peak = Math.max(...counts), wide = (RIGHT - LEFT) / bins;
    chart.plane.replaceChildren();
    counts.forEach((count, i) => {
      if (!count) return;
      const tall = Math.max(1.5, (count / peak) * (chart.bottom - chart.top)), middle = low + ((i + 0.5) / bins) * (high - low);
      const kind = middle < LIGHT ? "light" : middle > HEAVY ? "heavy" : "mean";
      svg("rect", { x: LEFT + i * wide + 0.6, width: wide - 1.2, y: chart.bottom - tall, height: tall, class: `aex-bar aex-${kind}` }, chart.plane);
    });
    const part = Math.exp(most) / run.n;
    chart.reading.textContent = `heaviest: ${(100 * part).toFixed(part < 0.1 ? 1 : 0)} % of all weight`;
    chart.root.setAttribute("aria-label", `Histogram of the weights at this temperature; the heaviest particle holds ${(100 * part).toFixed(1)} percent`);
  }

  show() {
    const { run, model } = this, t = this.at, g = this.canvas.getContext("2d");
    if (!this.size) return;
    g.drawImage(this.landscape(run.betas[t]).canvas, 0, 0);
    this.particles(g, t);
    this.histogram(t);
    const estimate = `${short(run.logZ[t])}${Number.isNaN(run.error[t]) ? "" : ` ± ${short(run.error[t])}`}`;
    const truth = Number.isNaN(run.truth[t]) ? "" : `, truth ${short(run.truth[t])}`;
    this.beta.mark(t, run.betas[t]);
    this.beta.reading.textContent = `β = ${inverse(run.betas[t])}`;
    this.ess.mark(t, run.ess[t] / run.n);
    this.ess.reading.textContent = `${short(run.ess[t], run.ess[t] < 10 ? 1 : 0)} of ${run.n}`;
    this.logZ.mark(t, this.off[t]);
    this.logZ.reading.textContent = `${estimate}${truth}`;
    const toggle = this.$("[data-act=play]"), word = this.playing ? "pause" : "play";
    if (toggle.dataset.now !== word) {
      toggle.dataset.now = word;
      toggle.innerHTML = icon(word);
      toggle.setAttribute("aria-label", word);
      toggle.title = `${word} (space)`;
    }
    const scrub = this.$("[data-set=at]"), total = run.temperatures;
    scrub.max = run.last;
    scrub.value = t;
    scrub.setAttribute("aria-valuetext", `beta ${inverse(run.betas[t])}, temperature ${this.steps} of ${total}`);
    this.$("[data-out=at]").textContent = `${inverse(run.betas[t])}  (t = ${this.steps} of ${total})`;
    const rate = Number.isNaN(run.acceptance[t]) ? "drawn from the base, no move yet" : `acceptance here ${short(run.acceptance[t])}`;
    this.$(".lex-status").textContent = `${run.n} particles · temperature ${this.steps} of ${total} · ${rate}`;
    if (this.playing && t < run.last) return; // a screen reader hears where it stops
    const heard = `${model.get("alt")} Shown: temperature ${this.steps} of ${total}, beta ${inverse(run.betas[t])}, effective sample size ${short(run.ess[t], 0)} of ${run.n}, log Z estimate ${estimate}${truth}.`;
    this.canvas.setAttribute("aria-label", heard);
    for (const [chart, words] of [[this.beta, "Schedule"], [this.ess, "Effective sample size"], [this.logZ, "log Z"]])
      chart.root.setAttribute("aria-label", `${words} over the temperatures; now ${chart.reading.textContent}`);
  }

  read(event) { // what lies under the pointer
    const [a, b, c, d] = this.world.box, n = this.world.size, box = this.canvas.getBoundingClientRect();
    const u = (event.clientX - box.left) / box.width, v = 1 - (event.clientY - box.top) / box.height;
    if (u < 0 || u > 1 || v < 0 || v > 1 || !this.heated) return;
    const height = this.heated.u[Math.round(v * (n - 1)) * n + Math.round(u * (n - 1))];
    this.$(".lex-here").textContent = `(${short(a + u * (b - a))}, ${short(c + v * (d - c))}): ${short(height, 1)}`;
  }
}

const explorer = {
  render({ model, el }) {
    const view = new View(model, el);
    return () => view.close();
  },
};

export default explorer;
