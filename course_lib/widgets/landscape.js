// The face of LandscapeExplorer: one ES module, no build step, no network.
//
//   Player   one per model: asks the kernel for frames and keeps the last 500. Views only look at it.
//   View     one per place where the explorer is shown: canvas, two charts, controls.
//
// The kernel is some 50 ms away, so nothing waits for it frame by frame: the player asks for a chunk of
// frames and plays it while the next one is computed. One request is in flight at a time; every request
// gets exactly one answer that carries its id. Numbers that may be infinite travel in float32 buffers.

const MOST_FRAMES = 500; // that one can scrub back
const SLOW = 4; // moves per second up to which the leapfrog path itself is played
const GREEN = "#009E73", VERMILION = "#D55E00", YELLOW = "#F0E442", SKY = "#56B4E9"; // Okabe and Ito
const RUNNING = 30; // moves that the running mean of the acceptance looks back
const TRAIL = 10, TRAILS = 50, FOCUS_TRAIL = 30; // frames back, particles, frames back of the followed one

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
const uint16 = (value) => numbers(value, Uint16Array);

/** Points stored as 16-bit numbers over a box; those on its rim were outside and become NaN. */
function unquantise(value, [a, b, c, d]) {
  const raw = uint16(value), out = new Float32Array(raw.length);
  for (let i = 0; i < raw.length; i++) {
    const low = i % 2 ? c : a, high = i % 2 ? d : b;
    out[i] = raw[i] === 0 || raw[i] === 65535 ? NaN : low + (raw[i] / 65535) * (high - low);
  }
  return out;
}

/** One answer of the kernel as frames; see `encode` in landscape.py. */
function decode(header, buffers) {
  const points = header.quantised ? (b) => unquantise(b, header.quantised) : float32;
  const x = points(buffers[0]), ghosts = points(buffers[1]), path = points(buffers[2]);
  const h = float32(buffers[3]), u = float32(buffers[4]), facts = float32(buffers[5]);
  const { k, n, points: p, stride = 1 } = header;
  let seen = 0;
  return Array.from({ length: k }, (_, i) => {
    const from = seen;
    seen += header.ghosts[i];
    return {
      step: header.step - (k - 1 - i) * stride,
      era: header.era, // changes with the settings of the kernel
      next: header.kind === "state", // the path is that of the move to come
      x: x.subarray(i * n * 2, (i + 1) * n * 2),
      ghosts: ghosts.subarray(from * 2, seen * 2),
      path: path.subarray(i * p * 2, (i + 1) * p * 2),
      h: h.subarray(i * p, (i + 1) * p),
      u: u.subarray(i * p, (i + 1) * p),
      acceptance: facts[i * 4], chance: facts[i * 4 + 1], deltaH: facts[i * 4 + 2], accepted: facts[i * 4 + 3] > 0,
    };
  });
}

// ---- player -------------------------------------------------------------------------------------------

class Player {
  constructor(model) {
    this.model = model;
    this.views = new Set();
    this.history = [];
    this.cursor = -1;
    this.now = { step: model.get("step_count"), x: float32(model.get("particles")), next: true };
    this.queue = []; // frames that came and were not shown yet
    this.flight = null; // one move, played leapfrog step by leapfrog step
    this.playing = false;
    this.sent = null; // the request in flight
    this.outbox = [];
    this.ids = 0;
    this.rtt = 60; // ms, a running mean
    this.due = 0;
    this.rate = 0; // frames per second, a running mean
    this.timings = []; // ms from request to answer, for measurements
    this.error = this.waiting = "";
    this.stored = model.get("replay");
    this.tick = this.tick.bind(this);
    if (this.stored) {
      this.history = decode(this.stored, this.stored.buffers);
      this.cursor = this.history.length - 1;
      this.now = null;
    } else {
      model.on("msg:custom", (message, buffers) => this.receive(message, buffers));
      this.ask("hello");
    }
  }

  // -- talking to the kernel

  /** Send a request, or put it in line; a newer one with the same key takes the place of an older one. */
  ask(kind, extra = {}, key = null) {
    if (this.stored) return;
    const request = { kind, key, extra };
    if (!this.sent) return this.send(request);
    const same = key === null ? -1 : this.outbox.findIndex((other) => other.key === key);
    if (same >= 0) this.outbox[same] = request;
    else this.outbox.push(request);
  }

  send({ kind, extra }) {
    const id = `${Player.page}-${++this.ids}`;
    this.sent = { id, kind, at: performance.now() };
    if (kind === "hello") this.hello = id;
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

  set(name, value) {
    this.error = "";
    this.ask("set", { name, value }, name);
  }

  receive(message, buffers) {
    if (message.to && message.to !== this.hello) return; // the past, told to a view in another window
    if (this.sent && message.id === this.sent.id) {
      const took = performance.now() - this.sent.at;
      if (this.sent.kind === "tick") this.rtt = 0.7 * this.rtt + 0.3 * took;
      this.timings.push({ kind: this.sent.kind, ms: took });
      if (this.timings.length > 2000) this.timings.shift();
      this.sent = null;
      this.waiting = "";
      clearTimeout(this.timer);
    }
    if (message.kind === "error") {
      this.error = message.message;
      this.playing = false;
      this.queue = [];
    } else if (message.kind === "state") this.stand(decode(message, buffers)[0], message.fresh);
    else if (message.kind === "frames") {
      this.queue.push(...decode(message, buffers));
      if (!this.playing) this.drain();
    } else if (message.kind === "fly") this.takeOff(message, buffers);
    if (!this.sent && this.outbox.length) this.send(this.outbox.shift());
    if (!this.playing || message.kind !== "frames") this.show(); // a chunk is shown frame by frame
    this.run();
  }

  stand(frame, fresh) {
    if (fresh) {
      this.history = [];
      this.queue = [];
      this.flight = null;
      this.push(frame);
    }
    this.now = frame;
  }

  push(frame) {
    this.history.push(frame);
    if (this.history.length > MOST_FRAMES) this.history.shift();
    this.cursor = this.history.length - 1;
    this.now = null;
  }

  drain() {
    for (const frame of this.queue.splice(0)) this.push(frame);
  }

  // -- one move in slow motion

  takeOff(message, buffers) {
    const [frame] = decode(message, buffers), all = float32(buffers[6]), n = message.n * 2;
    this.land();
    this.drain();
    const path = Array.from({ length: message.points }, (_, i) => all.subarray(i * n, (i + 1) * n));
    this.flight = { frame, path, at: 0, since: performance.now() };
    if (!this.playing) this.flight.at = 1; // the press that asked for it was the first leapfrog step
  }

  land() {
    if (!this.flight) return;
    const { frame } = this.flight;
    this.flight = null;
    this.push(frame);
  }

  // -- what the buttons do

  live() {
    if (!this.stored && this.cursor < this.history.length - 1) this.cursor = this.history.length - 1;
  }

  play(on = !this.playing) {
    if (on === this.playing) return;
    this.playing = on;
    this.error = "";
    this.due = performance.now();
    this.last = 0;
    if (on) {
      this.land();
      this.live();
    } else {
      this.drain();
      if (!this.flight) this.ask("pause");
    }
    this.show();
    this.run();
  }

  step() {
    this.error = "";
    if (this.playing) return this.play(false);
    if (this.stored) return this.scrub((this.cursor + 1) % this.history.length);
    this.live();
    if (this.flight) {
      this.land();
      this.show();
    } else this.ask("step");
  }

  /** One leapfrog step: the first asks for the whole move, the others walk along it, the last lands. */
  leap() {
    this.error = "";
    if (this.stored) return;
    if (this.playing) return this.play(false);
    this.live();
    if (!this.flight) return this.ask("fly", {}, "fly");
    if (this.flight.at >= this.flight.path.length - 1) this.land();
    else this.flight.at++;
    this.show();
  }

  reset() {
    this.error = "";
    if (this.stored) return this.scrub(0);
    this.playing = false;
    this.outbox = this.outbox.filter((request) => request.kind !== "tick");
    this.ask("reset", {}, "reset");
    this.show();
  }

  scrub(to) {
    if (this.playing && !this.stored) this.play(false);
    this.flight = null;
    this.cursor = Math.max(0, Math.min(this.history.length - 1, to));
    this.show();
  }

  // -- time

  run() {
    if (!this.raf && this.playing && this.views.size) this.raf = requestAnimationFrame(this.tick);
  }

  tick(time) {
    this.raf = 0;
    if (!this.playing) return;
    if ([...this.views].some((view) => view.visible)) {
      if (this.stored) this.playStored(time);
      else if (this.flight) this.fly(time);
      else if (this.model.get("speed") <= SLOW) this.askFlight();
      else this.playLive(time);
    }
    this.run();
  }

  /** Is it time for the next frame, at `fps` frames per second? */
  isDue(time, fps) {
    if (time < this.due - 4) return false; // half a refresh early is nearer than half a refresh late
    this.due = Math.max(this.due + 1000 / fps, time - 50);
    if (this.last) this.rate = 0.9 * this.rate + 0.1 * (1000 / Math.max(time - this.last, 1));
    this.last = time;
    return true;
  }

  playLive(time) {
    const speed = this.model.get("speed"), fps = Math.min(speed, 60), stride = Math.max(1, Math.round(speed / 60));
    if (this.queue.length && this.isDue(time, fps)) {
      this.push(this.queue.shift());
      this.show();
    }
    const ahead = (this.rtt * fps) / 1000;
    if (!this.sent && this.queue.length <= Math.ceil(ahead) + 1)
      this.ask("tick", { frames: Math.max(1, Math.min(16, Math.ceil(1.5 * ahead) + 1)), stride });
  }

  askFlight() {
    if (this.queue.length) this.drain();
    if (!this.sent) this.ask("fly", {}, "fly");
  }

  fly(time) {
    const { flight } = this, length = flight.path.length - 1;
    const done = ((time - flight.since) / 1000) * this.model.get("speed");
    flight.at = Math.max(0, Math.min(length, Math.floor((done / 0.75) * (length + 1)))); // the rest of the time shows the decision
    if (done >= 1) this.land(); // and the next tick asks for more
    this.show();
  }

  playStored(time) {
    if (!this.isDue(time, Math.min(this.model.get("speed"), 60))) return;
    this.cursor = (this.cursor + 1) % this.history.length;
    this.show();
  }

  // -- what is to be seen

  get frame() {
    if (this.flight) return { ...this.flight.frame, x: this.flight.path[this.flight.at], ghosts: [], at: this.flight.at };
    const last = this.cursor === this.history.length - 1;
    return this.now && last && !this.playing ? this.now : this.history[this.cursor] ?? this.now;
  }

  show() {
    for (const view of this.views) view.show();
  }
}
Player.page = Math.random().toString(36).slice(2, 8); // tells this window's requests from those of another

// ---- charts -------------------------------------------------------------------------------------------

const SVG = "http://www.w3.org/2000/svg";

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
  const text = size >= 1e4 ? value.toExponential(1) : size >= 100 ? value.toFixed(0) : value.toFixed(digits);
  return text.replace("-", "−");
}

/** At most `most` round numbers from low to high. */
function ticks(low, high, most = 4) {
  const rough = (high - low) / most, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough * 0.999);
  const out = [];
  for (let v = Math.ceil(low / step - 1e-9) * step; v <= high + step * 1e-9; v += step) out.push(v);
  return out;
}

const WIDE = 360, LEFT = 40, RIGHT = 346; // chart coordinates

/** A frame with a title, a reading on the right, a y axis and named layers to draw in. */
class Chart {
  constructor(parent, { tall, title, xlabel, name }) {
    this.tall = tall;
    this.top = 26;
    this.bottom = tall - 24;
    this.root = svg("svg", { viewBox: `0 0 ${WIDE} ${tall}`, role: "img", "aria-label": name, class: "lex-chart" }, parent);
    const clip = `lex-${Math.random().toString(36).slice(2)}`;
    const box = { x: LEFT, y: this.top - 4, width: RIGHT - LEFT, height: this.bottom - this.top + 8 };
    svg("rect", box, svg("clipPath", { id: clip }, svg("defs", {}, this.root)));
    svg("text", { x: 2, y: 13, class: "lex-title" }, this.root, title);
    this.reading = svg("text", { x: RIGHT, y: 13, "text-anchor": "end", class: "lex-reading" }, this.root);
    this.axis = svg("g", { class: "lex-axis" }, this.root);
    svg("line", { x1: LEFT, x2: RIGHT, y1: this.bottom, y2: this.bottom, class: "lex-rule" }, this.root);
    svg("text", { x: (LEFT + RIGHT) / 2, y: tall - 4, "text-anchor": "middle", class: "lex-label" }, this.root, xlabel);
    this.from = svg("text", { x: LEFT, y: tall - 10, class: "lex-label", "text-anchor": "start" }, this.root);
    this.to = svg("text", { x: RIGHT, y: tall - 10, class: "lex-label", "text-anchor": "end" }, this.root);
    this.plane = svg("g", { "clip-path": `url(#${clip})` }, this.root);
    this.over = svg("g", {}, this.root);
  }

  range(low, high) {
    this.low = low;
    this.high = high;
    const key = `${low} ${high}`;
    if (key === this.key) return;
    this.key = key;
    this.axis.replaceChildren();
    const values = ticks(low, high), digits = values.length > 1 && values[1] - values[0] < 1 ? 1 : 0;
    for (const value of values) {
      const y = this.y(value);
      svg("line", { x1: LEFT, x2: RIGHT, y1: y, y2: y, class: "lex-grid" }, this.axis);
      svg("text", { x: LEFT - 5, y: y + 3.5, "text-anchor": "end" }, this.axis, short(value, digits));
    }
  }

  y(value) {
    const at = this.bottom - ((value - this.low) / (this.high - this.low)) * (this.bottom - this.top);
    return Math.max(-1e4, Math.min(1e4, Number.isFinite(at) ? at : value > 0 ? -1e4 : 1e4));
  }

  line(points) { // [[x, y], ...] in chart coordinates, broken where y is missing
    let out = "", pen = "M";
    for (const [x, y] of points) {
      if (Number.isNaN(y)) pen = "M";
      else {
        out += `${pen}${x.toFixed(1)} ${y.toFixed(1)}`;
        pen = "L";
      }
    }
    return out;
  }
}

/** Potential and total energy along one proposal; the gap between them is the kinetic energy. */
class EnergyChart extends Chart {
  constructor(parent) {
    super(parent, { tall: 178, title: "H along the proposal", xlabel: "leapfrog step t", name: "Energy along the proposal" });
    this.kinetic = svg("path", { class: "lex-kinetic" }, this.plane);
    this.first = svg("path", { class: "lex-first" }, this.plane);
    this.potential = svg("path", { class: "lex-u" }, this.plane);
    this.total = svg("path", { class: "lex-h" }, this.plane);
    this.dots = svg("path", { class: "lex-dots" }, this.plane);
    this.end = svg("path", { class: "lex-end" }, this.plane);
    this.nameH = svg("text", { class: "lex-name lex-name-h" }, this.over, "H");
    this.nameU = svg("text", { class: "lex-name lex-name-u" }, this.over, "U");
  }

  show(frame, slow) {
    const { h, u } = frame ?? {};
    const some = h?.length > 0;
    this.plane.style.display = this.over.style.display = some ? "" : "none";
    if (!some) return (this.reading.textContent = "");
    const last = frame.at ?? h.length - 1, decided = frame.at === undefined || last === h.length - 1;
    this.scale(h, u);
    const x = (t) => LEFT + 8 + (t / Math.max(1, h.length - 1)) * (RIGHT - LEFT - 30);
    const along = (values) => Array.from(values.subarray(0, last + 1), (v, t) => [x(t), this.y(v)]);
    const H = along(h), U = along(u);
    this.total.setAttribute("d", this.line(H));
    this.potential.setAttribute("d", this.line(U));
    this.kinetic.setAttribute("d", H.length > 1 ? `${this.line(H)}L${this.line(U.reverse()).slice(1)}Z` : "");
    this.first.setAttribute("d", `M${LEFT} ${this.y(h[0])}H${x(h.length - 1) + 4}`);
    const dots = h.length <= 31 || slow ? H : [];
    this.dots.setAttribute("d", dots.map(([a, b]) => `M${a - 2} ${b}a2 2 0 1 0 4 0a2 2 0 1 0-4 0`).join(""));
    const [ex, ey] = H[H.length - 1];
    const at = Math.max(this.top, Math.min(this.bottom, ey));
    this.end.setAttribute("d", frame.accepted || !decided ? `M${ex - 4} ${at}a4 4 0 1 0 8 0a4 4 0 1 0-8 0`
      : `M${ex - 4} ${at - 4}l8 8m0-8l-8 8`);
    this.end.setAttribute("class", `lex-end ${decided ? (frame.accepted ? "lex-yes" : "lex-no") : ""}`);
    const [hy, uy] = this.apart(at + 4, this.y(u[last]) + 4);
    this.nameU.setAttribute("x", ex + 11);
    this.nameU.setAttribute("y", uy);
    this.nameH.setAttribute("x", ex + 11);
    this.nameH.setAttribute("y", hy);
    this.from.textContent = "0";
    this.to.textContent = `${h.length - 1}`;
    const sign = frame.deltaH >= 0 ? "+" : "";
    const verdict = (frame.accepted ? "accept" : "reject") + (frame.next ? "" : "ed");
    this.reading.textContent = decided
      ? `${frame.next ? "next: " : ""}ΔH ${sign}${short(frame.deltaH)}, p ${short(frame.chance)}, ${verdict}`
      : `H ${short(h[last])} at t = ${last}`;
    this.root.setAttribute("aria-label",
      `Energy along the proposal of the followed particle: ${h.length - 1} steps, H from ${short(h[0])} to ${short(h[h.length - 1])} nats, ${verdict}`);
  }

  /** Where the names of the two curves stand: beside their ends, but inside, H above U and a line apart. */
  apart(hy, uy) {
    const line = 14, low = this.top + 4, high = this.bottom - 2;
    uy = Math.max(low + line, Math.min(high, uy));
    hy = Math.max(low, Math.min(high - line, hy));
    const overlap = line - (uy - hy);
    if (overlap <= 0) return [hy, uy];
    const up = Math.min(overlap / 2, hy - low), down = Math.min(overlap - up, high - uy);
    return [hy - (overlap - down), uy + down];
  }

  /** Round limits that only move when they must, so that the picture does not flicker while it plays. */
  scale(h, u) {
    const roof = h[0] + 60; // an exploding path leaves the picture instead of flattening all else
    let low = Infinity, high = -Infinity;
    for (const v of [...h, ...u]) {
      if (!Number.isFinite(v)) continue;
      low = Math.min(low, Math.max(v, h[0] - 200));
      high = Math.max(high, Math.min(v, roof));
    }
    if (!(low <= high)) [low, high] = [0, 1];
    const step = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 1e4, 1e5].find((s) => s * 4 >= high - low) ?? 1e6;
    low = Math.floor(low / step) * step;
    high = Math.max(Math.ceil((high + step * 0.1) / step) * step, low + 2 * step);
    const fits = this.low <= low && this.high >= high && this.high - this.low <= 2 * (high - low);
    if (!fits) this.range(low, high);
  }
}

/** Acceptance of the last moves: each frame, their running mean, and the range to aim at. */
class AcceptanceChart extends Chart {
  constructor(parent) {
    super(parent, { tall: 140, title: "Acceptance", xlabel: "moves", name: "Acceptance" });
    this.range(0, 1);
    this.band = svg("rect", { x: LEFT, width: RIGHT - LEFT, class: "lex-band" }, this.plane);
    this.aim = svg("text", { x: LEFT + 4, class: "lex-label" }, this.over);
    this.edges = svg("path", { class: "lex-edges" }, this.plane);
    this.each = svg("path", { class: "lex-each" }, this.plane);
    this.mean = svg("path", { class: "lex-h" }, this.plane);
  }

  show(history, cursor, aim) {
    this.band.style.display = aim ? "" : "none";
    this.aim.textContent = aim ? `aim ${aim[0]}–${aim[1]}` : "";
    if (aim) {
      this.band.setAttribute("y", this.y(aim[1]));
      this.band.setAttribute("height", this.y(aim[0]) - this.y(aim[1]));
      this.aim.setAttribute("y", this.y((aim[0] + aim[1]) / 2) + 3.5);
    }
    const shown = history.slice(Math.max(0, cursor - 199), cursor + 1).filter((f) => !Number.isNaN(f.acceptance));
    const x = (i) => LEFT + ((i + 0.5) / Math.max(shown.length, 60)) * (RIGHT - LEFT);
    const means = [], edges = [];
    let sum = 0, first = 0; // of the running mean, which begins anew where the kernel changes
    shown.forEach((f, i) => {
      if (i && f.era !== shown[i - 1].era) {
        edges.push(`M${x(i - 0.5)} ${this.top}V${this.bottom}`);
        [sum, first] = [0, i];
        means.push([x(i), NaN]);
      }
      sum += f.acceptance;
      if (i - first >= RUNNING) sum -= shown[first++].acceptance;
      means.push([x(i), this.y(sum / (i - first + 1))]);
    });
    this.edges.setAttribute("d", edges.join(""));
    this.each.setAttribute("d", this.line(shown.map((f, i) => [x(i), this.y(f.acceptance)])));
    this.mean.setAttribute("d", this.line(means));
    const many = shown.length - first, recent = many ? sum / many : NaN;
    this.reading.textContent = many ? `${short(recent)} over the last ${many}` : "no move yet";
    this.from.textContent = shown.length ? `${shown[0].step}` : "";
    this.to.textContent = shown.length >= 60 ? `${shown[shown.length - 1].step}` : "";
    this.root.setAttribute("aria-label", `Mean acceptance probability: ${this.reading.textContent}`);
    return recent;
  }
}

// ---- view ---------------------------------------------------------------------------------------------

const ICONS = {
  play: "M4 2.5l9.5 5.5L4 13.5z",
  pause: "M3.5 2.5h3.2v11H3.5zM9.3 2.5h3.2v11H9.3z",
  step: "M3 2.5L10.5 8 3 13.5zM11 2.5h2.2v11H11z",
  leap: "M2.2 12.2a1.7 1.7 0 1 0 .01 0zM7 7.2a1.7 1.7 0 1 0 .01 0zM9 4.2l5-2-1.6 5.2z",
  reset: "M8 3V.2L3.2 3.9 8 7.6V5a4 4 0 1 1-4 4H2a6 6 0 1 0 6-6z",
  copy: "M5 1h8v10h-2V3H5zM2.5 4.5h7v10.5h-7z",
};
const icon = (name) => `<svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true"><path d="${ICONS[name]}"/></svg>`;
const button = (act, name, key) => `<button type="button" data-act="${act}" aria-label="${name}" title="${name}${key ? ` (${key})` : ""}">${icon(act)}</button>`;
const LAYERS = { heat: "heat map", contours: "contours", trails: "trails", path: "proposal", rejected: "rejected" };

const PAGE = `
<div class="lex-bar" role="toolbar" aria-label="simulation">
  <span class="lex-group">${button("play", "play", "space")}${button("step", "one move", ".")}${button("leap", "one leapfrog step", ",")}${button("reset", "reset to the same seed", "r")}</span>
  <label class="lex-speed"><span>speed</span><input type="range" data-set="speed" min="0" step="1"><output data-out="speed"></output></label>
  <span class="lex-group lex-layers" role="group" aria-label="layers">${Object.entries(LAYERS).map(([key, name]) => `<button type="button" data-layer="${key}" aria-pressed="true">${name}</button>`).join("")}</span>
  <span class="lex-group lex-end-group">${button("copy", "copy this experiment as Python")}</span>
</div>
<div class="lex-note" role="alert" hidden><span></span><button type="button" data-act="dismiss" aria-label="dismiss">×</button></div>
<div class="lex-code" hidden><code tabindex="0"></code><span></span></div>
<div class="lex-main">
  <div class="lex-map">
    <div class="lex-stage"><canvas tabindex="0" role="img"></canvas><div class="lex-back" hidden></div></div>
    <label class="lex-scrub"><span>history</span><input type="range" data-set="scrub" min="0" max="0" value="0" step="1"><output data-out="scrub"></output></label>
    <div class="lex-scale"><span>U − min</span><span class="lex-colours"></span><output class="lex-here"></output></div>
  </div>
  <div class="lex-side">
    <div class="lex-controls">
      <label><span>kernel</span><select data-set="kernel_name"></select></label>
      <label><span>step size ε</span><input type="range" data-set="step_size" min="0" max="1000" step="1"><output data-out="step_size"></output></label>
      <label><span>path length L</span><input type="range" data-set="path_length" step="1"><output data-out="path_length"></output></label>
      <label><span>particles</span><input type="range" data-set="n" min="0" max="1000" step="1"><output data-out="n"></output></label>
      <label><span>seed</span><input type="number" data-set="seed" min="0" max="2147483647" step="1"></label>
    </div>
    <div class="lex-charts"></div>
    <div class="lex-legend">
      <span><i class="lex-k-start"></i>start: drag</span><span><i class="lex-k-focus"></i>followed</span>
      <span><i class="lex-k-yes"></i>accepted</span><span><i class="lex-k-no"></i>rejected</span>
    </div>
  </div>
</div>
<div class="lex-status"></div>
<div class="lex-hidden" aria-live="polite"></div>`;

/** Sliders over several powers of ten: position 0 … 1000 and back. */
const fromLog = (at, [low, high]) => low * (high / low) ** (at / 1000);
const toLog = (value, [low, high]) => Math.round((1000 * Math.log(value / low)) / Math.log(high / low));

class View {
  constructor(player, el) {
    this.player = player;
    this.model = player.model;
    this.world = this.model.get("view");
    this.visible = true;
    this.pointer = null;
    this.root = document.createElement("div");
    this.root.className = "lex";
    this.root.setAttribute("data-lm-suppress-shortcuts", "true"); // JupyterLab: these keys are ours
    this.root.innerHTML = PAGE;
    this.root.lex = player; // for measurements and tests
    el.appendChild(this.root);
    this.$ = (selector) => this.root.querySelector(selector);
    this.canvas = this.$("canvas");
    this.context = this.canvas.getContext("2d");
    this.energy = new EnergyChart(this.$(".lex-charts"));
    this.acceptance = new AcceptanceChart(this.$(".lex-charts"));
    this.heat = this.paintHeat();
    this.settle();
    this.listen();
    player.views.add(this);
    this.fit();
    this.controls();
    this.show();
    if (this.model.get("autoplay") && matchMedia("(prefers-reduced-motion: no-preference)").matches) player.play(true);
    player.run();
  }

  close() {
    for (const stop of this.stops) stop();
    this.player.views.delete(this);
    if (!this.player.views.size) this.player.play(false); // nothing runs that nobody sees
    this.root.remove();
  }

  settle() { // what never changes
    const { speeds, limits, paths } = this.world, select = this.$("select");
    this.$("[data-set=speed]").max = speeds.length - 1;
    this.$("[data-set=path_length]").min = limits.path_length[0];
    this.$("[data-set=path_length]").max = limits.path_length[1];
    for (const name of Object.keys(paths)) select.add(new Option(name, name));
    const table = bytes(this.model.get("colours")), stops = [];
    for (let i = 0; i <= 255; i += 15) stops.push(`rgb(${table[i * 3]},${table[i * 3 + 1]},${table[i * 3 + 2]}) ${(i / 2.55).toFixed(0)}%`);
    const bar = this.$(".lex-colours");
    bar.style.setProperty("--colours", `linear-gradient(90deg, ${stops.join(",")})`);
    const marks = [0, 0.25, 1].map((share) => [Math.sqrt(share), this.world.top * share]);
    bar.innerHTML = marks.map(([at, v], i) => `<b style="left:${at * 100}%">${short(v, v < 10 ? 1 : 0)}${i === 2 ? "+ nats" : ""}</b>`).join("");
    if (this.player.stored) {
      this.root.classList.add("lex-stored");
      this.$("[data-act=leap]").remove();
      this.$(".lex-legend span").lastChild.textContent = "start";
      for (const input of this.root.querySelectorAll(".lex-controls input, .lex-controls select")) input.disabled = true;
    }
  }

  listen() {
    const on = (target, types, act, options) => {
      for (const type of types.split(" ")) target.addEventListener(type, act, options);
    };
    this.stops = [];
    on(this.root, "click", (event) => this.press(event.target.closest("button")));
    on(this.root, "input", (event) => this.slide(event.target));
    on(this.root, "change", (event) => event.target.matches("select, [type=number]") && this.choose(event.target));
    on(this.root, "keydown", (event) => this.key(event));
    on(this.canvas, "pointerdown", (event) => this.down(event));
    on(this.canvas, "pointermove", (event) => this.move(event));
    on(this.canvas, "pointerup", (event) => this.up(event));
    on(this.canvas, "pointercancel lostpointercapture", () => (this.grip = null));
    on(this.canvas, "pointerleave", () => {
      this.pointer = null;
      this.read();
    });
    const settings = ["seed", "n", "kernel_name", "step_size", "path_length", "speed", "layers", "start", "code"];
    for (const name of settings) {
      const changed = () => {
        if (name === "layers") this.base = null;
        this.controls();
        this.soon ??= requestAnimationFrame(() => {
          this.soon = null;
          this.show();
        });
      };
      this.model.on(`change:${name}`, changed);
      this.stops.push(() => this.model.off(`change:${name}`, changed));
    }
    const described = () => this.canvas.setAttribute("aria-label", this.model.get("alt"));
    this.model.on("change:alt", described);
    described();
    const sizes = new ResizeObserver(() => this.fit() && this.show());
    sizes.observe(this.canvas.parentElement);
    const seen = new IntersectionObserver(([entry]) => {
      this.visible = entry.isIntersecting;
    });
    seen.observe(this.root);
    this.stops.push(() => this.model.off("change:alt", described), () => sizes.disconnect(), () => seen.disconnect());
  }

  // -- the hand

  press(target) {
    if (!target) return;
    const { act, layer } = target.dataset, { player } = this;
    if (layer) {
      const now = this.model.get("layers"), next = now.includes(layer) ? now.filter((l) => l !== layer) : [...now, layer];
      this.model.set("layers", next);
      this.model.save_changes();
      this.say(`${LAYERS[layer]} ${next.includes(layer) ? "shown" : "hidden"}`);
    } else if (act === "dismiss") {
      player.error = player.waiting = "";
      player.show();
    } else if (act === "copy") this.copy();
    else if (act) {
      player[act]();
      this.say({ play: player.playing ? "playing" : "paused", step: "one move", leap: "one leapfrog step", reset: "reset" }[act]);
    }
  }

  slide(target) { // while it moves; only the last value of a drag waits for the kernel
    const name = target.dataset.set, { limits, speeds } = this.world;
    if (name === "scrub") return this.player.scrub(+target.value);
    if (name === "speed") {
      this.model.set("speed", speeds[+target.value]);
      return this.model.save_changes();
    }
    const value = { step_size: () => +fromLog(+target.value, limits.step_size).toPrecision(3),
      path_length: () => +target.value, n: () => Math.round(+fromLog(+target.value, limits.n).toPrecision(2)) }[name]?.();
    if (value === undefined) return;
    this.player.set(name, value);
    this.outputs({ [name]: value });
  }

  choose(target) {
    const value = target.matches("select") ? target.value : Math.round(+target.value);
    this.player.set(target.dataset.set, value);
    this.say(`${target.dataset.set === "seed" ? "seed" : "kernel"} ${value}`);
  }

  key(event) {
    const { key, target, shiftKey } = event;
    if (event.ctrlKey || event.metaKey || event.altKey || ["Tab", "Escape", "Enter"].includes(key)) return;
    event.stopPropagation(); // JupyterLab must not take it as a command
    if (target.matches("input, select, code")) return;
    const [a, b, c, d] = this.world.box, part = shiftKey ? 200 : 40;
    const arrow = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[key];
    const { player } = this;
    if (arrow && target === this.canvas && !player.stored) {
      const start = this.wished ?? this.model.get("start");
      this.begin([start[0] + (arrow[0] * (b - a)) / part, start[1] + (arrow[1] * (d - c)) / part]);
    } else if (key === " " && target === this.canvas) this.press(this.$("[data-act=play]"));
    else if (key === ".") this.press(this.$("[data-act=step]"));
    else if (key === ",") this.press(this.$("[data-act=leap]"));
    else if (key === "r") this.press(this.$("[data-act=reset]"));
    else if (key === "[") player.scrub(player.cursor - 1);
    else if (key === "]") player.scrub(player.cursor + 1);
    else if (key === "d" && target === this.canvas) this.drop(this.model.get("start"));
    else return;
    event.preventDefault();
  }

  at(event) { // pointer -> [x, y] of the landscape
    const [a, b, c, d] = this.world.box, box = this.canvas.getBoundingClientRect();
    return [a + ((event.clientX - box.left) / box.width) * (b - a), d - ((event.clientY - box.top) / box.height) * (d - c)];
  }

  down(event) {
    if (event.button || this.player.stored) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.canvas.focus({ preventScroll: true });
    const start = this.pixel(this.model.get("start")), here = this.pixel(this.at(event));
    const near = Math.hypot(start[0] - here[0], start[1] - here[1]) < 16 * this.ratio;
    this.grip = { x: event.clientX, y: event.clientY, moved: false, near };
  }

  move(event) {
    this.pointer = this.at(event);
    this.read();
    const { grip } = this;
    if (!grip) return;
    if (!grip.moved && Math.hypot(event.clientX - grip.x, event.clientY - grip.y) < 4) return;
    grip.moved = true;
    this.begin(this.pointer);
  }

  up(event) {
    const { grip } = this;
    this.grip = null;
    if (!grip || grip.moved || grip.near) return;
    if (event.shiftKey) this.follow(this.at(event));
    else this.drop(this.at(event));
  }

  /** Ask for another start; the marker is there at once, the particles as soon as the kernel answers. */
  begin(point) {
    const [a, b, c, d] = this.world.box, fine = 1000 / Math.max(b - a, d - c);
    const digits = Math.max(0, Math.ceil(Math.log10(fine)));
    this.wished = [Math.max(a, Math.min(b, point[0])), Math.max(c, Math.min(d, point[1]))].map((v) => +v.toFixed(digits));
    if (this.player.playing) this.player.play(false);
    this.player.set("start", this.wished);
    this.say(`start ${this.wished.join(", ")}`);
    this.draw();
  }

  drop(point) {
    if (this.player.stored) return;
    if (!this.player.playing) this.player.live();
    this.player.error = "";
    this.player.ask("drop", { at: point, count: 20 });
    this.say(`20 particles dropped at ${point.map((v) => v.toFixed(2)).join(", ")}`);
  }

  follow(point) {
    const { x } = this.player.frame;
    let best = 0, least = Infinity;
    for (let i = 0; i < x.length; i += 2) {
      const far = Math.hypot(x[i] - point[0], x[i + 1] - point[1]);
      if (far < least) [best, least] = [i / 2, far];
    }
    this.player.set("followed", best);
    this.say(`following particle ${best + 1}`);
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

  // -- the controls as the model has them

  controls() {
    const { world, model } = this, { limits } = world;
    const value = (name, at) => {
      const input = this.$(`[data-set=${name}]`);
      if (input !== this.root.ownerDocument.activeElement || input.type !== "range") input.value = at;
    };
    const name = model.get("kernel_name"), speed = model.get("speed");
    value("kernel_name", name);
    value("step_size", toLog(model.get("step_size"), limits.step_size));
    value("path_length", model.get("path_length"));
    value("n", toLog(model.get("n"), limits.n));
    value("seed", model.get("seed"));
    const nearest = world.speeds.reduce((best, s, i) => (Math.abs(Math.log(s / speed)) < Math.abs(Math.log(world.speeds[best] / speed)) ? i : best), 0);
    value("speed", nearest);
    const length = this.$("[data-set=path_length]");
    length.disabled = !world.paths[name] || Boolean(this.player.stored);
    length.closest("label").classList.toggle("lex-off", !world.paths[name]);
    for (const chip of this.root.querySelectorAll("[data-layer]"))
      chip.setAttribute("aria-pressed", model.get("layers").includes(chip.dataset.layer));
    this.outputs({});
  }

  outputs(newer) {
    const get = (name) => newer[name] ?? this.model.get(name), out = (name, text) => (this.$(`[data-out=${name}]`).textContent = text);
    const eps = get("step_size"), length = get("path_length"), speed = get("speed");
    out("step_size", eps < 0.1 ? eps.toPrecision(2) : eps.toFixed(2));
    out("path_length", this.world.paths[get("kernel_name")] ? `${length}, εL ${short(eps * length)}` : "one step");
    out("n", get("n"));
    out("speed", `${speed} moves/s`);
    const show = { step_size: `${eps}`, path_length: `${length} leapfrog steps`, n: `${get("n")} particles`, speed: `${speed} moves per second` };
    for (const [name, text] of Object.entries(show)) this.$(`[data-set=${name}]`).setAttribute("aria-valuetext", text);
  }

  // -- the picture

  fit() {
    const width = Math.round(this.canvas.clientWidth * (this.ratio = Math.min(3, devicePixelRatio || 1)));
    if (!width || width === this.canvas.width) return false;
    this.canvas.width = this.canvas.height = this.size = width;
    this.base = null;
    return true;
  }

  /** World to canvas pixels. */
  pixel([x, y]) {
    const [a, b, c, d] = this.world.box;
    return [((x - a) / (b - a)) * this.size, this.size - ((y - c) / (d - c)) * this.size];
  }

  paintHeat() {
    const { size, top, height } = this.world, table = bytes(this.model.get("colours"));
    this.grid = uint16(this.model.get("grid"));
    const image = new ImageData(size, size), scale = Math.sqrt(height / top) / 65535;
    for (let row = 0; row < size; row++) {
      for (let column = 0; column < size; column++) {
        const colour = Math.min(255, Math.round(this.grid[(size - 1 - row) * size + column] * scale * 255)) * 3;
        const at = (row * size + column) * 4;
        image.data.set([table[colour], table[colour + 1], table[colour + 2], 255], at);
      }
    }
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = size;
    canvas.getContext("2d").putImageData(image, 0, 0);
    return canvas;
  }

  energyAt([x, y]) {
    const { size, box: [a, b, c, d], low, height } = this.world;
    const column = Math.round(((x - a) / (b - a)) * (size - 1)), row = Math.round(((y - c) / (d - c)) * (size - 1));
    const at = this.grid[Math.max(0, Math.min(size - 1, row)) * size + Math.max(0, Math.min(size - 1, column))] / 65535;
    return [low + at * at * height, at === 1];
  }

  /** Heat map, contours and ticks, kept until something about them changes. */
  background() {
    if (this.base) return this.base;
    const base = (this.base = document.createElement("canvas")), S = this.size, r = this.ratio;
    base.width = base.height = S;
    const g = base.getContext("2d"), layers = this.model.get("layers"), heat = layers.includes("heat");
    g.fillStyle = "#5b6470";
    g.fillRect(0, 0, S, S);
    if (heat) { // values sit on the grid points, which reach from edge to edge
      const n = this.world.size, half = S / (n - 1) / 2;
      g.imageSmoothingQuality = "high";
      g.drawImage(this.heat, -half, -half, S + 2 * half, S + 2 * half);
    }
    if (layers.includes("contours")) {
      const points = uint16(this.model.get("contours")), k = S / 65535;
      g.strokeStyle = heat ? "rgba(255,255,255,.5)" : "rgba(255,255,255,.75)";
      g.lineWidth = 0.8 * r;
      g.beginPath();
      let i = 0;
      for (const count of this.world.counts) {
        g.moveTo(points[i] * k, S - points[i + 1] * k);
        for (const end = i + 2 * count; (i += 2) < end; ) g.lineTo(points[i] * k, S - points[i + 1] * k);
      }
      g.stroke();
    }
    this.paintTicks(g);
    return base;
  }

  paintTicks(g) {
    const [a, b, c, d] = this.world.box, r = this.ratio, S = this.size;
    g.font = `${10.5 * r}px system-ui, sans-serif`;
    g.lineWidth = 2.5 * r;
    g.lineJoin = "round";
    g.strokeStyle = "rgba(0,0,0,.6)";
    g.fillStyle = "#fff";
    const write = (text, x, y) => {
      g.strokeText(text, x, y);
      g.fillText(text, x, y);
    };
    const digits = (v) => short(v, Math.max(b - a, d - c) < 5 ? 1 : 0);
    g.textAlign = "center";
    for (const v of ticks(a, b, 6)) {
      const [x] = this.pixel([v, c]);
      if (x < 26 * r || x > S - 12 * r) continue;
      write(digits(v), x, S - 6 * r);
    }
    g.textAlign = "left";
    for (const v of ticks(c, d, 6)) {
      const [, y] = this.pixel([a, v]);
      if (y < 12 * r || y > S - 22 * r) continue;
      write(digits(v), 6 * r, y + 3.5 * r);
    }
  }

  draw() {
    const { player, context: g } = this, frame = player.frame, layers = this.model.get("layers");
    if (!this.size || !frame) return;
    g.drawImage(this.background(), 0, 0);
    if (layers.includes("trails")) this.drawTrails(g);
    if (layers.includes("rejected") && frame.ghosts?.length) this.drawGhosts(g, frame.ghosts);
    this.drawParticles(g, frame.x);
    if (layers.includes("path") && frame.path?.length) this.drawPath(g, frame);
    this.drawFocus(g, frame.x);
    this.drawStart(g); // on top of all else: it is there to be grasped
    player.drawn = (player.drawn ?? 0) + 1;
  }

  radius(count) {
    return Math.max(1.6, 4.4 - 0.9 * Math.log10(count)) * this.ratio;
  }

  trace(g, points) { // a path through [x, y] pairs in a flat array, leaving out what is not finite
    let pen = false;
    for (let i = 0; i < points.length; i += 2) {
      const [x, y] = this.pixel([points[i], points[i + 1]]);
      if (!Number.isFinite(x + y)) pen = false;
      else if (pen) g.lineTo(x, y);
      else g.moveTo(x, y, (pen = true));
    }
  }

  circles(g, points, radius) {
    const S = this.size, [a, b, c, d] = this.world.box, kx = S / (b - a), ky = S / (d - c), edge = 2 * radius;
    g.beginPath();
    for (let i = 0; i < points.length; i += 2) {
      const x = (points[i] - a) * kx, y = S - (points[i + 1] - c) * ky;
      if (!(x > -edge && x < S + edge && y > -edge && y < S + edge)) continue;
      g.moveTo(x + radius, y);
      g.arc(x, y, radius, 0, 6.2832);
    }
  }

  drawTrails(g) {
    const { history, cursor } = this.player, now = this.player.frame;
    const few = Math.min(TRAILS, now.x.length / 2), focus = Math.min(this.model.get("followed"), now.x.length / 2 - 1);
    const line = (i, back) => {
      const points = [];
      for (let k = Math.max(0, cursor - back); k <= cursor; k++) {
        const { x } = history[k];
        if (x.length > 2 * i) points.push(x[2 * i], x[2 * i + 1]);
      }
      this.trace(g, points);
    };
    g.lineJoin = "round";
    g.beginPath();
    for (let i = 0; i < few; i++) if (i !== focus) line(i, TRAIL);
    g.strokeStyle = "rgba(255,255,255,.28)";
    g.lineWidth = 0.8 * this.ratio;
    g.stroke();
    g.beginPath();
    line(focus, FOCUS_TRAIL);
    g.strokeStyle = "rgba(240,228,66,.55)";
    g.lineWidth = 1.1 * this.ratio;
    g.stroke();
  }

  drawGhosts(g, ghosts) {
    this.circles(g, ghosts, this.radius(ghosts.length) * 0.9);
    g.strokeStyle = "rgba(20,20,20,.7)";
    g.lineWidth = 2.6 * this.ratio;
    g.stroke();
    g.strokeStyle = "#FF8A3C"; // vermilion, lightened to stand out on dark blue as well
    g.lineWidth = 1.3 * this.ratio;
    g.stroke();
  }

  drawParticles(g, x) { // a white disc with a dark rim stands out on every colour of the map
    const radius = this.radius(x.length / 2);
    this.circles(g, x, radius + 0.9 * this.ratio);
    g.fillStyle = "rgba(15,15,15,.85)";
    g.fill();
    this.circles(g, x, radius);
    g.fillStyle = "#fff";
    g.fill();
  }

  drawPath(g, frame) {
    const r = this.ratio, last = frame.at ?? frame.path.length / 2 - 1, decided = last === frame.path.length / 2 - 1;
    const shown = frame.path.subarray(0, 2 * last + 2), colour = !decided ? SKY : frame.accepted ? GREEN : VERMILION;
    g.lineJoin = g.lineCap = "round";
    g.beginPath();
    this.trace(g, shown);
    g.strokeStyle = "rgba(255,255,255,.95)";
    g.lineWidth = 4.6 * r;
    g.stroke();
    g.setLineDash(decided && !frame.accepted ? [1 * r, 6 * r] : []);
    g.strokeStyle = colour;
    g.lineWidth = 2.8 * r;
    g.stroke();
    g.setLineDash([]);
    if (last <= 60) {
      this.circles(g, shown.subarray(2, shown.length - 2), 2.3 * r);
      g.fillStyle = colour;
      g.fill();
    }
    const [x, y] = this.pixel([shown[2 * last], shown[2 * last + 1]]);
    if (!Number.isFinite(x + y)) return;
    g.beginPath();
    g.arc(x, y, 6.5 * r, 0, 6.2832);
    g.fillStyle = decided && frame.accepted ? GREEN : "#fff";
    g.fill();
    g.lineWidth = 2.4 * r;
    g.strokeStyle = decided && frame.accepted ? "#fff" : colour;
    g.stroke();
    if (!decided || last === 0) return;
    g.beginPath(); // a tick or a cross: shape says what colour says
    if (frame.accepted) {
      g.moveTo(x - 3 * r, y);
      g.lineTo(x - 0.8 * r, y + 2.6 * r);
      g.lineTo(x + 3.2 * r, y - 2.6 * r);
    } else {
      for (const s of [-1, 1]) {
        g.moveTo(x - 2.6 * r, y - s * 2.6 * r);
        g.lineTo(x + 2.6 * r, y + s * 2.6 * r);
      }
    }
    g.lineWidth = 1.8 * r;
    g.stroke();
  }

  drawFocus(g, x) {
    const i = Math.min(this.model.get("followed"), x.length / 2 - 1), radius = this.radius(x.length / 2) + 1.6 * this.ratio;
    this.circles(g, x.subarray(2 * i, 2 * i + 2), radius);
    g.fillStyle = YELLOW;
    g.fill();
    g.strokeStyle = "#111";
    g.lineWidth = 1.5 * this.ratio;
    g.stroke();
  }

  drawStart(g) { // a yellow diamond with a light rim and a dark halo stands out on map, cloud and path
    const [x, y] = this.pixel(this.wished ?? this.model.get("start")), r = this.ratio, s = 9 * r;
    g.beginPath();
    g.moveTo(x, y - s);
    g.lineTo(x + s, y);
    g.lineTo(x, y + s);
    g.lineTo(x - s, y);
    g.closePath();
    g.lineJoin = "miter";
    g.strokeStyle = "rgba(10,10,10,.9)";
    g.lineWidth = 6.4 * r;
    g.stroke();
    g.strokeStyle = "#fff";
    g.lineWidth = 2.8 * r;
    g.stroke();
    g.fillStyle = YELLOW;
    g.fill();
  }

  // -- all of it

  show() {
    const { player } = this, { playing, history, cursor } = player, frame = player.frame;
    if (!player.sent && !this.grip) this.wished = null;
    this.draw();
    const time = performance.now();
    if (playing && !player.flight && time - (this.shown ?? 0) < 60) return; // the eye reads numbers more slowly
    this.shown = time;
    const toggle = this.$("[data-act=play]");
    if (toggle.dataset.now !== `${playing}`) {
      toggle.dataset.now = `${playing}`;
      toggle.innerHTML = icon(playing ? "pause" : "play");
      toggle.setAttribute("aria-label", playing ? "pause" : "play");
      toggle.title = `${playing ? "pause" : "play"} (space)`;
    }
    this.energy.show(frame, playing && Boolean(player.flight));
    const aim = this.world.aims[this.model.get("kernel_name")];
    const recent = this.acceptance.show(history, cursor, aim);
    const scrub = this.$("[data-set=scrub]"), last = history.length - 1, back = !player.stored && cursor < last;
    scrub.max = Math.max(0, last);
    scrub.value = cursor;
    scrub.disabled = last < 1;
    this.$("[data-out=scrub]").textContent = `move ${frame?.step ?? 0}`;
    const banner = this.$(".lex-back");
    banner.hidden = !back;
    if (back) banner.textContent = `looking back: move ${frame.step} of ${history[last].step}`;
    const note = this.$(".lex-note"), words = player.error || player.waiting;
    note.hidden = !words;
    note.classList.toggle("lex-error", Boolean(player.error));
    if (note.firstChild.textContent !== words) note.firstChild.textContent = words;
    this.status(frame, recent);
    this.read();
  }

  status(frame, recent) {
    if (!frame) return;
    const { x } = frame, count = x.length / 2, { valleys, box: [a, b, c, d] } = this.world, words = [];
    words.push(`${count} particle${count === 1 ? "" : "s"}`, `move ${frame.step}`);
    if (!Number.isNaN(recent)) words.push(`acceptance ${short(recent)}`);
    let lost = 0, outside = 0;
    const seen = new Set();
    for (let i = 0; i < x.length; i += 2) {
      if (!Number.isFinite(x[i] + x[i + 1])) lost++;
      else if (x[i] < a || x[i] > b || x[i + 1] < c || x[i + 1] > d) outside++;
      if (valleys.length < 2) continue;
      let best = -1, least = this.world.reach ** 2;
      for (let k = 0; k < valleys.length; k++) {
        const far = (x[i] - valleys[k][0]) ** 2 + (x[i + 1] - valleys[k][1]) ** 2;
        if (far < least) [best, least] = [k, far];
      }
      if (best >= 0) seen.add(best);
    }
    if (valleys.length > 1) words.splice(2, 0, `in ${seen.size} of ${valleys.length} valleys`);
    if (outside) words.push(`${outside} outside the picture`);
    if (lost && !this.player.stored) words.push(`${lost} diverged: reset brings them back`);
    if (this.player.playing && this.player.rate && this.model.get("speed") > SLOW) words.push(`${this.player.rate.toFixed(0)} frames/s`);
    this.$(".lex-status").textContent = words.join(" · ");
  }

  read() { // what lies under the pointer
    if (!this.pointer) return (this.$(".lex-here").textContent = "");
    const [x, y] = this.pointer, [u, more] = this.energyAt(this.pointer);
    this.$(".lex-here").textContent = `U(${short(x)}, ${short(y)}) ${more ? "≥" : "="} ${short(u, 1)}`;
  }
}

// ---- anywidget ----------------------------------------------------------------------------------------

const explorer = () => {
  let player; // outlives the views: history and play state are still there when a cell is drawn again
  return {
    initialize({ model }) {
      player = new Player(model);
    },
    render({ el }) {
      const view = new View(player, el);
      return () => view.close();
    },
  };
};

export default explorer;
